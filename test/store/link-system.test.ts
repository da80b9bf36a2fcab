import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { runInNewContext } from 'node:vm'
import * as dagCbor from '@ipld/dag-cbor'
import { MemoryBlockstore } from 'blockstore-core/memory'
import { MemoryDatastore } from 'datastore-core/memory'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import * as Digest from 'multiformats/hashes/digest'
import { from } from 'multiformats/hashes/hasher'
import { identity } from 'multiformats/hashes/identity'
import { sha256 } from 'multiformats/hashes/sha2'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { readBlock, readIntact } from '../../src/store/read.ts'

const node = { Number: 1, bytes: Uint8Array.of(1, 2), list: [null, 'x'] }

describe('createLinkSystem()', () => {
  it('stores as dag-json with sha2-256, as advertisements are, and loads plain objects', async () => {
    const linkSystem = createLinkSystem()
    const cid = await linkSystem.store({ Number: 1 })
    equal(cid.toString(), 'baguqeerah5jbm4o22vrstcqv6bqibsilh3bgamxcbiyxgvwaslbeionwniiq')
    deepEqual(await linkSystem.load(cid), { Number: 1 })
  })

  it('stores with another codec and hasher', async () => {
    const linkSystem = createLinkSystem()
    for (const code of [0x12, 0x13, 0xb220]) {
      const cid = await linkSystem.store(node, { codec: linkSystem.getCodec(dagCbor.code), hasher: linkSystem.getHasher(code) })
      equal(cid.multihash.code, code)
      deepEqual(await linkSystem.load(cid), node)
      await linkSystem.put(cid, dagCbor.encode(node))
    }
  })

  it('stores no object that the data model does not have, such as a promise that was not awaited', async () => {
    const linkSystem = createLinkSystem()
    const others = [Promise.resolve(), new Date(), new Set([1]), /x/, new URL('http://x'), new Error('x'), new ArrayBuffer(1), new Float32Array(1)]
    for (const other of others) {
      await rejects(linkSystem.store({ other }), { name: 'TypeError', message: `dag-json has no ${other.constructor.name}` })
    }
  })

  it('stores no value that dag-json does not have', async () => {
    const linkSystem = createLinkSystem()
    for (const value of [NaN, Infinity, 2n ** 63n, -(2n ** 63n) - 1n, Symbol('x'), () => {}, undefined, new Map([[1, 2]])]) {
      await rejects(linkSystem.store([value]), { message: /^dag-json has/ })
    }
    deepEqual(await linkSystem.load(await linkSystem.store([2n ** 63n - 1n, -(2n ** 63n)])), [2n ** 63n - 1n, -(2n ** 63n)])
  })

  it('orders keys by their UTF-8, as Go does', async () => {
    const linkSystem = createLinkSystem()
    const bytes = await readBlock(linkSystem.blockstore, await linkSystem.store({ '\u{1f600}': 2, '\uff61': 1, a: 0 }))
    equal(new TextDecoder().decode(bytes), '{"a":0,"\uff61":1,"\u{1f600}":2}')
    const begun = await readBlock(linkSystem.blockstore, await linkSystem.store({ ab: 0, a: 1, '': 2, abc: 3 }))
    equal(new TextDecoder().decode(begun), '{"":2,"a":1,"ab":0,"abc":3}')
  })

  it('stores -0, text that is cut off within a letter, and bytes of more than 8 KiB', async () => {
    const linkSystem = createLinkSystem()
    const bytes = new Uint8Array(20_000).fill(7)
    const cid = await linkSystem.store([-0, '\ud83d', bytes])
    const text = new TextDecoder().decode(await readBlock(linkSystem.blockstore, cid))
    ok(text.startsWith('[-0,"\ufffd",{"/":'))
    deepEqual((await linkSystem.load(cid))[2], bytes)
  })

  it('says which key of a map is undefined', async () => {
    const node = { Index: 0, PreviousID: undefined }
    await rejects(createLinkSystem().store(node), { name: 'TypeError', message: 'dag-json has no undefined: leave out the key "PreviousID"' })
  })

  it('stores objects of a class as maps', async () => {
    class Advertisement { Index = 1 }
    const linkSystem = createLinkSystem()
    deepEqual(await linkSystem.load(await linkSystem.store(new Advertisement())), { Index: 1 })
    deepEqual(await linkSystem.load(await linkSystem.store(Object.assign(Object.create(null), { Index: 1 }))), { Index: 1 })
    deepEqual(await linkSystem.load(await linkSystem.store(new Map([['Index', 1]]))), { Index: 1 })
  })

  it('makes the blake2b-256 digests that others do', async () => {
    const { digest } = await createLinkSystem().getHasher(0xb220).digest(new TextEncoder().encode('abc'))
    equal(Buffer.from(digest).toString('hex'), 'bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319')
  })

  it('throws for a codec and a hasher that it does not know, and takes more of them', async () => {
    const linkSystem = createLinkSystem()
    throws(() => linkSystem.getCodec(0x99), { name: 'UnknownCodecError', codec: 0x99 })
    throws(() => linkSystem.getHasher(0x99), { name: 'UnknownHasherError', hasher: 0x99 })
    const codec = { ...raw, name: 'mine', code: 0x99 } as any
    const hasher = from({ name: 'slow', code: 0x98, encode: async bytes => (await sha256.digest(bytes)).digest })
    const more = createLinkSystem({ codecs: [codec], hashers: [hasher] })
    const cid = await more.store(Uint8Array.of(7), { codec, hasher })
    deepEqual(await more.load(cid), Uint8Array.of(7))
    await more.put(cid, Uint8Array.of(7))
    await rejects(more.put(cid, Uint8Array.of(8)), { name: 'HashMismatchError' })
  })

  it('takes a hasher with promises of another realm', async () => {
    const foreign: (value: unknown) => Promise<any> = runInNewContext('value => new Promise(resolve => { resolve(value) })')
    const hasher = from({ name: 'foreign', code: sha256.code, encode: bytes => foreign(sha256.encode(bytes)) })
    const linkSystem = createLinkSystem({ hashers: [hasher] })
    const [cid, other] = [await linkSystem.store({ a: 1 }), await linkSystem.store({ b: 2 })]
    const bytes = await readBlock(linkSystem.blockstore, cid)
    await linkSystem.put(cid, bytes)
    await rejects(linkSystem.put(other, bytes), { name: 'HashMismatchError' })
    deepEqual(await readIntact(linkSystem, cid), bytes)
  })

  it('refuses two stores and what is no store, codec or hasher', () => {
    const both = { blockstore: new MemoryBlockstore(), datastore: new MemoryDatastore() }
    throws(() => createLinkSystem(both), { name: 'InvalidOptionError', field: 'datastore' })
    throws(() => createLinkSystem({ blockstore: {} as any }), { name: 'InvalidOptionError', field: 'blockstore' })
    throws(() => createLinkSystem({ datastore: new Map() as any }), { name: 'InvalidOptionError', field: 'datastore' })
    throws(() => createLinkSystem({ datastore: 5 as any }), { name: 'InvalidOptionError', field: 'datastore' })
    throws(() => createLinkSystem({ codecs: [{} as any] }), { name: 'InvalidOptionError', field: 'codecs' })
    throws(() => createLinkSystem({ hashers: {} as any }), { name: 'InvalidOptionError', field: 'hashers' })
  })
})

