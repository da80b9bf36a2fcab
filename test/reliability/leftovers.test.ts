import { describe, it } from 'node:test'
import { deepEqual, equal } from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { TestNet } from '../../src/testing/index.ts'
import { inTime, next, pubsubOf, randomCid, until } from '../support/hall.ts'
import { gossipPublisher, gossipSubscriber, transports } from '../support/transports.ts'

/** Timers, sockets and servers that are open now. */
function open (): string[] {
  return process.getActiveResourcesInfo().filter(name => /^(Timeout|Immediate|TCP|Pipe|TTY|GetAddrInfo)/.test(name)).sort()
}

async function closed (before: string[]): Promise<void> {
  await until(() => open().length <= before.length).catch(() => {})
  deepEqual(open(), before)
}

describe('after stop()', () => {
  it('no timer, socket or server is left, whatever was done before', async () => {
    const before = open()
    {
      await using net = new TestNet()
      const { publisher, cids } = await net.faultyPublisher({ chain: 50 })
      const withPublisher = open()
      const httpRetry = { retries: 3, minDelay: 1, maxDelay: 60_000 }
      const { subscriber } = await net.subscriber({ receiver: {}, httpTimeout: 60_000, httpRetry })
      const events = subscriber.onSyncFinished()
      await subscriber.sync(publisher.info)
      await Promise.all(Array.from({ length: 10 }, async () => subscriber.sync(publisher.info, { cid: cids[20] })))
      await subscriber.announce(await randomCid(), publisher.info)
      await next(events)
      await next(events)
      await subscriber.sync(publisher.info, { cid: await randomCid() }).catch(() => {})
      for (const fault of ['reset', 'truncate', 'wrong-bytes', 'endless', 'silence', { status: 503, headers: { 'retry-after': '50' } }] as const) {
        publisher.script = () => fault
        await inTime(subscriber.sync(publisher.info, { signal: AbortSignal.timeout(50) }).catch(() => {}))
      }
      publisher.script = undefined
      await subscriber.stop()
      await closed(withPublisher)
    }
    await closed(before)
  })

  it('none is left after a start() alone, and none after a start() that failed', async () => {
    const before = open()
    await using net = new TestNet()
    const { subscriber } = await net.subscriber({ receiver: {} })
    await subscriber.stop()
    await closed(before)
    const pubsub = {
      getTopics: () => [],
      subscribe: () => { throw new Error('pubsub is not started') },
      addEventListener () {},
      removeEventListener () {}
    }
    const failed = await net.subscriber({ topic: '/t', receiver: {}, components: { pubsub: pubsub as never } }).catch(error => error)
    equal(failed.message, 'pubsub is not started')
    await closed(before)
  })

  it('no listener is left on the pubsub service, and no subscription', async () => {
    await using net = new TestNet()
    const { publisher, node } = await gossipPublisher(transports[0], net, { chain: 1 })
    const { subscriber, node: listener } = await gossipSubscriber(transports[0], net, [node])
    const events = subscriber.onSyncFinished()
    await publisher.announce()
    await next(events)
    const pubsub = pubsubOf(listener)
    const before = getEventListeners(pubsub, 'message').length
    await subscriber.stop()
    equal(getEventListeners(pubsub, 'message').length, before - 1)
    deepEqual(pubsub.getTopics(), [])
  })

  it('no listener is left on a signal that many syncs were given', async () => {
    await using net = new TestNet()
    const publisher = await net.publisher({ chain: 5 })
    const { subscriber } = await net.subscriber()
    const { signal } = new AbortController()
    for (let i = 0; i < 30; i++) {
      await subscriber.sync(publisher.info, { signal })
      await subscriber.sync(publisher.info, { signal, cid: await randomCid() }).catch(() => {})
      await subscriber.getLatestSync(publisher.id, { signal })
      await publisher.extend(2)
    }
    equal(getEventListeners(signal, 'abort').length, 0)
  })

  it('connections are kept between syncs, not made anew', async () => {
    await using net = new TestNet()
    const { publisher, cids } = await net.faultyPublisher({ chain: 5 })
    const { subscriber } = await net.subscriber()
    for (let i = 0; i < 100; i++) { await subscriber.sync(publisher.info, { cid: cids[i % 5] }) }
    equal(await publisher.connections(), 1)
  })
})
