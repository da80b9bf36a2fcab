import { digestText, provesEnough } from '../../shared/digest.ts'
import type { LinkSystem } from '../../shared/types/store.ts'
import { keyOf } from './keys.ts'
import type { Key, Prefix } from './keys.ts'

const IDENTITY = 0

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
  const digest = digestText(linkSystem.getHasher(hash), data)
  return typeof digest === 'string' ? join(key, digest, length) : digest.then(made => join(key, made, length))
}

function join (prefix: Key, digest: Key, length: number): Key | undefined {
  return provesEnough(length, digest.length) ? prefix + digest.slice(0, length) : undefined
}
