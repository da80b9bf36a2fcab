// Cases of dagsync/subscriber_test.go (go-libipni v0.7.8, and v0.4.0 where it differs).
import { describe, it } from 'node:test'
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import fc from 'fast-check'
import type { CID } from 'multiformats/cid'
import { TestNet } from '../../src/testing/index.ts'
import { gate, inTime, next, recorder, rest } from '../support/hall.ts'
import { gossipPublisher, gossipSubscriber, transports } from '../support/transports.ts'

for (const transport of transports) {
  describe(`subscriber over ${transport.name}`, () => {
    const chains = fc.integer({ min: 1, max: 40 })

    it('TestScopedBlockHook: the hook of one sync takes the place of the general one', async () => {
      await fc.assert(fc.asyncProperty(chains, async length => {
        await using net = new TestNet()
        const publisher = await transport.publisher(net, { chain: length })
        const general = recorder()
        const scoped = recorder()
        const { subscriber } = await transport.subscriber(net, { blockHook: general.hook })

        await subscriber.sync(publisher.info, { blockHook: scoped.hook })
        deepEqual(scoped.texts(), publisher.cids.map(String))
        equal(general.cids.length, 0)

        const added = await publisher.extend(length)
        await subscriber.sync(publisher.info)
        deepEqual(general.texts(), added.map(String))
        equal(scoped.cids.length, length)
      }), { numRuns: 3 })
    })

    it('TestSyncedCidsReturned: the event has the head and the number of blocks', async () => {
      await fc.assert(fc.asyncProperty(chains, async length => {
        await using net = new TestNet()
        const { info, cids, id } = await transport.publisher(net, { chain: length })
        const { subscriber } = await transport.subscriber(net)
        const events = subscriber.onSyncFinished()
        await subscriber.sync(info)
        const { cid, peerId, count, error } = await next(events)
        ok(cid.equals(cids[0]))
        ok(peerId.equals(id))
        equal(count, length)
        equal(error, undefined)
      }), { numRuns: 3 })
    })

    it('TestConcurrentSync: publishers are independent of each other', async () => {
      await fc.assert(fc.asyncProperty(chains, fc.integer({ min: 1, max: 10 }), async (length, count) => {
        await using net = new TestNet()
        const publishers = await Promise.all(Array.from({ length: count }, async () => transport.publisher(net, { chain: length })))
        const seen = new Map<string, string[]>()
        const { subscriber } = await transport.subscriber(net, {
          blockHook: (peerId, cid) => { seen.set(`${peerId}`, [...seen.get(`${peerId}`) ?? [], `${cid}`]) }
        })
        await inTime(Promise.all(publishers.map(async ({ info }) => subscriber.sync(info))))
        for (const { id, cids } of publishers) { deepEqual(seen.get(`${id}`), cids.map(String)) }
      }), { numRuns: 3 })
    })

    it('TestSync: the hook sees each block once, and none on a second sync', async () => {
      await fc.assert(fc.asyncProperty(chains, async length => {
        await using net = new TestNet()
        const { info, cids, id } = await transport.publisher(net, { chain: length })
        const seen = recorder()
        const { subscriber } = await transport.subscriber(net, { blockHook: seen.hook })
        const events = subscriber.onSyncFinished()

        ok((await subscriber.sync(info))?.equals(cids[0]))
        ok((await subscriber.getLatestSync(id))?.equals(cids[0]))
        deepEqual(seen.texts(), cids.map(String))
        equal((await next(events)).count, length)

        ok((await subscriber.sync(info))?.equals(cids[0]))
        equal(seen.cids.length, length)
        equal((await next(events)).count, 0) // as v0.3.2: a sync to the queried head is always told
      }), { numRuns: 5 })
    })

    it('TestSyncWithHydratedDataStore: the hook sees local blocks as it sees fetched ones', async () => {
      await fc.assert(fc.asyncProperty(chains, async length => {
        await using net = new TestNet()
        const { info, cids, id } = await transport.publisher(net, { chain: length })
        const seen = recorder()
        const { subscriber } = await transport.subscriber(net, { blockHook: seen.hook })
        await subscriber.sync(info, { cid: cids[0] })
        deepEqual(seen.texts(), cids.map(String))
        equal(await subscriber.getLatestSync(id), undefined)

        const local: boolean[] = []
        await subscriber.sync(info, {
          onProgress: event => { if (event.type === 'dagsync:block') { local.push(event.detail.local) } }
        })
        deepEqual(seen.texts(), [...cids, ...cids].map(String))
        deepEqual(local, cids.map(() => true))
      }), { numRuns: 5 })
    })

    it('TestSyncWithHydratedDataStore, TestDTSync_CallsBlockHookWhenCIDsArePartiallyFoundLocally: only what is not there is fetched, in order', async () => {
      await using net = new TestNet()
      const { info, cids, linkSystem: source } = await transport.publisher(net, { chain: 5 })
      const seen = recorder()
      const { subscriber, linkSystem } = await transport.subscriber(net, { blockHook: seen.hook })
      for (const cid of [cids[0], cids[1], cids[3]]) { await linkSystem.store(await source.load(cid)) }
      const local: boolean[] = []
      await subscriber.sync(info, {
        onProgress: event => { if (event.type === 'dagsync:block') { local.push(event.detail.local) } }
      })
      deepEqual(seen.texts(), cids.map(String))
      // a dtsync publisher is asked once, and sends all from there on, as in Go
      deepEqual(local, [true, true, false, transport.name !== 'dtsync', false])
    })

    it('TestRoundTripSimple: a gossip announce leads to a sync', async () => {
      await using net = new TestNet()
      const { publisher, linkSystem: source, node, id } = await gossipPublisher(transport, net)
      const { subscriber, linkSystem } = await gossipSubscriber(transport, net, [node])
      const events = subscriber.onSyncFinished()
      const root = await source.store('hello world')
      const [{ recipients }] = await publisher.updateRoot(root)
      equal(recipients, 1)
      const event = await next(events)
      ok(event.cid.equals(root))
      ok(event.peerId.equals(id))
      equal(await linkSystem.load(root), 'hello world')
    })

    it('TestRoundTrip: two publishers, two readers', async () => {
      await using net = new TestNet()
      const first = await gossipPublisher(transport, net)
      const second = await gossipPublisher(transport, net)
      const seen = recorder()
      const { subscriber, linkSystem } = await gossipSubscriber(transport, net, [first.node, second.node], { blockHook: seen.hook })
      const readers = [subscriber.onSyncFinished(), subscriber.onSyncFinished()]
      const roots: CID[] = []
      for (const [{ publisher, linkSystem: source, id }, text] of [[first, 'hello world'], [second, 'hello world 2']] as const) {
        const root = await source.store(text)
        roots.push(root)
        await publisher.updateRoot(root)
        for (const reader of readers) {
          const event = await next(reader)
          ok(event.cid.equals(root))
          ok(event.peerId.equals(id))
        }
        equal(await linkSystem.load(root), text)
      }
      deepEqual(seen.texts(), roots.map(String))
    })

    it('TestHttpPeerAddrPeerstore: the address of the last sync serves the next one', async () => {
      await using net = new TestNet()
      const publisher = await transport.publisher(net, { chain: 3 })
      const { subscriber } = await transport.subscriber(net)
      await rejects(subscriber.sync(publisher.id), { name: 'TransportUnavailableError' })
      await subscriber.sync(publisher.info)
      const [head] = await publisher.extend(1)
      ok((await subscriber.sync({ id: publisher.id, multiaddrs: [] }))?.equals(head))
      const [later] = await publisher.extend(1)
      ok((await subscriber.sync(publisher.id))?.equals(later))
    })

    it('TestSyncFinishedAlwaysDelivered: a reader that does not read holds up nothing and gets everything', async () => {
      await using net = new TestNet()
      const publisher = await transport.publisher(net, { chain: 1 })
      const { subscriber } = await transport.subscriber(net)
      const events = subscriber.onSyncFinished()
      for (let i = 0; i < 4; i++) {
        await inTime(subscriber.sync(publisher.info))
        await publisher.extend(1)
      }
      await subscriber.stop()
      deepEqual((await rest(events)).map(({ cid }) => `${cid}`), publisher.cids.slice(1).reverse().map(String))
    })

    for (const maxAsyncSyncs of [1, 2]) {
      it(`TestMaxAsyncSyncs: ${maxAsyncSyncs} announce-started at once`, async () => {
        await using net = new TestNet()
        const publishers = await Promise.all([0, 1, 2].map(async () => transport.publisher(net, { chain: 1 })))
        const syncs = gate()
        const { subscriber } = await transport.subscriber(net, { receiver: {}, blockHook: syncs.hook, maxAsyncSyncs })
        const events = subscriber.onSyncFinished()
        for (const { cids, info } of publishers) { await subscriber.announce(cids[0], info) }
        for (let i = 0; i < publishers.length; i++) {
          const arrived = await syncs.arrival()
          if (i === 0) {
            // explicit syncs take none of the slots, and give the announced ones time to go wrong
            await subscriber.sync(publishers[2].info, { cid: publishers[2].cids[0], blockHook: () => {} })
            equal(syncs.calls.length, maxAsyncSyncs)
          }
          ok(syncs.calls.length - i <= maxAsyncSyncs)
          arrived.open()
          equal((await next(events)).error, undefined)
        }
      })
    }

    it('TestCloseSubscriber: readers end, and closing again is no harm', async () => {
      await using net = new TestNet()
      const { subscriber } = await transport.subscriber(net)
      const events = subscriber.onSyncFinished()
      const reading = events.next()
      await subscriber.stop()
      equal((await inTime(reading)).done, true)
      await subscriber.stop()
      await inTime(events.return())
      equal((await subscriber.onSyncFinished().next()).done, true)
    })

    it('TestIdleHandlerCleaner: the handler is there after a sync, and gone after its time', async () => {
      await using net = new TestNet()
      const { info, id } = await transport.publisher(net, { chain: 1 })
      const { subscriber } = await transport.subscriber(net, { idleHandlerTTL: 50 })
      equal(subscriber.removeHandler(id), false)
      await subscriber.sync(info)
      equal(subscriber.removeHandler(id), true)
      await subscriber.sync(info)
      await new Promise(resolve => setTimeout(resolve, 150)) // timers go off in order: this one after that of the handler
      equal(subscriber.removeHandler(id), false)
    })
  })
}
