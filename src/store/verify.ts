import type { PeerId } from '@libp2p/interface'
import { equals } from 'multiformats/bytes'
import type { CID } from 'multiformats/cid'
import { digestText, provesEnough } from '../shared/digest.ts'
import { HashMismatchError, UnknownHasherError } from '../shared/errors.ts'
import { latin1 } from '../shared/latin1.ts'
import type { LinkSystem } from '../shared/types.ts'

const IDENTITY = 0

/** Bytes that a CID may hold itself. Go: verifcid. */
const MAX_IDENTITY_SIZE = 128

/** Whether a CID is its block, and needs no store. */
export function holdsItself (cid: CID): boolean {
  return cid.multihash.code === IDENTITY && cid.multihash.size <= MAX_IDENTITY_SIZE
}

/**
 * Checks bytes against their CID. Gives a promise only when the hasher does.
 *
 * @throws {HashMismatchError} they do not match, or the CID proves too little
 * @throws {UnknownHasherError}
 */
export function verifyBlock (
  linkSystem: Pick<LinkSystem, 'getHasher'>, cid: CID, bytes: Uint8Array, peer?: PeerId
): void | Promise<void> {
  const expected = cid.multihash
  if (expected.code === IDENTITY) {
    if (!holdsItself(cid) || !equals(bytes, expected.digest)) { throw new HashMismatchError(cid, peer) }
    return
  }
  const made = digestText(linkSystem.getHasher(expected.code), bytes)
  if (typeof made !== 'string') { return made.then(digest => { compare(cid, digest, peer) }) }
  compare(cid, made, peer)
}

/** Whether stored bytes are those of the CID; true where the hash is not known here. Gives a promise only when the hasher does. */
export function isIntact (linkSystem: Pick<LinkSystem, 'getHasher'>, { multihash }: CID, bytes: Uint8Array): boolean | Promise<boolean> {
  const matches = (made: string): boolean => made.startsWith(latin1(multihash.digest))
  let made: string | Promise<string>
  try {
    made = digestText(linkSystem.getHasher(multihash.code), bytes)
  } catch (error) {
    if (error instanceof UnknownHasherError) { return true }
    throw error
  }
  return typeof made === 'string' ? matches(made) : made.then(matches)
}

/** `made`: the whole digest, by latin1(). */
function compare (cid: CID, made: string, peer?: PeerId): void {
  const { digest } = cid.multihash
  if (!provesEnough(digest.length, made.length) || !made.startsWith(latin1(digest))) { throw new HashMismatchError(cid, peer) }
}
