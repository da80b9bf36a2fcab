import type { AbortOptions } from '@libp2p/interface'
import { BaseBlockstore } from 'blockstore-core/base'
import type { Blockstore, Pair } from 'interface-blockstore'
import type { Datastore } from 'interface-datastore'
import { Key } from 'interface-datastore/key'
import { base32upper } from 'multiformats/bases/base32'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import * as Digest from 'multiformats/hashes/digest'
import { once, whole } from './chunks.ts'

const PREFIX = '/blocks'

/** Blocks in a datastore, by multihash: /blocks/<base32>, as Go has them. */
export class DatastoreBlocks extends BaseBlockstore implements Blockstore {
  private readonly datastore: Datastore

  constructor (datastore: Datastore) {
    super()
    this.datastore = datastore
  }

  async put (cid: CID, block: Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>, options?: AbortOptions): Promise<CID> {
    await this.datastore.put(keyOf(cid), block instanceof Uint8Array ? block : await whole(block), options)
    return cid
  }

  async * get (cid: CID, options?: AbortOptions): AsyncGenerator<Uint8Array> {
    yield await this.datastore.get(keyOf(cid), options)
  }

  async has (cid: CID, options?: AbortOptions): Promise<boolean> {
    return this.datastore.has(keyOf(cid), options)
  }

  async delete (cid: CID, options?: AbortOptions): Promise<void> {
    await this.datastore.delete(keyOf(cid), options)
  }

  async * getAll (options?: AbortOptions): AsyncGenerator<Pair> {
    for await (const { key, value } of this.datastore.query({ prefix: `${PREFIX}/` }, options)) {
      const multihash = Digest.decode(base32upper.baseDecode(key.baseNamespace()))
      yield { cid: CID.createV1(raw.code, multihash), bytes: once(value) }
    }
  }
}

function keyOf (cid: CID): Key {
  return new Key(`${PREFIX}/${base32upper.baseEncode(cid.multihash.bytes)}`, false)
}
