import { describe, it } from 'node:test'
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import type { CID } from 'multiformats/cid'
import { createSubscriber } from '../../src/index.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import type { Subscriber } from '../../src/subscriber/subscriber.ts'
import { headProtocol } from '../../src/syncers/dtsync/index.ts'
import { TestNet, type FaultyPublisher } from '../../src/testing/index.ts'
import { inTime, next, pubsubOf, randomCid, TOPIC, until } from '../support/hall.ts'
import { faultyTransports, gossipPublisher, gossipSubscriber, transports } from '../support/transports.ts'
import { openStreams, untilStreams } from '../wire/http-kit.ts'

void process.stdin // a pipe of the runner, which would else appear when a module imports 'process'

/** Timers, sockets and servers that are open now. */
function open (): string[] {
  return process.getActiveResourcesInfo().filter(name => /^(Timeout|Immediate|TCP|Pipe|TTY|GetAddrInfo)/.test(name)).sort()
}

async function closed (before: string[]): Promise<void> {
  await until(() => open().length <= before.length).catch(() => {})
  deepEqual(open(), before)
}

const PATIENT = { receiver: {}, httpTimeout: 60_000, httpRetry: { retries: 3, minDelay: 1, maxDelay: 60_000 } }

/** Syncs that end well, fail and are aborted. */
async function trouble (subscriber: Subscriber, publisher: FaultyPublisher, cids: CID[]): Promise<void> {
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
}

