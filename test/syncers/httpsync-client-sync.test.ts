import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { identity } from 'multiformats/hashes/identity'
import { getEventListeners } from 'node:events'
import { describe, it } from 'node:test'
import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict'
import { createHttpClient } from '../../src/syncers/httpsync/client.node.ts'
import { createHttpSyncer, HttpSyncer } from '../../src/syncers/index.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { encodeSignedHead } from '../../src/syncers/httpsync/signed-head.ts'
import { readBlock } from '../../src/store/read.ts'
import { chain } from '../../src/testing/chain.ts'
import { exploreAll, exploreRecursive, exploreRecursiveEdge, matcher } from '../../src/traversal/builders.ts'
import { AheadBudget } from '../../src/syncers/httpsync/ahead.ts'
import { inTime, randomPeer, until } from '../support/hall.ts'
import { carriers } from './carriers.ts'
import { addrOf, publish } from './httpsync-servers.ts'
import type { HttpSyncerInit, LinkSystem, SyncedBlock, SyncerSyncOptions } from '../../src/syncers/index.ts'
import type { TestPublisher } from './httpsync-servers.ts'

const ALL = exploreRecursive({ none: {} }, exploreAll(exploreRecursiveEdge()))

async function walked (syncer: HttpSyncer, root: CID, options: SyncerSyncOptions = {}): Promise<SyncedBlock[]> {
  const blocks: SyncedBlock[] = []
  await syncer.sync(root, ALL, { ...options, onBlock: block => { blocks.push(block) } })
  return blocks
}

const texts = (blocks: SyncedBlock[]): string[] => blocks.map(({ cid }) => cid.toString())

type Init = Partial<HttpSyncerInit> & { linkSystem?: LinkSystem }

