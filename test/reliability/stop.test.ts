import { describe, it } from 'node:test'
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { MemoryBlockstore } from 'blockstore-core'
import { MemoryDatastore } from 'datastore-core'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { Subscriber } from '../../src/subscriber/subscriber.ts'
import { TestNet, type Fault } from '../../src/testing/index.ts'
import { gate, inTime, next, random, rest } from '../support/hall.ts'
import { faultyTransports } from '../support/transports.ts'

/** Stops, and says how long that took. */
async function stopIn (subscriber: Subscriber, ms = 1_000): Promise<void> {
  const began = performance.now()
  await inTime(subscriber.stop(), 5 * ms)
  const took = performance.now() - began
  ok(took < ms, `stop() took ${took} ms`)
}

describe('stop()', () => {
  for (const transport of faultyTransports) {
    it(`rejects what runs and what waits, and moves nothing (${transport.name})`, async () => {
      await using net = new TestNet()
      const { publisher, cids } = await transport.faulty(net, { chain: 5 })
      const { subscriber } = await transport.subscriber(net, { receiver: {} })
      const events = subscriber.onSyncFinished()
      const reached = Promise.withResolvers<void>()
      publisher.script = ({ resource }) => {
        if (resource !== cids[3].toString()) { return undefined }
        reached.resolve()
        return 'silence'
      }
      const syncs = [subscriber.sync(publisher.info), subscriber.sync(publisher.info), subscriber.sync(publisher.info, { cid: cids[0] })]
      const rejected = Promise.all(syncs.map(async sync => rejects(sync, { name: 'SubscriberStoppedError' })))
      await subscriber.announce(cids[0], publisher.info)
      await reached.promise
      await stopIn(subscriber)
      await rejected
      equal(await subscriber.getLatestSync(publisher.id), undefined)
      deepEqual(await rest(events), [])
    })

    it(`rejects an announced sync that runs with an event, before the readers end (${transport.name})`, async () => {
      await using net = new TestNet()
      const { publisher, cids } = await transport.faulty(net, { chain: 2 })
      const { subscriber } = await transport.subscriber(net, { receiver: {} })
      const events = subscriber.onSyncFinished()
      const reached = Promise.withResolvers<void>()
      publisher.script = () => {
        reached.resolve()
        return 'silence'
      }
      await subscriber.announce(cids[0], publisher.info)
      await reached.promise
      await stopIn(subscriber)
      deepEqual((await rest(events)).map(({ error }) => error?.name), ['SubscriberStoppedError'])
    })
  }

  it('ends what began before a second start()', async () => {
    await using net = new TestNet()
    const { info } = await net.publisher({ chain: 1 })
    const { subscriber } = await net.subscriber()
    const waiting = gate()
    const sync = rejects(subscriber.sync(info, { blockHook: waiting.hook }), { name: 'SubscriberStoppedError' })
    const { open } = await waiting.arrival()
    await subscriber.start()
    await stopIn(subscriber)
    open()
    await sync
  })

  it('may be called twice, at once, before start() and by its scope; start() may follow', async () => {
    await using net = new TestNet()
    const { info, cids } = await net.publisher({ chain: 1 })
    await using subscriber = new Subscriber({ linkSystem: createLinkSystem() }, { receiver: {} })
    await subscriber.stop()
    await subscriber.start()
    await Promise.all([subscriber.stop(), subscriber.stop(), subscriber[Symbol.asyncDispose]()])
    await Promise.all([subscriber.start(), subscriber.stop(), subscriber.start()])
    const events = subscriber.onSyncFinished()
    await subscriber.announce(cids[0], info)
    ok((await next(events)).cid.equals(cids[0]))
    equal((await subscriber.sync(info))?.equals(cids[0]), true)
  })

  it('does not wait for stores that hang', async () => {
    for (const hang of ['has', 'get', 'put', 'latest'] as const) {
      await using net = new TestNet()
      const { info, cids, linkSystem: source } = await net.publisher({ chain: 2 })
      const never = async (): Promise<never> => {
        reached.resolve()
        return new Promise(() => {})
      }
      const reached = Promise.withResolvers<void>()
      const blockstore = new MemoryBlockstore()
      const datastore = new MemoryDatastore()
      const linkSystem = createLinkSystem({ blockstore })
      await linkSystem.store(await source.load(cids[0]))
      if (hang === 'latest') {
        datastore.put = never as never
      } else if (hang === 'get') {
        blockstore.get = async function * () { yield await never() } as never
      } else {
        blockstore[hang] = never as never
      }
      const subscriber = new Subscriber({ linkSystem, datastore }, {})
      await subscriber.start()
      const sync = rejects(subscriber.sync(info), { name: 'SubscriberStoppedError' })
      await reached.promise
      await stopIn(subscriber)
      await sync
    }
  })

  for (const transport of faultyTransports) {
    it(`in any moment between two announced syncs ends the next one too (${transport.name})`, async () => {
      await using net = new TestNet()
      const good = await transport.publisher(net, { chain: 1 })
      const { publisher: silent, cids } = await transport.faulty(net, { chain: 1, script: () => 'silence' })
      for (let moment = 0; moment < 40; moment++) {
        const { subscriber } = await transport.subscriber(net, { receiver: {}, maxAsyncSyncs: 1 })
        const events = subscriber.onSyncFinished()
        const first = events.next()
        await subscriber.announce(good.cids[0], good.info)
        await subscriber.announce(cids[0], silent.info)
        equal((await first).value?.error, undefined)
        for (let i = 0; i < moment; i++) { await null }
        await stopIn(subscriber)
        for (const { error } of await rest(events)) { equal(error?.name, 'SubscriberStoppedError') }
      }
    })
  }

  for (const seed of [1, 2, 3]) {
    it(`at random moments of random operations, again and again (seed ${seed})`, async () => {
      await using net = new TestNet()
      const dice = random(seed)
      const pick = <T>(from: T[]): T => from[Math.floor(dice() * from.length)]
      const faults: Fault[] = ['reset', 'silence', 'truncate', 'wrong-bytes', { status: 500 }]
      const publishers = await Promise.all([0, 1, 2].map(async () => net.faultyPublisher({ chain: 30 })))
      for (const { publisher } of publishers) { publisher.script = () => dice() < 0.01 ? pick(faults) : undefined }
      const linkSystem = createLinkSystem()
      const subscriber = new Subscriber({ linkSystem }, {
        receiver: {},
        maxAsyncSyncs: 2,
        httpRetry: { retries: 2, minDelay: 1, maxDelay: 5 },
        blockHook: async (_peerId, cid) => {
          if (dice() < 0.3) { await linkSystem.blockstore.delete(cid) }
          if (dice() < 0.1) { await new Promise(resolve => setTimeout(resolve, 1)) }
        }
      })
      for (let round = 0; round < 40; round++) {
        await subscriber.start()
        const events = subscriber.onSyncFinished()
        const operations: Array<Promise<unknown>> = []
        for (let i = 0; i < 8; i++) {
          const { publisher, cids } = pick(publishers)
          const from = Math.floor(dice() * 29)
          operations.push(pick([
            async () => subscriber.sync(publisher.info),
            async () => subscriber.sync(publisher.info, { cid: cids[from] }),
            async () => subscriber.sync(publisher.info, { cid: cids[from], forceUpdateLatest: true }),
            async () => subscriber.sync(publisher.info, { signal: AbortSignal.timeout(1 + Math.floor(dice() * 20)) }),
            async () => subscriber.announce(cids[from], publisher.info),
            async () => subscriber.removeHandler(publisher.id),
            async () => subscriber.setLatestSync(publisher.id, cids[from]),
            async () => subscriber.stop()
          ])().catch((error: Error) => {
            ok(error.name !== 'TypeError', error.stack)
          }))
          if (dice() < 0.3) { await new Promise(resolve => setTimeout(resolve, dice() * 10)) }
        }
        if (dice() < 0.8) { await new Promise(resolve => setTimeout(resolve, dice() * 30)) }
        await Promise.all([stopIn(subscriber), stopIn(subscriber)])
        await inTime(Promise.all(operations), 1_000)
        await rest(events)
      }
      // it still works
      for (const { publisher } of publishers) { publisher.script = undefined }
      await subscriber.start()
      for (const { publisher, cids } of publishers) { ok((await inTime(subscriber.sync(publisher.info)))?.equals(cids[0])) }
      await stopIn(subscriber)
    })
  }
})
