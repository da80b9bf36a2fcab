import type { AbortOptions } from '@libp2p/interface'
import type { Blockstore } from 'interface-blockstore'
import type { CID } from 'multiformats/cid'
import { concat } from '../shared/concat.ts'
import { unlessAborted } from '../shared/unless-aborted.ts'
import { whole } from './chunks.ts'
import { holdsItself } from './verify.ts'

/**
 * The bytes of a stored block. Gives a promise only when the store does. A block that comes in one piece is not copied; one that
 * its CID holds is not looked for.
 *
 * @throws what the store throws (an error named NotFoundError), the signal's reason, and TypeError for what is no blockstore
 */
export function readBlock (blockstore: Blockstore, cid: CID, options: AbortOptions = {}): Uint8Array | Promise<Uint8Array> {
  options.signal?.throwIfAborted()
  if (holdsItself(cid)) { return cid.multihash.digest }
  const chunks = blockstore.get(cid, options)
  if (chunks != null && !ArrayBuffer.isView(chunks)) {
    if (Symbol.iterator in chunks) { return concat([...chunks]) }
    if (Symbol.asyncIterator in chunks) { return readAsync(chunks, options.signal) }
  }
  throw new TypeError('get() of the blockstore must give a generator of bytes') // older interfaces have the bytes, or a promise
}

function readAsync (chunks: AsyncGenerator<Uint8Array>, signal?: AbortSignal): Promise<Uint8Array> {
  return signal == null ? whole(chunks) : unlessAborted(whole(chunks), signal) // a store may not look at it
}
