// Segmented syncs: what handler.handle, SegmentDepthLimit, ScopedSegmentDepthLimit and SegmentSyncActions
// (go-libipni v0.4.0, dagsync/subscriber.go, option.go) say; Go has no test of its own for them.
import { describe, it } from 'node:test'
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import fc from 'fast-check'
import type { BlockHook, LinkSystem } from '../../src/shared/types.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { TestNet } from '../../src/testing/index.ts'
import { dagsyncSelector, recursionLimitDepth, recursionLimitNone } from '../../src/traversal/index.ts'
import { next, recorder, rest } from '../support/hall.ts'
import { transports } from '../support/transports.ts'

/** A hook that goes on with what the block links to, and notes the CIDs. */
function following (linkSystem: LinkSystem): { hook: BlockHook, texts (): string[] } {
  const { cids, texts } = recorder()
  return {
    texts,
    async hook (_peerId, cid, { setNextSyncCid }) {
      cids.push(cid)
      setNextSyncCid((await linkSystem.load(cid)).PreviousID)
    }
  }
}

for (const transport of transports) {
  describe(`segmented sync over ${transport.name}`, () => {
    it('setNextSyncCid with what is no CID fails in the hook', async () => {
      await using net = new TestNet()
      const { info } = await transport.publisher(net, { chain: 2 })
      const { subscriber } = await transport.subscriber(net, { segmentDepthLimit: 1 })
      const blockHook: BlockHook = (_peerId, cid, { setNextSyncCid }) => { setNextSyncCid(cid.toString() as any) }
      await rejects(subscriber.sync(info, { blockHook }), error => {
        const { name, cause } = error as any
        deepEqual([name, cause.name, cause.field], ['BlockHookError', 'InvalidOptionError', 'setNextSyncCid'])
        return true
      })
    })

    for (const [limit, expected] of [[1, 10], [3, 4], [5, 2], [9, 2], [10, 1], [100, 1]]) {
      it(`SegmentDepthLimit ${limit}: 10 blocks in ${expected} segments, the same blocks in the same order`, async () => {
        await using net = new TestNet()
        const { info, cids, id } = await transport.publisher(net, { chain: 10 })
        const linkSystem = createLinkSystem()
        const { hook, texts } = following(linkSystem)
        const { subscriber } = await transport.subscriber(net, { segmentDepthLimit: limit, blockHook: hook, components: { linkSystem } })
        const events = subscriber.onSyncFinished()
        const segments: Array<[string, number]> = []
        await subscriber.sync(info, {
          onProgress: event => { if (event.type === 'dagsync:segment') { segments.push([`${event.detail.next}`, event.detail.depth]) } }
        })
        deepEqual(texts(), cids.map(String))
        deepEqual(segments, Array.from({ length: expected }, (_, i) => [`${cids[i * limit]}`, limit]))
        const { cid, count } = await next(events)
        ok(cid.equals(cids[0]))
        equal(count, 10)
        ok((await subscriber.getLatestSync(id))?.equals(cids[0]))
      })
    }

    it('SegmentDepthLimit: any depth, any stop link and any limit give the blocks that a whole sync gives', async () => {
      await using net = new TestNet()
      const { info, cids, id } = await transport.publisher(net, { chain: 12 })
      const numbers = fc.record({
        segmentDepthLimit: fc.integer({ min: 1, max: 14 }),
        stop: fc.option(fc.integer({ min: 1, max: 11 }), { nil: undefined }),
        depth: fc.option(fc.integer({ min: 1, max: 14 }), { nil: undefined })
      })
      await fc.assert(fc.asyncProperty(numbers, async ({ segmentDepthLimit, stop, depth }) => {
        const linkSystem = createLinkSystem()
        const { hook, texts } = following(linkSystem)
        const { subscriber } = await transport.subscriber(net, {
          segmentDepthLimit,
          blockHook: hook,
          syncRecursionLimit: depth == null ? recursionLimitNone : recursionLimitDepth(depth),
          components: { linkSystem }
        })
        if (stop != null) { await subscriber.setLatestSync(id, cids[stop]) }
        await subscriber.sync(info)
        deepEqual(texts(), cids.slice(0, Math.min(stop ?? 12, depth ?? 12)).map(String))
        await subscriber.stop()
      }), { numRuns: 40 })
    })

    it('ScopedSegmentDepthLimit: takes the place of the general one, false switches it off', async () => {
      await using net = new TestNet()
      const publisher = await transport.publisher(net, { chain: 4 })
      const linkSystem = createLinkSystem()
      const { hook } = following(linkSystem)
      const { subscriber } = await transport.subscriber(net, { segmentDepthLimit: 1, blockHook: hook, components: { linkSystem } })
      const segments = async (segmentDepthLimit?: number | false): Promise<number> => {
        let count = 0
        await subscriber.sync(publisher.info, { segmentDepthLimit, onProgress: ({ type }) => { if (type === 'dagsync:segment') { count++ } } })
        await publisher.extend(4)
        return count
      }
      equal(await segments(), 4)
      equal(await segments(2), 2)
      equal(await segments(false), 0)
    })

    it('announces: segments too, and one event for all of them', async () => {
      await using net = new TestNet()
      const { info, cids } = await transport.publisher(net, { chain: 7 })
      const linkSystem = createLinkSystem()
      const { hook, texts } = following(linkSystem)
      const { subscriber } = await transport.subscriber(net, {
        receiver: {}, segmentDepthLimit: 2, blockHook: hook, components: { linkSystem }
      })
      const events = subscriber.onSyncFinished()
      await subscriber.announce(cids[0], info)
      equal((await next(events)).count, 7)
      deepEqual(texts(), cids.map(String))
      await subscriber.stop()
      deepEqual(await rest(events), [])
    })

    it('stop link: the sync ends there, in the middle of a segment or at its end', async () => {
      for (const stop of [1, 2, 3, 4, 5]) {
        await using net = new TestNet()
        const { info, cids, id } = await transport.publisher(net, { chain: 6 })
        const linkSystem = createLinkSystem()
        const { hook, texts } = following(linkSystem)
        const { subscriber } = await transport.subscriber(net, { segmentDepthLimit: 2, blockHook: hook, components: { linkSystem } })
        await subscriber.setLatestSync(id, cids[stop])
        await subscriber.sync(info)
        deepEqual(texts(), cids.slice(0, stop).map(String))
      }
    })

    it('SyncRecursionLimit: the depths of the segments add up to it', async () => {
      await using net = new TestNet()
      const { info, cids } = await transport.publisher(net, { chain: 10 })
      const linkSystem = createLinkSystem()
      const { hook, texts } = following(linkSystem)
      const { subscriber } = await transport.subscriber(net, {
        segmentDepthLimit: 3, syncRecursionLimit: recursionLimitDepth(7), blockHook: hook, components: { linkSystem }
      })
      await subscriber.sync(info)
      deepEqual(texts(), cids.slice(0, 7).map(String))
    })

    it('a selector of the caller is split as well, and its stop link holds', async () => {
      await using net = new TestNet()
      const { info, cids } = await transport.publisher(net, { chain: 6 })
      const linkSystem = createLinkSystem()
      const { hook, texts } = following(linkSystem)
      const { subscriber } = await transport.subscriber(net, { components: { linkSystem } })
      await subscriber.sync(info, {
        cid: cids[0], selector: dagsyncSelector(recursionLimitNone, cids[4]), segmentDepthLimit: 2, blockHook: hook
      })
      deepEqual(texts(), cids.slice(0, 4).map(String))
    })

    it('SetNextSyncCid: without a call the sync ends with its first segment, and what was synced counts', async () => {
      await using net = new TestNet()
      const { info, cids, id } = await transport.publisher(net, { chain: 6 })
      const seen = recorder()
      const { subscriber } = await transport.subscriber(net, { segmentDepthLimit: 2, blockHook: seen.hook })
      const events = subscriber.onSyncFinished()
      await subscriber.sync(info)
      deepEqual(seen.texts(), cids.slice(0, 2).map(String))
      equal((await next(events)).count, 2)
      ok((await subscriber.getLatestSync(id))?.equals(cids[0]))
    })

    it('SetNextSyncCid: the last call of a segment counts', async () => {
      await using net = new TestNet()
      const { info, cids } = await transport.publisher(net, { chain: 6 })
      const seen = recorder()
      const { subscriber } = await transport.subscriber(net, {
        segmentDepthLimit: 2,
        blockHook: async (peerId, cid, actions) => {
          await seen.hook(peerId, cid, actions)
          if (seen.cids.length === 1) { actions.setNextSyncCid(cids[2]) }
          if (seen.cids.length === 2) { actions.setNextSyncCid(cids[5]) }
        }
      })
      await subscriber.sync(info)
      deepEqual(seen.texts(), [cids[0], cids[1], cids[5]].map(String))
    })

    it('without a hook nobody could name the next segment: the sync is whole', async () => {
      await using net = new TestNet()
      const { info } = await transport.publisher(net, { chain: 6 })
      const { subscriber } = await transport.subscriber(net, { segmentDepthLimit: 2 })
      const events = subscriber.onSyncFinished()
      await subscriber.sync(info)
      equal((await next(events)).count, 6)
    })

    it('FailSync: fails at the end of the segment, with what was given; latest stays', async () => {
      await using net = new TestNet()
      const { info, cids, id } = await transport.publisher(net, { chain: 6 })
      const cause = new Error('not wanted')
      const seen = recorder()
      const { subscriber } = await transport.subscriber(net, {
        segmentDepthLimit: 2,
        blockHook: async (peerId, cid, actions) => {
          await seen.hook(peerId, cid, actions)
          if (seen.cids.length === 1) { actions.failSync(cause) }
          actions.setNextSyncCid(cids[2])
        }
      })
      await rejects(subscriber.sync(info), { name: 'SegmentSyncError', cause })
      equal(seen.cids.length, 2)
      equal(await subscriber.getLatestSync(id), undefined)
    })

    it('FailSync: undefined takes it back', async () => {
      await using net = new TestNet()
      const { info, cids } = await transport.publisher(net, { chain: 2 })
      const seen = recorder()
      const { subscriber } = await transport.subscriber(net, {
        segmentDepthLimit: 5,
        blockHook: async (peerId, cid, actions) => {
          await seen.hook(peerId, cid, actions)
          actions.failSync(seen.cids.length === 1 ? new Error('not wanted') : undefined)
        }
      })
      ok((await subscriber.sync(info))?.equals(cids[0]))
    })

    it('FailSync: an announce-started sync gives one event with the error', async () => {
      await using net = new TestNet()
      const { info, cids } = await transport.publisher(net, { chain: 6 })
      const { subscriber } = await transport.subscriber(net, {
        receiver: {}, segmentDepthLimit: 2, blockHook: (_peerId, _cid, { failSync }) => { failSync(new Error('not wanted')) }
      })
      const events = subscriber.onSyncFinished()
      await subscriber.announce(cids[0], info)
      const { cid, count, error } = await next(events)
      ok(cid.equals(cids[0]))
      equal(count, 0)
      equal(error?.name, 'SegmentSyncError')
    })
  })
}