describe('put()', () => {
  it('stores the bytes as they are, though they are not canonical', async () => {
    const linkSystem = createLinkSystem()
    const bytes = new TextEncoder().encode('{ "b": 1,\n"a": 2 }')
    const cid = CID.createV1(0x0129, await sha256.digest(bytes))
    await linkSystem.put(cid, bytes)
    deepEqual(await readBlock(linkSystem.blockstore, cid), bytes)
  })

  it('keeps a copy, so that a buffer may be used again for the next block, also before the block is verified', async () => {
    const slow = from({ name: 'slow', code: 0x300001, encode: async bytes => (await sha256.digest(bytes)).digest })
    for (const hasher of [sha256, slow]) {
      for (const buffer of [Uint8Array.of(1, 2), Buffer.of(1, 2)]) {
        const linkSystem = createLinkSystem({ hashers: [slow] })
        const cid = CID.createV1(raw.code, await hasher.digest(Uint8Array.of(1, 2)))
        const put = linkSystem.put(cid, buffer)
        buffer.fill(7)
        await put
        deepEqual(await linkSystem.load(cid), Uint8Array.of(1, 2))
        const stored = linkSystem.store(buffer, { codec: raw, hasher })
        buffer.fill(8)
        deepEqual(await linkSystem.load(await stored), Uint8Array.of(7, 7))
      }
    }
  })

  it('stores nothing that does not match its CID', async () => {
    const linkSystem = createLinkSystem()
    const cid = CID.createV1(raw.code, await sha256.digest(Uint8Array.of(1)))
    await rejects(linkSystem.put(cid, Uint8Array.of(2)), { name: 'HashMismatchError', cid })
    equal(await linkSystem.has(cid), false)
  })

  it('takes a digest that is cut off to 16 bytes, as that of NoEntries is, and none that is shorter', async () => {
    const linkSystem = createLinkSystem()
    const { digest } = await sha256.digest(new Uint8Array(0))
    const cid = (size: number): CID => CID.createV1(raw.code, Digest.create(0x12, digest.slice(0, size)))
    await linkSystem.put(cid(16), new Uint8Array(0))
    equal((await linkSystem.load(cid(16))).length, 0)
    for (const size of [0, 1, 15]) {
      await rejects(linkSystem.put(cid(size), new Uint8Array(0)), { name: 'HashMismatchError' })
    }
    const long = CID.createV1(raw.code, Digest.create(0x12, Uint8Array.from([...digest, 0])))
    await rejects(linkSystem.put(long, new Uint8Array(0)), { name: 'HashMismatchError' })
  })

  it('throws for an unknown hasher', async () => {
    const cid = CID.createV1(raw.code, Digest.create(0x99, new Uint8Array(32)))
    await rejects(createLinkSystem().put(cid, new Uint8Array(0)), { name: 'UnknownHasherError' })
  })

  it('rejects with the reason of a signal that is aborted', async () => {
    const linkSystem = createLinkSystem()
    const cid = await linkSystem.store(node)
    const reason = new Error('enough')
    const signal = AbortSignal.abort(reason)
    await rejects(linkSystem.put(cid, new Uint8Array(0), { signal }), reason)
    await rejects(linkSystem.load(cid, { signal }), reason)
    await rejects(linkSystem.has(cid, { signal }), reason)
    for (const hasher of [undefined, identity]) { await rejects(linkSystem.store({ x: 1 }, { hasher, signal }), reason) }
    await rejects(linkSystem.has(await linkSystem.store(node, { hasher: identity }), { signal }), reason)
  })
})

