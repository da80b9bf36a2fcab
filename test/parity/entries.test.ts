// The calls of go-libipni v0.7.8 that v0.3.2 does not have: dagsync/subscriber.go, and what its tests say of them.
import { describe, it } from 'node:test'
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import type { CID } from 'multiformats/cid'
import { makeGeneralBlockHook } from '../../src/index.ts'
import { TestNet } from '../../src/testing/index.ts'
import { adChain, entriesChain } from '../support/ads.ts'
import { next, randomCid, recorder, rest } from '../support/hall.ts'
import { LOADS, mkChain } from '../support/mk-chain.ts'
import { transports } from '../support/transports.ts'

const texts = (cids: CID[]): string[] => cids.map(String)

for (const transport of transports) {
  describe(`v0.7.8 over ${transport.name}`, () => {
    it('SyncAdChain: follows PreviousID only, moves latest and emits SyncFinished', async () => {
      await using net = new TestNet()
      const { publisher, linkSystem: source, info, id } = await transport.publisher(net)
      const { ads, entries } = await adChain(source, 3, { chunks: 2 })
      await publisher.setRoot(ads[0])
      const seen = recorder()
      const { subscriber, linkSystem } = await transport.subscriber(net, { blockHook: seen.hook })
      const events = subscriber.onSyncFinished()
      ok((await subscriber.syncAdChain(info))?.equals(ads[0]))
      deepEqual(seen.texts(), texts(ads))
      equal(await linkSystem.has(entries[0][0]), false)
      ok((await subscriber.getLatestSync(id))?.equals(ads[0]))
      equal((await next(events)).count, 3)
    })

    it('StrictAdsSelector(false): everything', async () => {
      await using net = new TestNet()
      const { publisher, linkSystem: source, info } = await transport.publisher(net)
      const [head] = await mkChain(source)
      await publisher.setRoot(head)
      const seen = recorder()
      const { subscriber } = await transport.subscriber(net, { blockHook: seen.hook, strictAdsSelector: false })
      await subscriber.syncAdChain(info)
      equal(seen.cids.length, LOADS.head)
    })

    it('StrictAdsSelector(true): sync() follows PreviousID only, too', async () => {
      await using net = new TestNet()
      const { publisher, linkSystem: source, info } = await transport.publisher(net)
      const { ads } = await adChain(source, 2, { chunks: 1 })
      await publisher.setRoot(ads[0])
      const seen = recorder()
      const { subscriber } = await transport.subscriber(net, { blockHook: seen.hook, strictAdsSelector: true })
      await subscriber.sync(info)
      deepEqual(seen.texts(), texts(ads))
    })

    it('SyncAdChain: stops at latest; a head that is latest gives an event with count 0', async () => {
      await using net = new TestNet()
      const { publisher, linkSystem: source, info, id } = await transport.publisher(net)
      const { ads } = await adChain(source, 5)
      const seen = recorder()
      const { subscriber } = await transport.subscriber(net, { blockHook: seen.hook })
      const events = subscriber.onSyncFinished()
      await subscriber.setLatestSync(id, ads[2])
      await publisher.setRoot(ads[0])
      await subscriber.syncAdChain(info)
      deepEqual(seen.texts(), texts(ads.slice(0, 2)))
      await subscriber.syncAdChain(info)
      deepEqual([(await next(events)).count, (await next(events)).count], [2, 0])
    })

    it('TestSyncFn: WithHeadAdCid leaves latest, and a CID that is not there fails', async () => {
      await using net = new TestNet()
      const { publisher, linkSystem: source, info, id } = await transport.publisher(net)
      const { ads } = await adChain(source, 3)
      await publisher.setRoot(ads[0])
      const { subscriber, linkSystem } = await transport.subscriber(net)
      const events = subscriber.onSyncFinished()
      await rejects(subscriber.syncAdChain(info, { cid: await randomCid() }), { name: 'ContentNotFoundError' })
      ok((await subscriber.syncAdChain(info, { cid: ads[1] }))?.equals(ads[1]))
      equal(await linkSystem.has(ads[0]), false)
      equal(await subscriber.getLatestSync(id), undefined)
      await subscriber.syncAdChain(info)
      ok((await next(events)).cid.equals(ads[0]))
    })

    it('WithStopAdCid: stops there, not at latest, and moves latest', async () => {
      await using net = new TestNet()
      const { publisher, linkSystem: source, info, id } = await transport.publisher(net)
      const { ads } = await adChain(source, 5)
      await publisher.setRoot(ads[0])
      const seen = recorder()
      const { subscriber } = await transport.subscriber(net, { blockHook: seen.hook })
      await subscriber.setLatestSync(id, ads[1])
      await subscriber.syncAdChain(info, { stopAt: ads[3] })
      deepEqual(seen.texts(), texts(ads.slice(0, 3)))
      ok((await subscriber.getLatestSync(id))?.equals(ads[0]))
    })

    it('WithStopAdCid at the head: nothing is synced, and latest stays', async () => {
      await using net = new TestNet()
      const { publisher, linkSystem: source, info, id } = await transport.publisher(net)
      const { ads } = await adChain(source, 2)
      await publisher.setRoot(ads[0])
      const seen = recorder()
      const { subscriber } = await transport.subscriber(net, { blockHook: seen.hook })
      const events = subscriber.onSyncFinished()
      ok((await subscriber.syncAdChain(info, { stopAt: ads[0] }))?.equals(ads[0]))
      equal(await subscriber.getLatestSync(id), undefined)
      await subscriber.stop()
      deepEqual(await rest(events), [])
      deepEqual(seen.cids, [])
    })

    it('WithAdsResync: goes past latest, leaves it, and emits nothing', async () => {
      await using net = new TestNet()
      const { publisher, linkSystem: source, info, id } = await transport.publisher(net)
      const { ads } = await adChain(source, 4, { chunks: 0 })
      await publisher.setRoot(ads[0])
      const seen = recorder()
      const { subscriber } = await transport.subscriber(net, { blockHook: seen.hook })
      const events = subscriber.onSyncFinished()
      await subscriber.setLatestSync(id, ads[2])
      await subscriber.syncAdChain(info, { resync: true })
      deepEqual(seen.texts(), texts(ads))
      await subscriber.sync(info, { resync: true, stopAt: ads[1] })
      equal(seen.cids.length, 5)
      ok((await subscriber.getLatestSync(id))?.equals(ads[2]))
      await subscriber.stop()
      deepEqual(await rest(events), [])
    })

    it('AdsDepthLimit, and ScopedDepthLimit in its place', async () => {
      await using net = new TestNet()
      const { publisher, linkSystem: source, info } = await transport.publisher(net)
      const { ads } = await adChain(source, 6, { chunks: 0 })
      await publisher.setRoot(ads[0])
      const seen = recorder()
      const { subscriber } = await transport.subscriber(net, { blockHook: seen.hook, adsDepthLimit: 2 })
      const count = async (run: () => Promise<unknown>): Promise<number> => {
        seen.cids.length = 0
        await run()
        return seen.cids.length
      }
      equal(await count(async () => subscriber.syncAdChain(info, { resync: true })), 2)
      equal(await count(async () => subscriber.sync(info, { resync: true })), 2)
      equal(await count(async () => subscriber.syncAdChain(info, { resync: true, depthLimit: 3 })), 3)
      equal(await count(async () => subscriber.syncAdChain(info, { resync: true, depthLimit: false })), 6)
      for (const [syncRecursionLimit, expected] of [[{ depth: 3 }, 2], [{ depth: 1 }, 1], [{ none: {} }, 2]] as const) {
        const { subscriber } = await transport.subscriber(net, { blockHook: seen.hook, adsDepthLimit: 2, syncRecursionLimit })
        equal(await count(async () => subscriber.syncAdChain(info)), expected)
      }
    })

    it('TestFirstSyncDepth: only while there is nowhere to stop', async () => {
      await using net = new TestNet()
      const { publisher, linkSystem: source, info } = await transport.publisher(net)
      const { ads } = await adChain(source, 6, { chunks: 0 })
      await publisher.setRoot(ads[5])
      const { subscriber } = await transport.subscriber(net, { firstSyncDepth: 1, receiver: {} })
      const events = subscriber.onSyncFinished()
      await publisher.setRoot(ads[3])
      await subscriber.announce(ads[3], info)
      equal((await next(events)).count, 1)
      await publisher.setRoot(ads[0])
      await subscriber.announce(ads[0], info)
      equal((await next(events)).count, 3)
    })

    it('EntriesDepthLimit, and ScopedDepthLimit in its place', async () => {
      await using net = new TestNet()
      const { linkSystem: source, info, id } = await transport.publisher(net, { chain: 1 })
      const chunks = await entriesChain(source, 6)
      const seen = recorder()
      const { subscriber } = await transport.subscriber(net, { blockHook: seen.hook, entriesDepthLimit: 4 })
      await subscriber.syncEntries(info, chunks[0])
      deepEqual(seen.texts(), texts(chunks.slice(0, 4)))
      await subscriber.syncEntries(info, chunks[0], { depthLimit: 2 })
      equal(seen.cids.length, 6)
      await subscriber.syncEntries(info, chunks[0], { depthLimit: false })
      equal(seen.cids.length, 12)
      equal(await subscriber.getLatestSync(id), undefined)
    })

    it('SyncOneEntry: one block', async () => {
      await using net = new TestNet()
      const { linkSystem: source, info } = await transport.publisher(net, { chain: 1 })
      const chunks = await entriesChain(source, 3)
      const seen = recorder()
      const { subscriber, linkSystem } = await transport.subscriber(net, { blockHook: seen.hook })
      await subscriber.syncOneEntry(info, chunks[0])
      deepEqual(seen.texts(), texts(chunks.slice(0, 1)))
      equal(await linkSystem.has(chunks[1]), false)
    })

    it('SyncHAMTEntries: all that the root leads to, without segments', async () => {
      await using net = new TestNet()
      const { linkSystem: source, info } = await transport.publisher(net, { chain: 1 })
      const [head] = await mkChain(source)
      const seen = recorder()
      const { subscriber } = await transport.subscriber(net, { segmentDepthLimit: 1, entriesDepthLimit: 1 })
      await rejects(subscriber.syncHamtEntries(info, head, { depthLimit: 1 }), { name: 'DepthLimitError' }) // ours
      await subscriber.syncHamtEntries(info, head, { blockHook: seen.hook })
      equal(seen.cids.length, LOADS.head)

      let twice = head
      for (let i = 0; i < 64; i++) { twice = await source.store([twice, twice]) }
      await rejects(subscriber.syncHamtEntries(info, twice, { repeatLimit: 1_000 }), { name: 'RepeatLimitError' }) // ours
    })

    it('MakeGeneralBlockHook: takes a chain of advertisements in segments', async () => {
      await using net = new TestNet()
      const { publisher, linkSystem: source, info } = await transport.publisher(net)
      const { ads } = await adChain(source, 7)
      await publisher.setRoot(ads[0])
      const { subscriber, linkSystem } = await transport.subscriber(net, {
        segmentDepthLimit: 2,
        blockHook: makeGeneralBlockHook(async cid => (await linkSystemOf().load(cid)).PreviousID)
      })
      const linkSystemOf = (): typeof linkSystem => linkSystem
      const events = subscriber.onSyncFinished()
      const segments: CID[] = []
      await subscriber.syncAdChain(info, {
        onProgress: event => { if (event.type === 'dagsync:segment') { segments.push(event.detail.next) } }
      })
      equal((await next(events)).count, 7)
      deepEqual(texts(segments), texts([ads[0], ads[2], ads[4], ads[6]]))
    })

    it('MakeGeneralBlockHook: what it cannot load fails the sync', async () => {
      await using net = new TestNet()
      const { info } = await transport.publisher(net, { chain: 3 })
      const { subscriber } = await transport.subscriber(net, {
        segmentDepthLimit: 1, blockHook: makeGeneralBlockHook(() => { throw new Error('no such advertisement') })
      })
      await rejects(subscriber.syncAdChain(info), error => {
        const { name, cause } = error as any
        return name === 'SegmentSyncError' && cause.message === 'no such advertisement'
      })
    })
  })
}
