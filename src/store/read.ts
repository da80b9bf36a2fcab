import type { AbortOptions } from '@libp2p/interface'
import type { Blockstore } from 'interface-blockstore'
import type { CID } from 'multiformats/cid'
import { concat } from '../shared/concat.ts'
import { isNotFound } from '../shared/not-found.ts'
import { isStrayPromise } from '../shared/thenable.ts'
import type { LinkSystem } from '../shared/types.ts'
import { unlessAborted } from '../shared/unless-aborted.ts'
import { whole } from './chunks.ts'
import { holdsItself, isIntact } from './verify.ts'

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
    if (Symbol.iterator in chunks) { return joined(chunks) }
    if (Symbol.asyncIterator in chunks) { return readAsync(chunks, options.signal) }
    isStrayPromise(chunks) // it may reject, and would end the process
  }
  throw new TypeError('get() of the blockstore must give a generator of bytes') // older interfaces have the bytes, or a promise
}

/** Not by a spread, which takes longer than all the rest for the one chunk that most stores give. */
function joined (chunks: Iterable<Uint8Array>): Uint8Array {
  const iterator = chunks[Symbol.iterator]()
  const first = iterator.next()
  if (first.done === true) { return concat([]) }
  const parts = [first.value]
  for (let next = iterator.next(); next.done !== true; next = iterator.next()) { parts.push(next.value) }
  return concat(parts)
}

/**
 * As readBlock(); undefined where the store has none, or what it has is not what the CID says: a write that a crash has cut off would
 * end each sync that comes there, and another block lead elsewhere.
 */
export function readIntact (
  linkSystem: Pick<LinkSystem, 'blockstore' | 'getHasher'>, cid: CID, options?: AbortOptions
): Uint8Array | undefined | Promise<Uint8Array | undefined> {
  const check = (bytes: Uint8Array): Uint8Array | undefined | Promise<Uint8Array | undefined> => {
    const intact = isIntact(linkSystem, cid, bytes)
    return typeof intact === 'boolean' ? (intact ? bytes : undefined) : intact.then(intact => intact ? bytes : undefined)
  }
  let read: Uint8Array | Promise<Uint8Array>
  try {
    read = readBlock(linkSystem.blockstore, cid, options)
  } catch (error) {
    return undefinedWhenGone(error)
  }
  return read instanceof Promise ? read.then(check, undefinedWhenGone) : check(read)
}

function undefinedWhenGone (error: unknown): undefined {
  if (isNotFound(error)) { return undefined }
  throw error
}

function readAsync (chunks: AsyncGenerator<Uint8Array>, signal?: AbortSignal): Promise<Uint8Array> {
  return signal == null ? whole(chunks) : unlessAborted(whole(chunks), signal) // a store may not look at it
}
