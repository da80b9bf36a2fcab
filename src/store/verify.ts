import type { PeerId } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { digestText } from '../shared/digest.ts'
import { HashMismatchError } from '../shared/errors.ts'
import { latin1 } from '../shared/latin1.ts'
import type { LinkSystem } from '../shared/types.ts'

const IDENTITY = 0

/**
 * A digest may be cut off, but to no less than this, in bytes. IPNI's NoEntries link has so many: an advertisement without
 * entries could not be synced with a higher limit.
 */
const MIN_DIGEST_SIZE = 16

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
    if (!holdsItself(cid) || bytes.length !== expected.size || !startsWith(bytes, expected.digest)) {
      throw new HashMismatchError(cid, peer)
    }
    return
  }
  const made = digestText(linkSystem.getHasher(expected.code), bytes)
  if (typeof made !== 'string') { return made.then(digest => { compare(cid, digest, peer) }) }
  compare(cid, made, peer)
}

/** `made`: the whole digest, by latin1(). */
function compare (cid: CID, made: string, peer?: PeerId): void {
  const { digest } = cid.multihash
  if (digest.length < Math.min(MIN_DIGEST_SIZE, made.length) || !made.startsWith(latin1(digest))) { throw new HashMismatchError(cid, peer) }
}

function startsWith (bytes: Uint8Array, start: Uint8Array): boolean {
  for (let i = 0; i < start.length; i++) {
    if (bytes[i] !== start[i]) { return false }
  }
  return true
}
