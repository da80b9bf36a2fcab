import { NotFoundError, type AbortOptions } from '@libp2p/interface'
import { BaseBlockstore } from 'blockstore-core/base'
import type { Blockstore, Pair } from 'interface-blockstore'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import * as Digest from 'multiformats/hashes/digest'
import { latin1, latin1Bytes } from '../shared/latin1.ts'
import { once, whole } from './chunks.ts'

/** Blocks in memory, by multihash. blockstore-core's has base32 text for keys: making and finding it took a fifth of a publisher's time. */
export class MemoryBlocks extends BaseBlockstore implements Blockstore {
  private readonly blocks = new Map<string, Uint8Array>()

  put (
    cid: CID, block: Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>, options?: AbortOptions
  ): CID | Promise<CID> {
    options?.signal?.throwIfAborted()
    if (!(block instanceof Uint8Array)) { return whole(block).then(bytes => this.put(cid, bytes, options)) }
    this.blocks.set(keyOf(cid), block)
    return cid
  }

  * get (cid: CID, options?: AbortOptions): Generator<Uint8Array> {
    options?.signal?.throwIfAborted()
    const block = this.blocks.get(keyOf(cid))
    if (block == null) { throw new NotFoundError(`no block ${cid}`) }
    yield block
  }

  has (cid: CID, options?: AbortOptions): boolean {
    options?.signal?.throwIfAborted()
    return this.blocks.has(keyOf(cid))
  }

  delete (cid: CID, options?: AbortOptions): void {
    options?.signal?.throwIfAborted()
    this.blocks.delete(keyOf(cid))
  }

  * getAll (options?: AbortOptions): Generator<Pair> {
    for (const [key, block] of this.blocks) {
      options?.signal?.throwIfAborted()
      yield { cid: CID.createV1(raw.code, Digest.decode(latin1Bytes(key))), bytes: once(block) }
    }
  }
}

function keyOf (cid: CID): string {
  return latin1(cid.multihash.bytes)
}
