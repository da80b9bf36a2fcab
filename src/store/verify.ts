import type { PeerId } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import type { MultihashDigest } from 'multiformats/hashes/interface'
import { HashMismatchError } from '../shared/errors.ts'
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
  const made = linkSystem.getHasher(expected.code).digest(bytes)
  if (made instanceof Promise) { return made.then(digest => { compare(cid, digest, peer) }) }
  compare(cid, made, peer)
}

function compare (cid: CID, made: MultihashDigest, peer?: PeerId): void {
  const expected = cid.multihash.digest
  if (expected.length < Math.min(MIN_DIGEST_SIZE, made.digest.length) || !startsWith(made.digest, expected)) {
    throw new HashMismatchError(cid, peer)
  }
}

function startsWith (bytes: Uint8Array, start: Uint8Array): boolean {
  if (bytes.length < start.length) { return false }
  for (let i = 0; i < start.length; i++) {
    if (bytes[i] !== start[i]) { return false }
  }
  return true
}
