import { describe, it } from 'node:test'
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict'
import { runInNewContext } from 'node:vm'
import type { Metrics } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import type { CID } from 'multiformats/cid'
import type { SyncProgressEvents } from '../../src/shared/types.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { createSubscriber } from '../../src/index.ts'
import { TestNet } from '../../src/testing/index.ts'
import { exploreAll, exploreFields, exploreRecursive, exploreRecursiveEdge, matcher, recursionLimitDepth } from '../../src/traversal/index.ts'
import { gate, next, randomCid, recorder, rest } from '../support/hall.ts'
import { mkChain } from '../support/mk-chain.ts'
import { transports } from '../support/transports.ts'

describe('Subscriber', () => {
  it('createSubscriber() gives one that runs, and ends with its scope', async () => {
    await using net = new TestNet()
    const { info, cids } = await net.publisher({ chain: 2 })
    let kept
    {
      await using subscriber = await createSubscriber({ linkSystem: createLinkSystem() })
      ok((await subscriber.sync(info))?.equals(cids[0]))
      kept = subscriber
    }
    await rejects(kept.sync(info), { name: 'SubscriberStoppedError' })
  })

  it('createSubscriber() stops what it opened when start() throws', async () => {
    const topics = new Set<string>()
    const pubsub = {
      getTopics: () => [...topics],
      subscribe: (topic: string) => { topics.add(topic) },
      unsubscribe: (topic: string) => { topics.delete(topic) },
      addEventListener () { throw new Error('pubsub is not started') },
      removeEventListener () {}
    }
    const components = { linkSystem: createLinkSystem(), pubsub: pubsub as never }
    await rejects(createSubscriber(components, { topic: '/t', receiver: {} }), /pubsub is not started/)
    equal(topics.size, 0)
  })

  it('takes each kind of target', async () => {
    await using net = new TestNet()
    const { info, cids, id } = await net.publisher({ chain: 1 })
    const withId = info.multiaddrs[0].encapsulate(`/p2p/${id}`)
    for (const target of [info, withId, [withId], [multiaddr('/ip4/127.0.0.1/tcp/9'), withId]]) {
      const { subscriber } = await net.subscriber()
      ok((await subscriber.sync(target))?.equals(cids[0]))
    }
  })

  it("finds HTTP addresses in the node's peer store", async () => {
    await using net = new TestNet()
    const { info, cids, id } = await net.publisher({ chain: 1 })
    const libp2p = await net.node()
    const { subscriber } = await net.subscriber({ components: { libp2p } })
    await rejects(subscriber.sync(id), { name: 'TransportUnavailableError' })
    await libp2p.peerStore.merge(id, { multiaddrs: info.multiaddrs })
    ok((await subscriber.sync(id))?.equals(cids[0]))
  })

  it('takes a peer store that lacks the publisher for one without its addresses, also where the error is of another realm', async () => {
    await using net = new TestNet()
    const { id } = await net.publisher({ chain: 1 })
    const libp2p = await net.node()
    libp2p.peerStore.get = async () => { throw Object.assign(runInNewContext('new Error("none")'), { name: 'NotFoundError' }) }
    const { subscriber } = await net.subscriber({ components: { libp2p } })
    await rejects(subscriber.sync(id), { name: 'TransportUnavailableError' })
  })

  it('tells the head, each block and where it came from', async () => {
    await using net = new TestNet()
    const { info, cids, linkSystem: source } = await net.publisher({ chain: 3 })
    const { subscriber, linkSystem } = await net.subscriber()
    await linkSystem.store(await source.load(cids[1]))
    const events: unknown[] = []
    await subscriber.sync(info, {
      onProgress: ({ type, detail }: SyncProgressEvents) => {
        events.push(type === 'dagsync:block' ? [`${detail.cid}`, detail.count, detail.local, detail.bytes > 100] : [type, `${detail}`])
      }
    })
    deepEqual(events, [
      ['dagsync:head', `${cids[0]}`], [`${cids[0]}`, 1, false, true], [`${cids[1]}`, 2, true, true], [`${cids[2]}`, 3, false, true]
    ])
  })

  it('counts in the metrics that are injected', async () => {
    await using net = new TestNet()
    const { info, cids, linkSystem: source } = await net.publisher({ chain: 3 })
    const counts: Record<string, number> = {}
    const metrics = {
      registerCounter: (name: string) => {
        counts[name] = 0
        return { increment: (by = 1) => { counts[name] += by } }
      }
    } as unknown as Metrics
    const { subscriber, linkSystem } = await net.subscriber({ receiver: {}, components: { metrics } })
    const events = subscriber.onSyncFinished()
    await linkSystem.store(await source.load(cids[2]))
    await subscriber.announce(cids[0], info)
    await next(events)
    await rejects(subscriber.sync(info, { selector: matcher(), blockHook: () => { throw new Error('no') } }))
    const { dagsync_bytes_fetched_total: bytes, ...others } = counts
    ok(bytes > 200)
    deepEqual(others, {
      dagsync_blocks_local_total: 2,
      dagsync_blocks_fetched_total: 2,
      dagsync_syncs_finished_total: 1,
      dagsync_syncs_failed_total: 1,
      dagsync_announces_total: 1
    })
  })

  it('does its work with metrics of which every counter throws', async () => {
    await using net = new TestNet()
    const publisher = await net.publisher({ chain: 2 })
    const metrics = { registerCounter: () => ({ increment () { throw new Error('no counter') } }) } as unknown as Metrics
    const { subscriber } = await net.subscriber({ receiver: {}, components: { metrics } })
    const events = subscriber.onSyncFinished()
    ok((await subscriber.sync(publisher.info))?.equals(publisher.cids[0]))
    equal((await next(events)).count, 2)
    await rejects(subscriber.sync(publisher.info, { cid: await randomCid() }), { name: 'ContentNotFoundError' })
    for (let i = 0; i < 2; i++) {
      const [cid] = await publisher.extend(1)
      await subscriber.announce(cid, publisher.info)
      const { count, error } = await next(events)
      deepEqual({ count, error }, { count: 1, error: undefined })
    }
  })

  it('a selector is used as it is: without the stop at latest, and latest stays', async () => {
    await using net = new TestNet()
    const { publisher, linkSystem: source, info, id } = await net.publisher()
    const { subscriber } = await net.subscriber()
    const events = subscriber.onSyncFinished()
    const [head, ch3, ch2] = await mkChain(source)
    await publisher.setRoot(head)
    await subscriber.setLatestSync(id, ch2)
    const synced = async (selector: object, forceUpdateLatest?: boolean): Promise<number> => {
      const { hook, cids } = recorder()
      ok((await subscriber.sync(info, { selector, blockHook: hook, forceUpdateLatest }))?.equals(head))
      return cids.length
    }
    equal(await synced(matcher()), 1)
    equal(await synced(exploreFields({ ch3: matcher() })), 2)
    equal(await synced(exploreRecursive(recursionLimitDepth(3), exploreAll(exploreRecursiveEdge()))), 4)
    ok((await subscriber.getLatestSync(id))?.equals(ch2))
    equal(await synced(exploreRecursive(recursionLimitDepth(3), exploreAll(exploreRecursiveEdge()), ch3), true), 1)
    ok((await subscriber.getLatestSync(id))?.equals(head))
    equal((await next(events)).count, 1)
    await subscriber.stop()
    deepEqual(await rest(events), [])
  })

  it('a selector that stops at what it begins with: latest does not move to a block that is not here', async () => {
    await using net = new TestNet()
    const { info, id, cids } = await net.publisher({ chain: 2 })
    const { subscriber } = await net.subscriber()
    const forced = async (stop: CID, cid?: CID): Promise<void> => {
      const selector = exploreRecursive(recursionLimitDepth(3), exploreAll(exploreRecursiveEdge()), stop)
      ok((await subscriber.sync(info, { cid, selector, forceUpdateLatest: true }))?.equals(stop))
    }
    const nowhere = await randomCid()
    await forced(nowhere, nowhere)
    await forced(cids[0])
    equal(await subscriber.getLatestSync(id), undefined)
    await subscriber.sync(info, { cid: cids[0] })
    const events = subscriber.onSyncFinished()
    await forced(cids[0])
    equal((await next(events)).count, 0)
    ok((await subscriber.getLatestSync(id))?.equals(cids[0]))
  })

  it('a default sequence of the caller is wrapped with the limit and the stop link', async () => {
    await using net = new TestNet()
    const publisher = await net.publisher({ chain: 6 })
    const { hook, texts } = recorder()
    const { subscriber } = await net.subscriber({
      blockHook: hook,
      defaultSelectorSequence: exploreFields({ PreviousID: exploreRecursiveEdge() }),
      syncRecursionLimit: recursionLimitDepth(4)
    })
    await subscriber.sync(publisher.info)
    deepEqual(texts(), publisher.cids.slice(0, 4).map(String))
    const added = await publisher.extend(2)
    await subscriber.sync(publisher.info)
    deepEqual(texts().slice(4), added.map(String))
  })

  it('removeHandler(): what runs finishes, what is pending is dropped', async () => {
    await using net = new TestNet()
    const { info, cids, id } = await net.publisher({ chain: 2 })
    const syncs = gate()
    const { subscriber } = await net.subscriber({ receiver: {}, blockHook: syncs.hook })
    const events = subscriber.onSyncFinished()
    await subscriber.announce(cids[1], info)
    const running = await syncs.arrival()
    await subscriber.announce(cids[0], info)
    await new Promise(resolve => setImmediate(resolve)) // through the receiver
    equal(subscriber.removeHandler(id), true)
    equal(subscriber.removeHandler(id), false)
    running.open()
    ok((await next(events)).cid.equals(cids[1]))
    syncs.openAll()
    await subscriber.announce(cids[0], info) // is heard again
    equal((await next(events)).count, 1)
    await subscriber.stop()
    deepEqual(await rest(events), [])
  })

  it('filterIPs: announced addresses that are not public are not asked, those of the caller are', async () => {
    await using net = new TestNet()
    const { publisher, cids } = await net.faultyPublisher({ chain: 1 })
    const { id, port, info } = publisher
    const { subscriber } = await net.subscriber({ receiver: { filterIPs: true }, httpRetry: false })
    const events = subscriber.onSyncFinished()
    await subscriber.announce(cids[0], info)
    equal((await next(events)).error?.name, 'TransportUnavailableError')
    await subscriber.announce(cids[0], { id, multiaddrs: [multiaddr(`/dns4/localhost/tcp/${port}/http`)] })
    ok((await next(events)).error != null)
    equal(publisher.requests.length, 0)
    ok((await subscriber.sync(info))?.equals(cids[0]))
  })

  for (const transport of [transports[0], transports[2]]) {
    it(`filterIPs: the error says that it has left out what was announced (${transport.name})`, async () => {
      await using net = new TestNet()
      const { cids, info } = await transport.publisher(net, { chain: 1 })
      const { subscriber } = await transport.subscriber(net, { receiver: { filterIPs: true } })
      const events = subscriber.onSyncFinished()
      await subscriber.announce(cids[0], info)
      const { error } = await next(events)
      equal(error?.name, 'TransportUnavailableError')
      match(error.message, /filterIPs/)
    })
  }

  it("filterIPs: the caller's own private address is kept, for syncs by the id alone and when nothing else is announced", async () => {
    await using net = new TestNet()
    const { id, info, extend, cids } = await net.publisher({ chain: 1 })
    const { subscriber } = await net.subscriber({ receiver: { filterIPs: true }, httpRetry: false })
    const events = subscriber.onSyncFinished()
    await subscriber.sync(info)
    await extend(1)
    ok((await subscriber.sync(id))?.equals(cids[0]))
    await extend(1)
    await subscriber.announce(cids[0], info)
    for (const count of [1, 1, 1]) {
      const event = await next(events)
      equal(event.error, undefined)
      equal(event.count, count)
    }
    ok((await subscriber.getLatestSync(id))?.equals(cids[0]))
  })
})
