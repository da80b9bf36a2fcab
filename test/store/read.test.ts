import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { describe, it } from 'node:test'
import { MemoryBlockstore } from 'blockstore-core/memory'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { from } from 'multiformats/hashes/hasher'
import { sha256 } from 'multiformats/hashes/sha2'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { readBlock, readIntact } from '../../src/store/read.ts'
import { verifyBlock } from '../../src/store/verify.ts'

const bytes = Uint8Array.of(1, 2, 3)
const cid = CID.createV1(0x55, Digest.create(0x12, new Uint8Array(32)))

describe('readBlock()', () => {
  it('gives the bytes at once, and not a copy, when the store does', () => {
    const store = new MemoryBlockstore()
    void store.put(cid, bytes)
    equal(readBlock(store, cid), bytes)
  })

  it('throws at once when a store that answers at once has no such block', () => {
    throws(() => readBlock(new MemoryBlockstore(), cid), { name: 'NotFoundError' })
  })

  it('puts pieces together, also of a store that gives them later', async () => {
    const pieces = [Uint8Array.of(1), Uint8Array.of(), Uint8Array.of(2, 3)]
    deepEqual(readBlock({ * get () { yield * pieces } } as any, cid), bytes)
    const later = readBlock({ async * get () { yield * pieces } } as any, cid)
    ok(later instanceof Promise)
    deepEqual(await later, bytes)
    deepEqual(readBlock({ * get () {} } as any, cid), new Uint8Array(0))
  })

  it('says so when a store gives no pieces, as those of older interfaces', () => {
    const older = [bytes, Promise.resolve(bytes), Promise.reject(new Error('not found')), undefined]
    for (const given of older) {
      throws(() => readBlock({ get: () => given } as any, cid), { name: 'TypeError', message: /get\(\) of the blockstore must/ })
    }
  })

  it('ends with the signal when the store never answers, and leaves no listener', async () => {
    const controller = new AbortController()
    const { signal } = controller
    const stuck = readBlock({ async * get () { await new Promise(() => {}) } } as any, cid, { signal })
    const reason = new Error('enough')
    controller.abort(reason)
    await rejects(async () => await stuck, reason)
    equal(getEventListeners(signal, 'abort').length, 0)
    throws(() => readBlock({ * get () { yield bytes } } as any, cid, { signal }), reason)
  })

  it('leaves no listener over 1,000 reads with one signal', async () => {
    const { signal } = new AbortController()
    const store: any = { async * get () { yield bytes } }
    for (let i = 0; i < 1_000; i++) { await readBlock(store, cid, { signal }) }
    equal(getEventListeners(signal, 'abort').length, 0)
  })
})

describe('readIntact()', () => {
  const hashers: Record<string, any> = {
    'at once': sha256,
    later: from({ name: 'sha2-256', code: sha256.code, encode: async bytes => sha256.encode(bytes) })
  }
  const stores: Record<string, (given: Uint8Array) => any> = {
    'at once': given => ({ * get () { yield given } }),
    later: given => ({ async * get () { yield given } })
  }
  for (const [hashed, hasher] of Object.entries(hashers)) {
    for (const [got, store] of Object.entries(stores)) {
      it(`gives what the CID says, and no other bytes, from a store that answers ${got}, hashed ${hashed}`, async () => {
        const good = CID.createV1(0x55, await sha256.digest(bytes))
        const getHasher = (): any => hasher
        equal(await readIntact({ blockstore: store(bytes), getHasher }, good), bytes)
        equal(await readIntact({ blockstore: store(bytes.subarray(1)), getHasher }, good), undefined)
      })
    }
  }

  it('gives undefined for what is not there, what is there where the hash is unknown, and throws all else', async () => {
    const { getHasher } = createLinkSystem()
    const error = new Error('disk on fire')
    const strange = CID.createV1(0x55, Digest.create(0x99, new Uint8Array(32)))
    const failing = (error: Error): any[] => [{ get () { throw error } }, { async * get () { throw error } }]
    for (const blockstore of [new MemoryBlockstore(), ...failing(Object.assign(new Error(), { name: 'NotFoundError' }))]) {
      equal(await readIntact({ blockstore, getHasher }, cid), undefined)
    }
    for (const blockstore of failing(error)) { await rejects(async () => readIntact({ blockstore, getHasher }, cid), error) }
    for (const store of Object.values(stores)) {
      equal(await readIntact(createLinkSystem({ blockstore: store(bytes) }), strange), bytes)
      await rejects(async () => readIntact({ blockstore: store(bytes), getHasher () { throw error } }, strange), error)
    }
  })
})

describe('verifyBlock()', () => {
  it('gives no promise when the hasher does not, and names the peer in its error', async () => {
    const linkSystem = createLinkSystem()
    const good = await linkSystem.store({ a: 1 })
    equal(verifyBlock(linkSystem, good, new TextEncoder().encode('{"a":1}')), undefined)
    const peer: any = { toString: () => 'somebody' }
    throws(() => verifyBlock(linkSystem, good, bytes, peer), { name: 'HashMismatchError', peer, message: /from somebody/ })
  })

  it('takes a digest that is cut off, but not too short a one', async () => {
    const linkSystem = createLinkSystem()
    const linked = await linkSystem.store({ a: 1 })
    const { multihash } = linked
    const cut = (size: number, change = 0): CID => {
      const digest = multihash.digest.slice(0, size)
      digest[size - 1] ^= change
      return CID.createV1(linked.code, Digest.create(multihash.code, digest))
    }
    const good = new TextEncoder().encode('{"a":1}')
    equal(verifyBlock(linkSystem, cut(16), good), undefined)
    throws(() => verifyBlock(linkSystem, cut(15), good), { name: 'HashMismatchError' })
    throws(() => verifyBlock(linkSystem, cut(16, 1), good), { name: 'HashMismatchError' })
    throws(() => verifyBlock(linkSystem, cut(32, 0x80), good), { name: 'HashMismatchError' })
  })

  it('asks a hasher that was given in place of sha2-256', async () => {
    const asked: Uint8Array[] = []
    const hasher = from({ name: 'sha2-256', code: sha256.code, encode: async bytes => { asked.push(bytes); return sha256.encode(bytes) } })
    const linkSystem = createLinkSystem({ hashers: [hasher] })
    const cid = await createLinkSystem().store({ a: 1 })
    const good = new TextEncoder().encode('{"a":1}')
    await verifyBlock(linkSystem, cid, good)
    await rejects(async () => verifyBlock(linkSystem, cid, bytes), { name: 'HashMismatchError' })
    deepEqual(asked, [good, bytes])
  })
})
