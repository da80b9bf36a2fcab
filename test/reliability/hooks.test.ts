import { describe, it } from 'node:test'
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import type { CID } from 'multiformats/cid'
import type { BlockHook } from '../../src/shared/types.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { TestNet } from '../../src/testing/index.ts'
import { inTime, next, recorder } from '../support/hall.ts'
import { faultyTransports, transports } from '../support/transports.ts'

const cause = new Error('the hook is broken')
const never = async (): Promise<never> => new Promise(() => {})

for (const transport of transports) {
  describe(`a block hook that throws (${transport.name})`, () => {
    const hooks: Array<[string, () => void | Promise<void>]> = [
      ['at once', () => { throw cause }],
      ['later', async () => { throw cause }],
      ['after a while', async () => {
        await new Promise(resolve => setTimeout(resolve, 5))
        throw cause
      }]
    ]
    for (const [when, fail] of hooks) {
      it(`${when}: BlockHookError with the cause; it is not called again, latest stays, the next sync goes on`, async () => {
        await using net = new TestNet()
        const { info, cids, id } = await transport.publisher(net, { chain: 5 })
        const { subscriber, linkSystem } = await transport.subscriber(net)
        let calls = 0
        await rejects(subscriber.sync(info, { blockHook: () => ++calls === 3 ? fail() : undefined }), error => {
          const { name, cause: why, cid } = error as any
          return name === 'BlockHookError' && why === cause && cid.equals(cids[2])
        })
        equal(calls, 3)
        equal(await linkSystem.has(cids[3]), false)
        equal(await subscriber.getLatestSync(id), undefined)

        const { hook, texts } = recorder()
        ok((await subscriber.sync(info, { blockHook: hook }))?.equals(cids[0]))
        deepEqual(texts(), cids.map(String))
      })

      it(`${when}, in an announced sync: one event with the error, and the announce is heard again`, async () => {
        await using net = new TestNet()
        const { info, cids } = await transport.publisher(net, { chain: 3 })
        let broken = true
        const { subscriber } = await transport.subscriber(net, { receiver: {}, blockHook: () => broken ? fail() : undefined })
        const events = subscriber.onSyncFinished()
        await subscriber.announce(cids[0], info)
        const { error } = await next(events)
        equal(error?.name, 'BlockHookError')
        equal(error?.cause, cause)
        broken = false
        await subscriber.announce(cids[0], info)
        equal((await next(events)).count, 3)
      })
    }

    it('what is no error is a cause as well', async () => {
      await using net = new TestNet()
      const { info } = await transport.publisher(net, { chain: 1 })
      const { subscriber } = await transport.subscriber(net)
      for (const thrown of [undefined, null, 'text', { then: 1 }, Object.create(null)]) {
        const blockHook = async (): Promise<never> => Promise.reject(thrown)
        await rejects(subscriber.sync(info, { blockHook }), error => {
          const { name, cause } = error as Error
          equal(name, 'BlockHookError')
          return cause === thrown
        })
      }
    })

    it('an abort that it throws is its own failure, unless the sync is aborted', async () => {
      await using net = new TestNet()
      const { info } = await transport.publisher(net, { chain: 2 })
      const { subscriber } = await transport.subscriber(net)
      await rejects(subscriber.sync(info, { blockHook: () => { AbortSignal.abort().throwIfAborted() } }), { name: 'BlockHookError' })
      const controller = new AbortController()
      const reason = new Error('enough')
      await rejects(subscriber.sync(info, {
        signal: controller.signal,
        blockHook: () => {
          controller.abort(reason)
          throw cause
        }
      }), error => error === reason)
    })
  })

  describe(`a block hook that takes its time (${transport.name})`, () => {
    it('is no stall', async () => {
      await using net = new TestNet()
      const { info, extend } = await transport.publisher(net, { chain: 1 })
      const { subscriber } = await transport.subscriber(net, { stallTimeout: 500 })
      await subscriber.sync(info) // connected
      await extend(2)
      await subscriber.sync(info, { blockHook: async () => new Promise(resolve => setTimeout(resolve, 700)) })
    })

    it('and never returns: stop() does not wait for it', async () => {
      await using net = new TestNet()
      const { info, cids } = await transport.publisher(net, { chain: 2 })
      const called = Promise.withResolvers<void>()
      const { subscriber } = await transport.subscriber(net, {
        receiver: {},
        blockHook: async () => {
          called.resolve()
          await never()
        }
      })
      const sync = rejects(subscriber.sync(info), { name: 'SubscriberStoppedError' })
      await subscriber.announce(cids[0], info)
      await called.promise
      const began = performance.now()
      await inTime(subscriber.stop(), 1_000)
      ok(performance.now() - began < 1_000)
      await sync

      await subscriber.start()
      ok((await inTime(subscriber.sync(info, { blockHook: () => {} })))?.equals(cids[0]))
    })

    it('and never returns: an aborted sync does not hold up the next one', async () => {
      await using net = new TestNet()
      const { info, cids } = await transport.publisher(net, { chain: 2 })
      const { subscriber } = await transport.subscriber(net)
      const controller = new AbortController()
      const blockHook: BlockHook = async () => {
        controller.abort(new Error('enough'))
        await never()
      }
      await rejects(inTime(subscriber.sync(info, { signal: controller.signal, blockHook })), /enough/)
      ok((await inTime(subscriber.sync(info)))?.equals(cids[0]))
    })

    it('has ended before the next sync of the publisher begins, though its own was aborted', async () => {
      await using net = new TestNet()
      const { info, cids } = await transport.publisher(net, { chain: 2 })
      const { subscriber } = await transport.subscriber(net)
      const controller = new AbortController()
      const log: string[] = []
      const aborted = subscriber.sync(info, {
        signal: controller.signal,
        blockHook: async () => {
          controller.abort(new Error('enough'))
          await new Promise(resolve => setTimeout(resolve, 50))
          log.push('end of the first')
        }
      })
      const following = subscriber.sync(info, { blockHook: () => { log.push('second') } })
      await rejects(aborted, /enough/)
      ok((await following)?.equals(cids[0]))
      deepEqual(log, ['end of the first', 'second', 'second'])
    })
  })

  describe(`a block hook that uses the subscriber (${transport.name})`, () => {
    it('syncs the same publisher, by CID, without a deadlock', async () => {
      await using net = new TestNet()
      const publisher = await transport.publisher(net)
      const { linkSystem: source, info } = publisher
      const heads = []
      for (let previous, i = 0; i < 3; i++) {
        const entries = await source.store({ entries: i })
        previous = await source.store({ Entries: entries, ...(previous == null ? {} : { PreviousID: previous }) })
        heads.unshift(previous)
      }
      await publisher.publisher.setRoot(heads[0])
      const linkSystem = createLinkSystem()
      const synced: string[] = []
      const { subscriber } = await transport.subscriber(net, {
        components: { linkSystem },
        defaultSelectorSequence: { f: { 'f>': { PreviousID: { '@': {} } } } },
        blockHook: async (_peerId, cid) => {
          const { Entries } = await linkSystem.load(cid)
          if (Entries != null) { synced.push(`${await subscriber.sync(info, { cid: Entries, selector: { '.': {} }, blockHook: () => {} })}`) }
        }
      })
      ok((await inTime(subscriber.sync(info)))?.equals(heads[0]))
      equal(synced.length, 3)
      for (const head of heads) { equal(await linkSystem.has((await linkSystem.load(head)).Entries), true) }
    })

    it('does so in an announced sync, with a single slot', async () => {
      await using net = new TestNet()
      const { linkSystem: source, info, cids } = await transport.publisher(net, { chain: 2 })
      const entries = await source.store({ entries: 1 })
      const { subscriber, linkSystem } = await transport.subscriber(net, {
        receiver: {},
        maxAsyncSyncs: 1,
        blockHook: async () => { await subscriber.sync(info, { cid: entries, blockHook: () => {} }) }
      })
      const events = subscriber.onSyncFinished()
      await subscriber.announce(cids[0], info)
      equal((await next(events)).count, 2)
      ok(await linkSystem.has(entries))
    })

    it('announces the publisher again while it is synced', async () => {
      await using net = new TestNet()
      const publisher = await transport.publisher(net, { chain: 1 })
      let later: CID | undefined
      const { subscriber } = await transport.subscriber(net, {
        receiver: {},
        blockHook: async () => {
          if (later != null) { return }
          [later] = await publisher.extend(1)
          await subscriber.announce(later, publisher.info)
        }
      })
      const events = subscriber.onSyncFinished()
      await subscriber.announce(publisher.cids[0], publisher.info)
      const heads = [await next(events), await next(events)]
      deepEqual(heads.map(({ cid }) => `${cid}`), [...publisher.cids].reverse().map(String))
    })

    it('stops it', async () => {
      await using net = new TestNet()
      const { info } = await transport.publisher(net, { chain: 3 })
      const { subscriber } = await transport.subscriber(net)
      let stopping: Promise<void> | undefined
      let calls = 0
      await rejects(inTime(subscriber.sync(info, {
        blockHook: async () => {
          calls++
          stopping = subscriber.stop()
          await stopping // waits for itself: that has to end as well
        }
      })), { name: 'SubscriberStoppedError' })
      await inTime(stopping as Promise<void>, 1_000)
      equal(calls, 1)
    })
  })

  describe(`a block hook that deletes its block (${transport.name})`, () => {
    it('leaves an empty store and the right latest, and the next sync stops there', async () => {
      await using net = new TestNet()
      const publisher = await transport.publisher(net, { chain: 20 })
      const linkSystem = createLinkSystem()
      let calls = 0
      const { subscriber } = await transport.subscriber(net, {
        components: { linkSystem },
        blockHook: async (_peerId, cid) => {
          calls++
          await linkSystem.blockstore.delete(cid)
        }
      })
      await subscriber.sync(publisher.info)
      equal(calls, 20)
      await publisher.extend(2)
      await subscriber.sync(publisher.info)
      equal(calls, 22)
      ok((await subscriber.getLatestSync(publisher.id))?.equals(publisher.cids[0]))
      for (const cid of publisher.cids) { equal(await linkSystem.has(cid), false) }
    })

    it('sees a block that is linked twice twice', async () => {
      await using net = new TestNet()
      const { publisher, linkSystem: source, info } = await transport.publisher(net)
      const leaf = await source.store('leaf')
      const root = await source.store([leaf, leaf])
      await publisher.setRoot(root)
      const linkSystem = createLinkSystem()
      const { hook, texts } = recorder()
      const { subscriber } = await transport.subscriber(net, { components: { linkSystem } })
      const syncing = subscriber.sync(info, {
        blockHook: async (peerId, cid, actions) => {
          await hook(peerId, cid, actions)
          await linkSystem.blockstore.delete(cid)
        }
      })
      if (transport.name === 'dtsync') { // where a block is sent once
        await rejects(syncing, { name: 'TransferFailedError', message: /did not send it/ })
      } else {
        await syncing
        deepEqual(texts(), [root, leaf, leaf].map(String))
      }
    })
  })

  describe(`a block hook that calls failSync() (${transport.name})`, () => {
    it('fails a sync that is not segmented when it is done: SegmentSyncError, latest stays', async () => {
      await using net = new TestNet()
      const { info, id } = await transport.publisher(net, { chain: 3 })
      const { subscriber } = await transport.subscriber(net)
      await rejects(subscriber.sync(info, { blockHook: (_peerId, _cid, { failSync }) => { failSync(cause) } }), { name: 'SegmentSyncError', cause })
      equal(await subscriber.getLatestSync(id), undefined)
    })
  })
}

for (const transport of faultyTransports) {
  describe(`a block hook that takes its time (${transport.name})`, () => {
    it('slows the wire: nothing is fetched while it runs', async () => {
      await using net = new TestNet()
      const { publisher, cids } = await transport.faulty(net, { chain: 4 })
      const { subscriber } = await transport.subscriber(net)
      let running = false
      publisher.script = () => {
        equal(running, false)
        return undefined
      }
      let calls = 0
      await subscriber.sync(publisher.info, {
        blockHook: async () => {
          running = true
          await new Promise(resolve => setTimeout(resolve, 10))
          running = false
          calls++
        }
      })
      equal(calls, cids.length)
    })
  })
}
