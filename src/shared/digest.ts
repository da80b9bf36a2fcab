import type { MultihashHasher } from 'multiformats/hashes/interface'
import { sha256 } from 'multiformats/hashes/sha2'
import { latin1 } from './latin1.ts'
import { isThenable } from './thenable.ts'

/**
 * A digest may be cut off, but to no less than this, in bytes. IPNI's NoEntries link has so many: an advertisement without
 * entries could not be synced with a higher limit.
 */
const MIN_DIGEST_SIZE = 16

// A third of the time of a digest in bytes; undefined where there is no Node.
const nodeHash: ((algorithm: string, data: Uint8Array, encoding: 'latin1') => string) | undefined =
  (globalThis as any).process?.getBuiltinModule?.('node:crypto')?.hash

/** What the hasher makes of the data, as latin1() gives it. A promise only when the hasher gives one. */
export function digestText (hasher: MultihashHasher, data: Uint8Array): string | Promise<string> {
  if (hasher === sha256 && nodeHash != null) { return nodeHash('sha256', data, 'latin1') }
  const made = hasher.digest(data)
  return isThenable(made) ? Promise.resolve(made).then(({ digest }) => latin1(digest)) : latin1(made.digest)
}

/** Whether a digest of `whole` bytes that is cut off to `size` proves enough. */
export function provesEnough (size: number, whole: number): boolean {
  return size === whole || (size >= MIN_DIGEST_SIZE && size < whole)
}
