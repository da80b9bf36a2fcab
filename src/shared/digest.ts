import type { MultihashHasher } from 'multiformats/hashes/interface'
import { sha256 } from 'multiformats/hashes/sha2'
import { latin1 } from './latin1.ts'

// A third of the time of a digest in bytes; undefined where there is no Node.
const nodeHash: ((algorithm: string, data: Uint8Array, encoding: 'latin1') => string) | undefined =
  (globalThis as any).process?.getBuiltinModule?.('node:crypto')?.hash

/** What the hasher makes of the data, as latin1() gives it. A promise only when the hasher gives one. */
export function digestText (hasher: MultihashHasher, data: Uint8Array): string | Promise<string> {
  if (hasher === sha256 && nodeHash != null) { return nodeHash('sha256', data, 'latin1') }
  const made = hasher.digest(data)
  return made instanceof Promise ? made.then(({ digest }) => latin1(digest)) : latin1(made.digest)
}
