import { concat } from '../shared/concat.ts'

/** A block that comes in pieces. One that comes in one piece is not copied. */
export async function whole (chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const part of chunks) { parts.push(part) }
  return concat(parts)
}

/** A block in one piece. */
export function * once (bytes: Uint8Array): Generator<Uint8Array> {
  yield bytes
}
