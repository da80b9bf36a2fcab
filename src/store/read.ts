import type { AbortOptions } from '@libp2p/interface'
import type { Blockstore } from 'interface-blockstore'
import type { CID } from 'multiformats/cid'
import { holdsItself } from './verify.ts'

/**
 * The bytes of a stored block. Gives a promise only when the store does. A block that comes in one piece is not copied; one that
 * its CID holds is not looked for.
 *
 * @throws what the store throws (an error named NotFoundError), and the signal's reason
 */
export function readBlock (blockstore: Blockstore, cid: CID, options: AbortOptions = {}): Uint8Array | Promise<Uint8Array> {
  options.signal?.throwIfAborted()
  if (holdsItself(cid)) { return cid.multihash.digest }
  const chunks = blockstore.get(cid, options)
  return Symbol.iterator in chunks ? joined([...chunks]) : readAsync(chunks, options.signal)
}

async function readAsync (chunks: AsyncGenerator<Uint8Array>, signal?: AbortSignal): Promise<Uint8Array> {
  const read = async (): Promise<Uint8Array> => {
    const parts: Uint8Array[] = []
    for await (const part of chunks) { parts.push(part) }
    return joined(parts)
  }
  return signal == null ? read() : abortable(read(), signal)
}

/** Ends a wait with the signal's reason, also where the store does not look at the signal. */
async function abortable<T> (result: Promise<T>, signal: AbortSignal): Promise<T> {
  let abort = (): void => {}
  const aborted = new Promise<never>((_resolve, reject) => {
    abort = () => { reject(signal.reason) }
    signal.addEventListener('abort', abort)
  })
  try {
    return await Promise.race([result, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function joined (parts: Uint8Array[]): Uint8Array {
  if (parts.length === 1) { return parts[0] }
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