describe('identity CIDs', () => {
  const bytes = new TextEncoder().encode('{"a":1}')
  const cid = CID.createV1(0x0129, identity.digest(bytes))

  it('need no store', async () => {
    const linkSystem = createLinkSystem({ blockstore: { get () { throw new Error('asked') } } as any })
    await linkSystem.put(cid, bytes)
    equal(await linkSystem.has(cid), true)
    deepEqual(await linkSystem.load(cid), { a: 1 })
    ok((await linkSystem.store({ a: 1 }, { hasher: identity })).equals(cid))
    await rejects(linkSystem.put(cid, Uint8Array.of(...bytes, 0)), { name: 'HashMismatchError' })
  })

  it('hold no more than 128 bytes', async () => {
    const linkSystem = createLinkSystem()
    const big = new Uint8Array(129)
    const bigCid = CID.createV1(raw.code, identity.digest(big))
    await rejects(linkSystem.put(bigCid, big), { name: 'HashMismatchError' })
    equal(await linkSystem.has(bigCid), false)
    await rejects(linkSystem.load(bigCid), { name: 'NotFoundError' })
    const most = CID.createV1(raw.code, identity.digest(big.subarray(1)))
    deepEqual(await linkSystem.load(most), big.subarray(1))
  })
})

describe('a store that hangs and does not look at signals', () => {
  it('holds up no call that is aborted', async () => {
    const never = async (): Promise<never> => new Promise(() => {})
    const blockstore = Object.assign(new MemoryBlockstore(), { put: never, has: never, async * get () { await never() } })
    const linkSystem = createLinkSystem({ blockstore })
    const bytes = Uint8Array.of(1, 2, 3)
    const cid = CID.createV1(raw.code, await sha256.digest(bytes))
    const controller = new AbortController()
    const { signal } = controller
    const reason = new Error('enough')
    setTimeout(() => { controller.abort(reason) }, 20)
    for (const call of [
      linkSystem.load(cid, { signal }), linkSystem.has(cid, { signal }),
      linkSystem.put(cid, bytes, { signal }), linkSystem.store(node, { signal })
    ]) { await rejects(call, reason) }
  })
})