for (const carrier of carriers) {
  const syncerFor = (publisher: TestPublisher, init: Init = {}): HttpSyncer & { store: LinkSystem } => {
    const { linkSystem = createLinkSystem(), ...rest } = init
    return Object.assign(carrier.syncer(publisher, linkSystem, { httpRetry: false, ...rest }), { store: linkSystem })
  }

  describe(`syncing over ${carrier.name}`, () => {
    it('asks for the head, fetches the chain and stores it, in walk order', async () => {
      const linkSystem = createLinkSystem()
      const cids = await chain(linkSystem, 5)
      await using publisher = await carrier.publish(linkSystem, cids[0])
      await using syncer = syncerFor(publisher)
      const head = await syncer.head()
      deepEqual(head, cids[0])
      const blocks = await walked(syncer, cids[0])
      deepEqual(texts(blocks), cids.map(String))
      ok(blocks.every(({ local, bytes }) => !local && bytes > 100))
      for (const cid of cids) { deepEqual(await syncer.store.load(cid), await linkSystem.load(cid)) }
      equal(publisher.connections, 1)
      equal(syncer.workingAddr, carrier.overStreams ? undefined : publisher.addr)
    })

    it('holds no more of what it fetches ahead than the budget, however large the blocks turn out to be', async () => {
      const linkSystem = createLinkSystem()
      const leaves: CID[] = []
      for (let i = 0; i < 40; i++) { leaves.push(await linkSystem.store({ leaf: i, pad: 'x'.repeat(300_000) })) }
      const root = await linkSystem.store(leaves)
      const gate = Promise.withResolvers<void>()
      const blockstore = linkSystem.blockstore
      const held = Object.create(blockstore, { get: { value: (cid: CID) => cid.equals(leaves[0]) ? late(cid) : blockstore.get(cid) } })
      const late = async function * (cid: CID): AsyncGenerator<Uint8Array> {
        await gate.promise
        yield * blockstore.get(cid)
      }
      await using publisher = await carrier.publish(createLinkSystem({ blockstore: held }), root)
      const budget = new AheadBudget({ requests: 32, bytes: 2_000_000 })
      await using syncer = syncerFor(publisher, { prefetch: budget })
      const blocks: SyncedBlock[] = []
      const onBlock = (block: SyncedBlock): void => {
        blocks.push(block)
        ok(budget.held <= budget.bytes, `${budget.held} bytes`)
      }
      const syncing = syncer.sync(root, ALL, { onBlock })
      await until(() => blocks.length === 1 && budget.inFlight === 1) // that of the first leaf
      ok(budget.held <= budget.bytes && budget.held > 600_000, `${budget.held} bytes`)
      gate.resolve()
      await syncing
      deepEqual(texts(blocks), [root, ...leaves].map(String))
      deepEqual([budget.held, budget.inFlight], [0, 0])
    })

    it('has no head where the publisher has none', async () => {
      await using publisher = await carrier.publish(createLinkSystem(), undefined)
      await using syncer = syncerFor(publisher)
      equal(await syncer.head(), undefined)
    })

    it('fetches only what the store lacks, and tells which was which', async () => {
      const linkSystem = createLinkSystem()
      const cids = await chain(linkSystem, 4)
      await using publisher = await carrier.publish(linkSystem, cids[0])
      await using syncer = syncerFor(publisher)
      for (const cid of [cids[1], cids[3]]) { await syncer.store.store(await linkSystem.load(cid)) }
      deepEqual((await walked(syncer, cids[0])).map(({ local }) => local), [false, true, false, true])
      deepEqual(publisher.requests, [cids[0], cids[2]].map(cid => `GET /ipni/v1/ad/${cid}`))
      ok((await walked(syncer, cids[0])).every(({ local }) => local))
      equal(publisher.requests.length, 2)
    })

    it('calls onBlock when the block is stored, and waits for it', async () => {
      const linkSystem = createLinkSystem()
      const cids = await chain(linkSystem, 3)
      await using publisher = await carrier.publish(linkSystem, cids[0])
      await using syncer = syncerFor(publisher)
      const seen: Array<[boolean, number]> = []
      await syncer.sync(cids[0], ALL, {
        onBlock: async ({ cid }) => {
          const stored = await syncer.store.has(cid)
          await new Promise(resolve => { setImmediate(resolve) })
          seen.push([stored, publisher.requests.length])
          await syncer.store.blockstore.delete(cid) // a hook may do so
        }
      })
      deepEqual(seen, [[true, 1], [true, 2], [true, 3]])
    })

    it('ends with what onBlock throws', async () => {
      const linkSystem = createLinkSystem()
      const cids = await chain(linkSystem, 3)
      await using publisher = await carrier.publish(linkSystem, cids[0])
      await using syncer = syncerFor(publisher)
      const error = new Error('enough')
      await rejects(syncer.sync(cids[0], ALL, { onBlock: () => { throw error } }), err => err === error)
      equal(publisher.requests.length, 1)
    })

    it('hints what it asks for by the field of the link, and by schemaType for the root', async () => {
      const linkSystem = createLinkSystem()
      const leaf = await linkSystem.store({ Entries: [] })
      const entries = await linkSystem.store({ Entries: [], Next: leaf })
      const previous = await linkSystem.store({ IsRm: true })
      const ad = await linkSystem.store({ Entries: entries, Other: await linkSystem.store('x'), PreviousID: previous })
      await using publisher = await carrier.publish(linkSystem, ad)
      const hints = (): Array<string | string[] | undefined> => publisher.headers.splice(0).map(headers => headers['ipni-cid-schema-type'])
      for (const prefetch of [false, undefined] as const) {
        await using syncer = syncerFor(publisher, { prefetch })
        await walked(syncer, ad, { schemaType: 'Advertisement' })
        const [root, ...others] = hints()
        equal(root, 'Advertisement')
        deepEqual(prefetch === false ? others : others.sort(), prefetch === false
          ? ['EntryChunk', 'EntryChunk', undefined, 'Advertisement']
          : ['Advertisement', 'EntryChunk', 'EntryChunk', undefined])
      }
      await using second = syncerFor(publisher)
      await walked(second, leaf)
      deepEqual(hints(), [undefined])
      await using third = syncerFor(publisher)
      await walked(third, ad, { schemaType: 'EntryChunk' }) // a HAMT has no such fields
      deepEqual(hints().sort(), ['Advertisement', 'EntryChunk', 'EntryChunk', 'EntryChunk', 'EntryChunk'])
    })

    it('follows links into other codecs and reads identity CIDs out of themselves', async () => {
      const linkSystem = createLinkSystem()
      const cbor = await linkSystem.store({ deep: true }, { codec: dagCbor })
      const inline = await linkSystem.store({ to: cbor }, { codec: dagCbor, hasher: identity })
      const root = await linkSystem.store({ inline })
      await using publisher = await carrier.publish(linkSystem, root)
      await using syncer = syncerFor(publisher)
      const blocks = await walked(syncer, root)
      deepEqual(texts(blocks), [root, inline, cbor].map(String))
      deepEqual(blocks.map(({ local }) => local), [false, true, false])
      equal(publisher.requests.length, 2)
    })

    it('reads the codecs that its link system was given', async () => {
      const codec = { name: 'mine', code: 0x300000, encode: dagCbor.encode, decode: dagCbor.decode }
      const linkSystem = createLinkSystem({ codecs: [codec] })
      const leaf = await linkSystem.store('leaf')
      const root = await linkSystem.store({ leaf }, { codec })
      await using publisher = await carrier.publish(linkSystem, root)
      await using syncer = syncerFor(publisher, { linkSystem: createLinkSystem({ codecs: [codec] }) })
      equal((await walked(syncer, root)).length, 2)
      await using without = syncerFor(publisher)
      publisher.requests.length = 0
      await rejects(walked(without, root), { name: 'UnknownCodecError' })
      equal(publisher.requests.length, 0)
    })

    it('fails on bytes that are not what was asked for, and stores none of them', async () => {
      const linkSystem = createLinkSystem()
      const cids = await chain(linkSystem, 3)
      await using publisher = await carrier.publish(linkSystem, cids[0], (resource, res) => {
        if (resource !== cids[1].toString()) { return false }
        res.end('something else')
        return true
      })
      await using syncer = syncerFor(publisher, { httpRetry: { retries: 3, minDelay: 1, maxDelay: 1 } })
      const seen: string[] = []
      await rejects(syncer.sync(cids[0], ALL, { onBlock: ({ cid }) => { seen.push(cid.toString()) } }), err => {
        deepEqual([(err as Error).name, (err as any).cid, (err as any).peer], ['HashMismatchError', cids[1], publisher.peerId])
        return true
      })
      deepEqual(seen, [cids[0].toString()])
      equal(await syncer.store.has(cids[1]), false)
      equal(publisher.requests.length, 2)
    })

    it('stores a block that does not decode, does not hand it on, and fails', async () => {
      const linkSystem = createLinkSystem()
      const bytes = new TextEncoder().encode('{"a":')
      const digest = await linkSystem.getHasher(0x12).digest(bytes)
      const broken = CID.createV1(0x0129, digest)
      await linkSystem.put(broken, bytes)
      const root = await linkSystem.store({ broken })
      await using publisher = await carrier.publish(linkSystem, root)
      await using syncer = syncerFor(publisher)
      const seen: string[] = []
      await rejects(syncer.sync(root, ALL, { onBlock: ({ cid }) => { seen.push(cid.toString()) } }), { name: 'InvalidMessageError' })
      deepEqual(seen, [root.toString()])
      ok(await syncer.store.has(broken))
    })

    it('names what is missing, too large or refused', async () => {
      const linkSystem = createLinkSystem()
      const root = await linkSystem.store({ text: 'x'.repeat(2000) })
      let status = 404
      await using publisher = await carrier.publish(linkSystem, root, (_, res) => {
        if (status === 200) { return false }
        res.writeHead(status).end()
        return true
      })
      await using syncer = syncerFor(publisher, { maxBlockSize: 1000 })
      await rejects(walked(syncer, root), { name: 'ContentNotFoundError', cid: root })
      status = 400
      await rejects(walked(syncer, root), { name: 'HttpStatusError', status: 400 })
      status = 200
      await rejects(walked(syncer, root), { name: 'BlockTooLargeError', limit: 1000 })
      equal(await syncer.store.has(root), false)
      await using patient = syncerFor(publisher)
      equal((await walked(patient, root)).length, 1)
    })

    it('names what is wrong with a head', async () => {
      const linkSystem = createLinkSystem()
      const root = await linkSystem.store({})
      let answer: string | number | Uint8Array | undefined
      await using publisher = await carrier.publish(linkSystem, root, (_, res) => {
        if (answer == null) { return false }
        res.writeHead(typeof answer === 'number' ? answer : 200).end(typeof answer === 'number' ? '' : answer)
        return true
      })
      await using syncer = syncerFor(publisher, { maxBlockSize: 5000 })
      const other = await generateKeyPair('Ed25519')
      answer = await encodeSignedHead(root, other)
      const signer = peerIdFromPrivateKey(other)
      await rejects(syncer.head(), { name: 'UnexpectedSignerError', expected: publisher.peerId, signer })
      answer = '{"head":1}'
      await rejects(syncer.head(), { name: 'InvalidSignedHeadError' })
      for (const [given, cause] of [[404, 'HttpStatusError'], [500, 'HttpStatusError'], ['x'.repeat(5001), 'BlockTooLargeError']] as const) {
        answer = given
        await rejects(syncer.head(), err => {
          deepEqual([(err as Error).name, ((err as Error).cause as Error).name, (err as any).peerId], ['HeadQueryError', cause, publisher.peerId])
          return true
        })
      }
    })

    it('asks for a head again that was not good, and not whether it has changed', async () => {
      await using publisher = await carrier.publish(createLinkSystem(), undefined, (resource, res) => {
        if (resource === 'head') { res.setHeader('ETag', '"1"').end('{}') }
        return resource === 'head'
      })
      await using syncer = syncerFor(publisher)
      for (let i = 0; i < 2; i++) { await rejects(syncer.head(), { name: 'InvalidSignedHeadError' }) }
      deepEqual(publisher.headers.map(headers => headers['if-none-match']), [undefined, undefined])
    })

    it('verifies a head once while the publisher says that it is the same', async () => {
      const linkSystem = createLinkSystem()
      const root = await linkSystem.store({})
      await using publisher = await carrier.publish(linkSystem, root, (_, res, req) => {
        res.setHeader('etag', '"1"')
        if (req.headers['if-none-match'] == null) { return false }
        res.writeHead(304).end()
        return true
      })
      await using syncer = syncerFor(publisher)
      const head = await syncer.head()
      equal(await syncer.head(), head)
    })

    it('rethrows what a signal was aborted with: before, while it asks, between blocks', async () => {
      const linkSystem = createLinkSystem()
      const cids = await chain(linkSystem, 3)
      const reason = new Error('no longer')
      let during: AbortController | undefined
      await using publisher = await carrier.publish(linkSystem, cids[0], () => { during?.abort(reason); return during != null })
      await using syncer = syncerFor(publisher)
      const isReason = (err: unknown): boolean => err === reason
      const signal = AbortSignal.abort(reason)
      await rejects(syncer.head({ signal }), isReason)
      await rejects(syncer.sync(cids[0], ALL, { signal }), isReason)
      equal(publisher.requests.length, 0)

      const between = new AbortController()
      await rejects(syncer.sync(cids[0], ALL, { signal: between.signal, onBlock: () => { between.abort(reason) } }), isReason)
      equal(publisher.requests.length, 1)
      for (const call of [syncer.head.bind(syncer), syncer.sync.bind(syncer, cids[1], ALL)]) {
        during = new AbortController()
        await rejects(call({ signal: during.signal }), isReason)
      }
    })

    for (const call of ['has', 'put'] as const) {
      it(`can be aborted where ${call}() of its store never ends, and holds nothing of what came ahead then`, async () => {
        const remote = createLinkSystem()
        const leaves = await Promise.all([1, 2, 3, 4].map(async leaf => remote.store({ leaf })))
        const root = await remote.store(leaves)
        await using publisher = await carrier.publish(remote, root)
        const controller = new AbortController()
        const linkSystem = createLinkSystem()
        const { blockstore } = linkSystem
        let reached = false
        const never = (cid: CID): Promise<never> | undefined => {
          if (cid.equals(root)) { return undefined }
          reached = true
          return Promise.withResolvers<never>().promise
        }
        const put = blockstore.put.bind(blockstore)
        if (call === 'put') { blockstore.put = (cid, bytes) => never(cid) ?? put(cid, bytes) } else { blockstore.has = cid => never(cid) ?? false }
        const prefetch = new AheadBudget({ requests: 32, bytes: 2_000_000 })
        await using syncer = syncerFor(publisher, { linkSystem, prefetch })
        const syncing = syncer.sync(root, ALL, { signal: controller.signal })
        await until(() => reached && prefetch.held > 0)
        controller.abort(new Error('enough'))
        await rejects(inTime(syncing), /enough/)
        await until(() => prefetch.inFlight === 0)
        equal(prefetch.held, 0)
      })
    }

    it('leaves no listener on the signal of a sync that has fetched ahead', async () => {
      const linkSystem = createLinkSystem()
      const root = await linkSystem.store(await Promise.all([1, 2, 3, 4].map(async leaf => linkSystem.store({ leaf }))))
      await using publisher = await carrier.publish(linkSystem, root)
      await using syncer = syncerFor(publisher)
      const { signal } = new AbortController()
      equal((await walked(syncer, root, { signal })).length, 5)
      equal(getEventListeners(signal, 'abort').length, 0)
    })

    it('holds nothing of what came ahead when it is aborted, also where onBlock never returns', async () => {
      const linkSystem = createLinkSystem()
      const root = await linkSystem.store(await Promise.all([1, 2, 3, 4].map(async leaf => linkSystem.store({ leaf }))))
      await using publisher = await carrier.publish(linkSystem, root)
      const prefetch = new AheadBudget({ requests: 32, bytes: 2_000_000 })
      await using syncer = syncerFor(publisher, { prefetch })
      const controller = new AbortController()
      void syncer.sync(root, ALL, { signal: controller.signal, onBlock: async () => Promise.withResolvers<never>().promise })
      await until(() => prefetch.held > 0 && prefetch.inFlight === 0)
      controller.abort(new Error('enough'))
      equal(prefetch.held, 0)
    })
  })
}

