import type { LinkSystem } from '../../shared/types/store.ts'
import { keyOf } from './keys.ts'
import type { Key, Prefix } from './keys.ts'

const IDENTITY = 0
const SHA2_256 = 0x12

/** A digest that is cut off shorter proves too little; as in the store. */
const MIN_DIGEST = 16

// Twice as fast as a digest in bytes; where there is no Node the link system's hasher does it.
const nodeHash: ((algorithm: string, data: Uint8Array, encoding: 'latin1') => string) | undefined =
  (globalThis as any).process?.getBuiltinModule?.('node:crypto')?.hash

/**
 * The key of the CID that a block has by its prefix; undefined for a prefix that proves nothing. A promise only when the hasher
 * gives one.
 *
 * @throws {UnknownHasherError}
 */
export function keyOfBlock (
  linkSystem: Pick<LinkSystem, 'getHasher'>, prefix: Prefix, data: Uint8Array
): Key | undefined | Promise<Key | undefined> {
  const { hash, length, key } = prefix
  if (hash === IDENTITY) { return length === data.length ? key + keyOf(data) : undefined }
  if (hash === SHA2_256 && nodeHash != null) { return join(key, nodeHash('sha256', data, 'latin1'), length) }
  const digest = linkSystem.getHasher(hash).digest(data)
  return digest instanceof Promise
    ? digest.then(made => join(key, keyOf(made.digest), length))
    : join(key, keyOf(digest.digest), length)
}

function join (prefix: Key, digest: Key, length: number): Key | undefined {
  if (length === digest.length) { return prefix + digest }
  return length < MIN_DIGEST || length > digest.length ? undefined : prefix + digest.slice(0, length)
}