describe('a link system over a datastore', () => {
  it('keeps blocks under /blocks, by multihash', async () => {
    const datastore = new MemoryDatastore()
    const linkSystem = createLinkSystem({ datastore })
    const cid = await linkSystem.store(node)
    const keys = []
    for await (const key of datastore.queryKeys({ prefix: '/blocks/' })) { keys.push(key.toString()) }
    equal(keys.length, 1)
    ok(/^\/blocks\/CIQ[A-Z2-7]+$/.test(keys[0]))
    deepEqual(await linkSystem.load(cid), node)
    equal(await linkSystem.has(CID.createV1(raw.code, cid.multihash)), true)
    const all = await Array.fromAsync(linkSystem.blockstore.getAll())
    deepEqual(all.map(pair => pair.cid.multihash.bytes), [cid.multihash.bytes])
    await linkSystem.blockstore.delete(cid)
    equal(await linkSystem.has(cid), false)
    await rejects(linkSystem.load(cid), { name: 'NotFoundError' })
  })

  it('hands the signal on to it', async () => {
    const signals: unknown[] = []
    const datastore: any = new MemoryDatastore()
    for (const name of ['put', 'get', 'has', 'delete', 'query']) {
      const own = datastore[name].bind(datastore)
      datastore[name] = (...args: any[]) => {
        signals.push(args.at(-1)?.signal)
        return own(...args)
      }
    }
    const { blockstore } = createLinkSystem({ datastore })
    const { signal } = new AbortController()
    const cid = CID.createV1(raw.code, await sha256.digest(Uint8Array.of(1)))
    await blockstore.put(cid, Uint8Array.of(1), { signal })
    await readBlock(blockstore, cid, { signal })
    await blockstore.has(cid, { signal })
    await Array.fromAsync(blockstore.getAll({ signal }))
    await blockstore.delete(cid, { signal })
    deepEqual(signals, [signal, signal, signal, signal, signal])
  })

  it('takes a block in pieces', async () => {
    const datastore = new MemoryDatastore()
    const { blockstore } = createLinkSystem({ datastore })
    const cid = CID.createV1(raw.code, await sha256.digest(Uint8Array.of(1, 2, 3)))
    await blockstore.put(cid, [Uint8Array.of(1), Uint8Array.of(2, 3)])
    deepEqual(await readBlock(blockstore, cid), Uint8Array.of(1, 2, 3))
    deepEqual((await Array.fromAsync(datastore.query({}))).map(({ value }) => value), [Uint8Array.of(1, 2, 3)])
  })

  it('fails as it does', async () => {
    const datastore = new MemoryDatastore()
    const linkSystem = createLinkSystem({ datastore })
    const cid = await linkSystem.store(node)
    datastore.put = datastore.delete = (async () => { throw new Error('disk full') }) as never
    await rejects(linkSystem.store({ other: node }), /disk full/)
    await rejects(async () => linkSystem.blockstore.delete(cid), /disk full/)
  })
})