describe('after stop()', () => {
  it('no timer, socket or server is left, whatever was done before', async () => {
    const before = open()
    {
      await using net = new TestNet()
      const { publisher, cids } = await net.faultyPublisher({ chain: 50 })
      const withPublisher = open()
      const { subscriber } = await net.subscriber(PATIENT)
      await trouble(subscriber, publisher, cids)
      await subscriber.stop()
      await closed(withPublisher)
    }
    await closed(before)
  })

  for (const transport of transports.filter(({ name }) => name !== 'HTTP by fetch')) { // which keeps its sockets
    it(`none is left of syncs whose block hook never returns, stopped or aborted (${transport.name})`, async () => {
      const before = open()
      {
        await using net = new TestNet()
        const { info } = await transport.publisher(net, { chain: 2 })
        const { subscriber } = await transport.subscriber(net)
        const hang = async (signal?: AbortSignal): Promise<() => Promise<void>> => {
          const called = Promise.withResolvers<void>()
          const blockHook = async (): Promise<void> => {
            called.resolve()
            await new Promise(() => {})
          }
          const sync = subscriber.sync(info, { signal, blockHook })
          sync.catch(called.reject)
          await inTime(called.promise)
          return async () => rejects(inTime(sync))
        }
        const controller = new AbortController()
        const aborted = await hang(controller.signal)
        controller.abort()
        await aborted()
        const stopped = await hang()
        await subscriber.stop()
        await stopped()
      }
      await closed(before)
    })
  }

  it('no timer is left of a sync that was aborted while the peer store of its node hung, and which finds an address afterwards', async t => {
    await using net = new TestNet()
    const { info } = await net.publisher({ chain: 1 })
    const libp2p = await net.node()
    const { subscriber } = await net.subscriber({ components: { libp2p } })
    const reached = Promise.withResolvers<void>()
    const found = Promise.withResolvers<unknown>()
    libp2p.peerStore.get = async () => {
      reached.resolve()
      return found.promise as never
    }
    const controller = new AbortController()
    const sync = subscriber.sync(info.id, { signal: controller.signal })
    await reached.promise
    controller.abort(new Error('enough'))
    await rejects(inTime(sync), /enough/)
    const timers = t.mock.method(globalThis, 'setInterval')
    found.resolve({ addresses: info.multiaddrs.map(multiaddr => ({ multiaddr })) })
    await setImmediate()
    equal(timers.mock.callCount(), 0)
  })

  for (const transport of transports.filter(({ isHttp }) => !isHttp)) {
    it(`no listener is left on the node (${transport.name})`, async () => {
      await using net = new TestNet()
      const { info } = await transport.publisher(net, { chain: 2 })
      const libp2p = await net.node()
      const listeners = new Set<unknown>()
      const { addEventListener, removeEventListener } = libp2p
      libp2p.addEventListener = (type: any, listener: any) => {
        listeners.add(listener)
        addEventListener.call(libp2p, type, listener)
      }
      libp2p.removeEventListener = (type: any, listener: any) => {
        listeners.delete(listener)
        removeEventListener.call(libp2p, type, listener)
      }
      const { subscriber } = await transport.subscriber(net, { receiver: {}, components: { libp2p } })
      await subscriber.sync(info)
      ok(listeners.size > 0, 'while it runs')
      await subscriber.stop()
      equal(listeners.size, 0)
    })
  }

  it('nothing is kept of it, nor of a sync that is over', async () => {
    await using net = new TestNet()
    const { info } = await net.publisher({ chain: 2 })
    const isGone = async (ref: WeakRef<object>): Promise<void> => until(() => {
      globalThis.gc?.()
      return ref.deref() == null
    })
    const abortedSync = async (subscriber: Subscriber): Promise<WeakRef<object>> => {
      const reason = new Error('enough')
      const controller = new AbortController()
      const blockHook = (): void => { controller.abort(reason) }
      await rejects(subscriber.sync(info, { signal: controller.signal, blockHook }), error => error === reason)
      return new WeakRef(reason)
    }
    const used = async (): Promise<WeakRef<object>> => {
      const linkSystem = createLinkSystem()
      await using subscriber = await createSubscriber({ linkSystem })
      await isGone(await abortedSync(subscriber))
      await subscriber.sync(info)
      return new WeakRef(linkSystem)
    }
    await isGone(await used())
  })

  it('no stream of the head and of graphsync is left (dtsync)', async () => {
    await using net = new TestNet()
    const { info } = await transports[2].publisher(net, { chain: 2 })
    const libp2p = await net.node()
    const { subscriber } = await transports[2].subscriber(net, { components: { libp2p } })
    await subscriber.sync(info)
    ok(openStreams(libp2p, headProtocol(TOPIC)) > 0, 'one is kept for the next sync')
    await subscriber.stop()
    for (const protocol of [headProtocol(TOPIC), '/ipfs/graphsync/2.0.0']) { await untilStreams(libp2p, protocol, 0) }
  })

  it('no stream is left, and the connection is', async () => {
    await using net = new TestNet()
    const [, streams] = faultyTransports
    const { publisher, cids } = await streams.faulty(net, { chain: 50 })
    const libp2p = await net.node()
    const { subscriber } = await streams.subscriber(net, { ...PATIENT, components: { libp2p } })
    await trouble(subscriber, publisher, cids)
    await subscriber.stop()
    await untilStreams(libp2p, '/http/1.1', 0)
    await until(async () => await publisher.connections() === 0)
    equal(libp2p.getConnections(publisher.id).length, 1)
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

  for (const transport of transports) {
    it(`no listener is left on a signal that many syncs were given (${transport.name})`, async () => {
      await using net = new TestNet()
      const publisher = await transport.publisher(net, { chain: 5 })
      const { subscriber } = await transport.subscriber(net)
      const { signal } = new AbortController()
      for (let i = 0; i < 30; i++) {
        await subscriber.sync(publisher.info, { signal })
        await subscriber.sync(publisher.info, { signal, cid: await randomCid() }).catch(() => {})
        await subscriber.getLatestSync(publisher.id, { signal })
        await publisher.extend(2)
      }
      equal(getEventListeners(signal, 'abort').length, 0)
    })
  }

  for (const transport of faultyTransports) {
    it(`connections are kept between syncs, not made anew (${transport.name})`, async () => {
      await using net = new TestNet()
      const { publisher, cids } = await transport.faulty(net, { chain: 5 })
      const { subscriber } = await transport.subscriber(net)
      for (let i = 0; i < 100; i++) { await subscriber.sync(publisher.info, { cid: cids[i % 5] }) }
      equal(await publisher.connections(), 1)
    })
  }
})
