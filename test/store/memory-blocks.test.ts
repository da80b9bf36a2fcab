import { deepEqual, equal, throws } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MemoryBlockstore } from 'blockstore-core/memory'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { identity } from 'multiformats/hashes/identity'
import { sha256, sha512 } from 'multiformats/hashes/sha2'
import { MemoryBlocks } from '../../src/store/memory-blocks.ts'
import { readBlock } from '../../src/store/read.ts'

const bytes = [1, 2, 3].map(n => Uint8Array.of(n, 255, 128, 0))
const cids = await Promise.all(bytes.map(async (block, i) => CID.createV1(raw.code, await [sha256, sha512, identity][i].digest(block))))

async function * slowly (parts: Uint8Array[]): AsyncGenerator<Uint8Array> { yield * parts }

// blockstore-core's was the store before, and says what one does.
for (const Store of [MemoryBlocks, MemoryBlockstore]) {
  describe(`${Store.name}, a store in memory`, () => {
    it('takes blocks whole and in pieces, and gives them by their multihash', async () => {
      const store = new Store()
      deepEqual(await store.put(cids[0], bytes[0]), cids[0])
      await store.put(cids[1], [bytes[1].subarray(0, 1), bytes[1].subarray(1)])
      await store.put(cids[2], slowly([bytes[2].subarray(0, 3), bytes[2].subarray(3)]))
      for (const [i, cid] of cids.entries()) { deepEqual(readBlock(store, CID.createV1(0x71, cid.multihash)), bytes[i]) }
    })

    it('says what it has, and forgets what is deleted', async () => {
      const store = new Store()
      await store.put(cids[0], bytes[0])
      deepEqual([await store.has(cids[0]), await store.has(cids[1])], [true, false])
      await store.delete(cids[0])
      equal(await store.has(cids[0]), false)
      throws(() => readBlock(store, cids[0]), { name: 'NotFoundError' })
    })

    it('lists its blocks, and takes and gives many', async () => {
      const store = new Store()
      const put: CID[] = []
      for await (const cid of store.putMany(cids.map((cid, i) => ({ cid, bytes: bytes[i] })))) { put.push(cid) }
      deepEqual(put, cids)
      const all = new Map<string, Uint8Array>()
      for await (const { cid, bytes } of store.getAll()) {
        for await (const chunk of bytes) { all.set(`${cid}`, chunk) }
      }
      deepEqual(all, new Map(cids.map((cid, i) => [`${cid}`, bytes[i]])))
    })

    it('does nothing for a signal that is aborted', async () => {
      const store = new Store()
      const reason = new Error('enough')
      const options = { signal: AbortSignal.abort(reason) }
      throws(() => store.put(cids[0], bytes[0], options), reason)
      throws(() => store.has(cids[0], options), reason)
      throws(() => store.get(cids[0], options).next(), reason)
      equal(await store.has(cids[0]), false)
    })
  })
}