describe('an HTTP syncer', () => {
  it('checks its options', async () => {
    const peerId = await randomPeer()
    const make = (init: object, linkSystem: any = createLinkSystem()): unknown =>
      createHttpSyncer({ linkSystem }, { peerId, addrs: [addrOf({ port: 1 })], ...init })
    for (const [field, value] of Object.entries({ peerId: undefined, addrs: undefined, httpTimeout: 0, maxBlockSize: NaN })) {
      throws(() => make({ [field]: value === undefined ? null : value }), { name: 'InvalidOptionError', field })
    }
    throws(() => make({ httpTimeout: '5' }), { name: 'InvalidOptionError', field: 'httpTimeout' })
    throws(() => make({ httpRetry: { retries: -1, minDelay: 1, maxDelay: 1 } }), { name: 'InvalidOptionError', field: 'httpRetry.retries' })
    throws(() => make({}, null), { name: 'InvalidOptionError', field: 'linkSystem' })
    throws(() => make({ addrs: [] }), { name: 'TransportUnavailableError' })
  })

  it('stops its own client, not one that it was given', async () => {
    const linkSystem = createLinkSystem()
    const root = await linkSystem.store({})
    await using publisher = await publish(linkSystem, root)
    const client = createHttpClient()
    const init = { peerId: publisher.peerId, addrs: [publisher.addr] }
    const shared = new HttpSyncer({ linkSystem: createLinkSystem(), client }, init)
    await shared.stop()
    equal(client.stopped, false)
    const own = new HttpSyncer({ linkSystem: createLinkSystem() }, init)
    await own.stop()
    await own.stop()
    await rejects(own.head(), { name: 'HeadQueryError', message: /stopped/ })
    await client.stop()
  })

  it('keeps nothing of the buffers of a fetch that it is given', async () => {
    const linkSystem = createLinkSystem()
    const cid = await linkSystem.store({ hello: 'world' })
    const bytes = await readBlock(linkSystem.blockstore, cid)
    const reused = Buffer.alloc(4096)
    const start = (controller: ReadableStreamDefaultController): void => {
      controller.enqueue(reused.fill(bytes, 0, bytes.length).subarray(0, bytes.length))
      controller.close()
    }
    const fetch = async (): Promise<Response> => new Response(new ReadableStream({ start }))
    const here = createLinkSystem()
    await using syncer = createHttpSyncer({ linkSystem: here, fetch }, { peerId: await randomPeer(), addrs: [addrOf({ port: 1 })] })
    await syncer.sync(cid, matcher())
    reused.fill(0)
    deepEqual(await readBlock(here.blockstore, cid), bytes)
  })

  it('uses a fetch that it is given', async () => {
    const linkSystem = createLinkSystem()
    const cids = await chain(linkSystem, 2)
    await using publisher = await publish(linkSystem, cids[0])
    let calls = 0
    const fetch: typeof globalThis.fetch = async (...args) => { calls++; return await globalThis.fetch(...args) }
    const syncer = createHttpSyncer({ linkSystem: createLinkSystem(), fetch }, { peerId: publisher.peerId, addrs: [publisher.addr] })
    await syncer.sync(cids[0], matcher())
    equal(calls, 1)
    await syncer.stop()
  })
})
