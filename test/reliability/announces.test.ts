import { describe, it } from 'node:test'
import { deepEqual, equal, ok } from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import type { Libp2p, PeerId } from '@libp2p/interface'
import { CID } from 'multiformats/cid'
import { identity } from 'multiformats/hashes/identity'
import type { AnnounceMessage } from '../../src/shared/types.ts'
import { encodeAnnounce, gossipSender, Receiver } from '../../src/announce/index.ts'
import { createSubscriber } from '../../src/index.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { readBlock } from '../../src/store/read.ts'
import { chain, TestNet, type FaultyPublisher } from '../../src/testing/index.ts'
import { gate, inTime, next, pubsubOf, randomPeer, recorder, rest, subscribed, TOPIC, until } from '../support/hall.ts'
import { FakePubSub } from '../announce/kit.ts'
import { gossipPublisher, gossipSubscriber, transports } from '../support/transports.ts'

const [http] = transports

/** CIDs that cost nothing to make. */
const numbered = (i: number): CID => CID.createV1(0x55, identity.digest(new TextEncoder().encode(`${i}`)))

/** A subscriber in whose block hook the sync of the oldest block of a chain waits. */
async function busy (net: TestNet, length: number) {
  const publisher = await net.publisher({ chain: length })
  const { info, cids } = publisher
  const syncs = gate()
  const { subscriber } = await net.subscriber({ receiver: {}, blockHook: syncs.hook })
  const events = subscriber.onSyncFinished()
  await subscriber.announce(cids[length - 1], info)
  return { ...publisher, syncs, subscriber, events, running: await syncs.arrival() }
}

describe('10,000 announces for one busy publisher', () => {
  it('leave one sync running and one pending, in flat memory', async () => {
    await using net = new TestNet()
    const { info, cids, syncs, subscriber, events, running } = await busy(net, 2)

    for (let i = 0; i < 1_000; i++) { await subscriber.announce(numbered(i), info) }
    globalThis.gc?.()
    const before = process.memoryUsage().heapUsed
    for (let i = 1_000; i < 10_000; i++) { await subscriber.announce(numbered(i), info) }
    globalThis.gc?.()
    const grown = process.memoryUsage().heapUsed - before
    ok(grown < 2 * 2 ** 20, `${grown} bytes more`)

    await subscriber.announce(cids[0], info)
    syncs.openAll()
    running.open()
    deepEqual([`${(await next(events)).cid}`, `${(await next(events)).cid}`], [...cids].reverse().map(String))
    await subscriber.stop()
    deepEqual(await rest(events), [])
    equal(syncs.calls.length, 2)
  })
})

describe('announces that come out of order while a sync runs', () => {
  it('leave none out: the newest one is synced, once', async () => {
    await using net = new TestNet()
    const { info, cids, id, syncs, subscriber, events, running } = await busy(net, 4)
    for (const i of [0, 2, 1]) { await subscriber.announce(cids[i], info) }
    syncs.openAll()
    running.open()
    equal((await next(events)).count, 1)
    const { cid, count } = await next(events)
    deepEqual([`${cid}`, count], [`${cids[0]}`, 3])
    equal(`${await subscriber.getLatestSync(id)}`, `${cids[0]}`)
    deepEqual(syncs.calls.map(String), [3, 1, 2, 0].map(i => `${cids[i]}`))
  })

  it('leave none out when they come all at once', async () => {
    await using net = new TestNet()
    const { info, cids } = await net.publisher({ chain: 4 })
    const { subscriber } = await net.subscriber({ receiver: {} })
    const events = subscriber.onSyncFinished()
    await Promise.all([3, 0, 2, 1].map(async i => subscriber.announce(cids[i], info)))
    let count = 0
    for (let last = ''; last !== `${cids[0]}`;) {
      const event = await next(events)
      count += event.count
      last = `${event.cid}`
    }
    equal(count, 4)
  })

  for (const [what, order, calls] of [
    ['one above the last', [0, 2, 1], [4, 1, 2, 3, 0]],
    ['several above the last', [1, 0, 3, 2], [4, 2, 3, 1, 0]]
  ] as const) {
    it(`leave none out where the head cannot be asked, ${what}: what was announced is synced`, async () => {
      await using net = new TestNet()
      const { publisher, cids } = await net.faultyPublisher({ chain: 5, script: ({ resource }) => resource === 'head' ? { status: 403 } : undefined })
      const { info } = publisher
      const syncs = gate()
      const { subscriber } = await net.subscriber({ receiver: {}, blockHook: syncs.hook })
      const events = subscriber.onSyncFinished()
      await subscriber.announce(cids[4], info)
      const running = await syncs.arrival()
      for (const i of order) { await subscriber.announce(cids[i], info) }
      syncs.openAll()
      running.open()
      equal((await next(events)).count, 1)
      const { cid, count, error } = await next(events)
      equal(error, undefined)
      deepEqual([`${cid}`, count], [`${cids[0]}`, 4])
      equal(`${await subscriber.getLatestSync(info.id)}`, `${cids[0]}`)
      deepEqual(syncs.calls.map(String), calls.map(i => `${cids[i]}`))
      await subscriber.stop()
      deepEqual(await rest(events), [])
    })
  }

  it('are not asked for again, nor is the head, where the hook has deleted what they brought', async () => {
    await using net = new TestNet()
    const { publisher, cids } = await net.faultyPublisher({ chain: 4 })
    const { info } = publisher
    const linkSystem = createLinkSystem()
    const syncs = gate()
    const { subscriber } = await net.subscriber({
      receiver: {},
      components: { linkSystem },
      async blockHook (...args) {
        await syncs.hook(...args)
        await linkSystem.blockstore.delete(args[1])
      }
    })
    const events = subscriber.onSyncFinished()
    await subscriber.announce(cids[3], info)
    const running = await syncs.arrival()
    for (const i of [2, 1, 0]) { await subscriber.announce(cids[i], info) }
    syncs.openAll()
    running.open()
    equal((await next(events)).count, 1)
    equal((await next(events)).count, 3)
    deepEqual(publisher.requests.map(({ resource }) => resource), [3, 0, 1, 2].map(i => `${cids[i]}`))
  })

  it('are heard again, all of them, when the sync that is to bring them fails', async () => {
    await using net = new TestNet()
    const { info, cids, linkSystem, syncs, subscriber, events, running } = await busy(net, 3)
    for (const i of [0, 1]) { await subscriber.announce(cids[i], info) }
    const bytes = await readBlock(linkSystem.blockstore, cids[1])
    await linkSystem.blockstore.delete(cids[1])
    syncs.openAll()
    running.open()
    await next(events)
    equal((await next(events)).error?.name, 'ContentNotFoundError')
    await linkSystem.put(cids[1], bytes)
    await subscriber.announce(cids[0], info)
    const { cid, count } = await next(events)
    deepEqual([`${cid}`, count], [`${cids[0]}`, 2])
  })
})

describe('announces of 1,200 publishers in the same moment', () => {
  it('are all heard: each publisher is synced from', async () => {
    await using net = new TestNet()
    const { info: { multiaddrs }, cids: [cid] } = await net.publisher({ chain: 1 })
    const { subscriber } = await net.subscriber({ receiver: {} })
    const publishers = await Promise.all(Array.from({ length: 1_200 }, randomPeer))
    const events = subscriber.onSyncFinished()
    await Promise.all(publishers.map(async id => subscriber.announce(cid, { id, multiaddrs })))
    const synced = new Set<string>()
    while (synced.size < publishers.length) { synced.add(`${(await next(events)).peerId}`) }
  })
})

describe('a node that is stopped and started again below its subscriber', () => {
  it('hears announces again, and none after stop()', async () => {
    await using net = new TestNet()
    const { publisher, node: there, extend } = await gossipPublisher(http, net, { chain: 1 })
    const { subscriber, node } = await gossipSubscriber(http, net, [there])
    const events = subscriber.onSyncFinished()
    await node.stop()
    await node.start()
    await node.dial(there.getMultiaddrs())
    await subscribed(there, node)
    const [cid] = await extend(1)
    await publisher.announce()
    equal(`${(await next(events)).cid}`, `${cid}`)
    await subscriber.stop()
    await node.stop()
    await node.start()
    deepEqual(pubsubOf(node).getTopics(), [])
  })
})

describe('a node whose pubsub is stopped and started with it', () => {
  it('keeps a subscription of others when the subscriber stops', async () => {
    const topics = new Set<string>([TOPIC])
    const pubsub = Object.assign(new EventTarget(), {
      getTopics: () => [...topics],
      subscribe: (topic: string) => { topics.add(topic) },
      unsubscribe: (topic: string) => { topics.delete(topic) }
    })
    const libp2p = Object.assign(new EventTarget(), { services: { pubsub } }) as unknown as Libp2p
    const subscriber = await createSubscriber({ libp2p, linkSystem: createLinkSystem() }, { topic: TOPIC, receiver: {} })
    libp2p.dispatchEvent(new CustomEvent('start')) // who has subscribed was quicker
    await subscriber.stop()
    deepEqual([...topics], [TOPIC])
  })
})

describe('a node that has pubsub and no events', () => {
  it('is listened on all the same', async () => {
    const topics = new Set<string>()
    const pubsub = Object.assign(new EventTarget(), {
      getTopics: () => [...topics],
      subscribe: (topic: string) => { topics.add(topic) },
      unsubscribe: (topic: string) => { topics.delete(topic) }
    })
    const libp2p = { services: { pubsub } } as unknown as Libp2p
    const subscriber = await createSubscriber({ libp2p, linkSystem: createLinkSystem() }, { topic: TOPIC, receiver: {} })
    deepEqual([...topics], [TOPIC])
    await subscriber.stop()
    deepEqual([...topics], [])
  })
})

describe('many publishers that announce at once', () => {
  /** Peers that share one server: the announced CIDs are taken at their word, so no head is asked. */
  async function crowd (net: TestNet, count: number): Promise<{ peers: PeerId[], publisher: FaultyPublisher, cids: CID[] }> {
    const { publisher, linkSystem } = await net.faultyPublisher()
    const cids = await Promise.all(Array.from({ length: count }, async (_, i) => linkSystem.store({ i })))
    return { cids, peers: await Promise.all(cids.map(randomPeer)), publisher }
  }

  it('500: at most maxAsyncSyncs run, and all finish', async () => {
    await using net = new TestNet()
    const { peers, publisher, cids } = await crowd(net, 500)
    let running = 0
    let most = 0
    const full = Promise.withResolvers<void>()
    const { subscriber } = await net.subscriber({
      receiver: {},
      maxAsyncSyncs: 16,
      blockHook: async () => {
        most = Math.max(most, ++running)
        if (running === 16) { full.resolve() }
        await full.promise
        await new Promise(resolve => setTimeout(resolve, 2))
        running--
      }
    })
    const events = subscriber.onSyncFinished()
    const { info: { multiaddrs } } = publisher
    await Promise.all(peers.map(async (id, i) => subscriber.announce(cids[i], { id, multiaddrs })))
    const finished = new Set<string>()
    for (let i = 0; i < 500; i++) {
      const { peerId, error } = await next(events)
      equal(error, undefined)
      finished.add(`${peerId}`)
    }
    equal(finished.size, 500)
    equal(most, 16)
    await subscriber.stop()
    deepEqual(await rest(events), [])
  })

  it('one that announces all the time gets its turn with the others, not before them', async () => {
    await using net = new TestNet()
    const { peers, publisher, cids } = await crowd(net, 60)
    const { info: { multiaddrs } } = publisher
    const [busy, ...others] = peers.slice(0, 11)
    const order: string[] = []
    let announced = 0
    const again = async (): Promise<void> => subscriber.announce(cids[announced++], { id: busy, multiaddrs })
    const { subscriber } = await net.subscriber({
      receiver: {},
      maxAsyncSyncs: 1,
      blockHook: async peer => {
        order.push(peer.equals(busy) ? 'busy' : 'other')
        if (peer.equals(busy) && announced < 5) { await again() }
      }
    })
    const events = subscriber.onSyncFinished()
    await again()
    for (const [i, id] of others.entries()) { await subscriber.announce(cids[20 + i], { id, multiaddrs }) }
    for (let i = 0; i < others.length + 5; i++) { await next(events) }
    deepEqual(order, ['busy', ...others.map(() => 'other'), 'busy', 'busy', 'busy', 'busy'])
  })

  it('one that waits for its explicit sync keeps no slot from the others', async () => {
    await using net = new TestNet()
    const busy = await net.publisher({ chain: 2 })
    const other = await net.publisher({ chain: 1 })
    const { subscriber } = await net.subscriber({ receiver: {}, maxAsyncSyncs: 1 })
    const events = subscriber.onSyncFinished()
    const held = gate()
    const explicit = subscriber.sync(busy.info, { cid: busy.cids[1], forceUpdateLatest: true, blockHook: held.hook })
    const call = await held.arrival()
    await subscriber.announce(busy.cids[0], busy.info)
    await subscriber.announce(other.cids[0], other.info)
    ok((await next(events)).peerId.equals(other.id))
    call.open()
    await explicit
    deepEqual([(await next(events)).count, (await next(events)).count], [1, 1])
  })

  it('the same CID from two of them: both are synced', async () => {
    await using net = new TestNet()
    const linkSystem = createLinkSystem()
    const cids = await chain(linkSystem, 5)
    const first = await net.publisher({ components: { linkSystem }, root: cids[0] })
    const second = await net.publisher({ components: { linkSystem }, root: cids[0] })
    const { hook, cids: seen } = recorder()
    const { subscriber } = await net.subscriber({ receiver: {}, blockHook: hook })
    const events = subscriber.onSyncFinished()
    await Promise.all([first, second].map(async ({ info }) => subscriber.announce(cids[0], info)))
    const finished = [await next(events), await next(events)]
    deepEqual(finished.map(({ count, error }) => [count, error]), [[5, undefined], [5, undefined]])
    deepEqual(new Set(finished.map(({ peerId }) => `${peerId}`)), new Set([`${first.id}`, `${second.id}`]))
    equal(seen.length, 10)
    for (const { id } of [first, second]) { ok((await subscriber.getLatestSync(id))?.equals(cids[0])) }
  })
})

describe('hints of a relay about more and more publishers', () => {
  it('wait in a bounded number, and may come again when there is room', async () => {
    await using net = new TestNet()
    const relay = await randomPeer()
    const pubsub = new FakePubSub(await randomPeer())
    const { info, cids } = await net.publisher({ chain: 1 })
    const other = await net.publisher({ chain: 1 })
    const held = gate()
    const { subscriber } = await net.subscriber({
      topic: TOPIC, receiver: {}, maxAsyncSyncs: 1, components: { pubsub }, blockHook: held.hook
    })
    const hint = (publisher: PeerId): void => {
      const data = encodeAnnounce({ cid: numbered(1), addrs: [], origPeer: `${publisher}` })
      pubsub.receive({ type: 'signed', topic: TOPIC, from: relay, data })
    }
    const events = subscriber.onSyncFinished()
    await subscriber.announce(cids[0], info)
    const running = await held.arrival()
    const peers = await Promise.all(Array.from({ length: 3_000 }, randomPeer))
    for (const peer of peers) {
      hint(peer)
      await turn() // each is taken as it comes
    }
    await subscriber.announce(other.cids[0], other.info)
    held.openAll()
    running.open()
    let hints = 0
    for (let event = await next(events); !event.peerId.equals(other.id); event = await next(events)) {
      if (event.error != null) { hints++ }
    }
    equal(hints, 1_024)
    hint(peers[2_999])
    ok((await next(events)).peerId.equals(peers[2_999]))
  })
})

describe('an old announce that is played again', () => {
  it('does not move latest back', async () => {
    await using net = new TestNet()
    const { info, cids, id } = await net.publisher({ chain: 5 })
    const { hook, cids: seen } = recorder()
    const { subscriber } = await net.subscriber({ receiver: {}, blockHook: hook })
    const events = subscriber.onSyncFinished()
    await subscriber.sync(info)
    await next(events)
    await subscriber.announce(cids[3], info)
    const { cid, count } = await next(events)
    ok(cid.equals(cids[0]))
    equal(count, 0)
    ok((await subscriber.getLatestSync(id))?.equals(cids[0]))
    equal(seen.length, 5)
  })

  it('fails where the publisher has no head any more', async () => {
    await using net = new TestNet()
    const { publisher, info, cids, id } = await net.publisher({ chain: 3 })
    const { subscriber } = await net.subscriber({ receiver: {} })
    const events = subscriber.onSyncFinished()
    await subscriber.sync(info)
    await next(events)
    await publisher.setRoot(undefined)
    await subscriber.announce(cids[1], info)
    const { cid, error } = await next(events)
    deepEqual([`${cid}`, error?.name], [`${cids[1]}`, 'ContentNotFoundError'])
    ok((await subscriber.getLatestSync(id))?.equals(cids[0]))
  })

  it('is not heard at all while its CID is among the last 64', async () => {
    await using net = new TestNet()
    const publisher = await net.publisher({ chain: 1 })
    const { subscriber } = await net.subscriber({ receiver: {} })
    const events = subscriber.onSyncFinished()
    await subscriber.announce(publisher.cids[0], publisher.info)
    await next(events)
    await publisher.extend(1)
    await subscriber.announce(publisher.cids[1], publisher.info)
    await subscriber.announce(publisher.cids[0], publisher.info)
    equal((await next(events)).count, 1)
    await subscriber.stop()
    deepEqual(await rest(events), [])
  })

  it('does not move latest back where the hook has deleted the blocks', async () => {
    await using net = new TestNet()
    const { info, cids, id } = await net.publisher({ chain: 5 })
    const linkSystem = createLinkSystem()
    const { subscriber } = await net.subscriber({
      receiver: {},
      components: { linkSystem },
      blockHook: async (_peerId, cid) => { await linkSystem.blockstore.delete(cid) }
    })
    const events = subscriber.onSyncFinished()
    await subscriber.sync(info)
    await next(events)
    await subscriber.announce(cids[3], info)
    await next(events)
    ok((await subscriber.getLatestSync(id))?.equals(cids[0]))
  })
})

describe('an announce whose sync has failed', () => {
  for (const transport of transports) {
    it(`may come again, also where the publisher's head is still the old one (${transport.name})`, async () => {
      await using net = new TestNet()
      const { info, cids, id, linkSystem } = await transport.publisher(net, { chain: 2 })
      let broken = true
      const { subscriber } = await transport.subscriber(net, {
        receiver: {},
        blockHook: (_peerId, cid) => { if (broken && cid.equals(added[1])) { throw new Error('broken') } }
      })
      const added = await chain(linkSystem, 2, { previous: cids[0], index: 2, seed: 9 })
      const events = subscriber.onSyncFinished()
      await subscriber.sync(info)
      await next(events)
      await subscriber.announce(added[0], info)
      equal((await next(events)).error?.name, 'BlockHookError')
      broken = false
      await subscriber.announce(added[0], info)
      const { cid, count, error } = await next(events)
      deepEqual([`${cid}`, count, error], [`${added[0]}`, 2, undefined])
      ok((await subscriber.getLatestSync(id))?.equals(added[0]))
    })
  }
})

describe('gossip', () => {
  /** Waits until it can reach somebody, as raw publish() does not. */
  async function relays (node: Libp2p, message: AnnounceMessage): Promise<void> {
    const { recipients } = await gossipSender({ pubsub: pubsubOf(node) }, { topic: TOPIC }).send(message)
    equal(recipients, 1)
  }

  it('that is no announce is counted and dropped, and the next announce is heard', async () => {
    await using net = new TestNet()
    const { publisher, node, cids } = await gossipPublisher(http, net, { chain: 1 })
    const { subscriber, node: listener } = await gossipSubscriber(http, net, [node])
    await using receiver = new Receiver({ pubsub: pubsubOf(listener) }, { topic: TOPIC })
    await receiver.start()
    const events = subscriber.onSyncFinished()
    const good = encodeAnnounce({ cid: cids[0], addrs: [] })
    const messages = [
      new Uint8Array(), Uint8Array.of(0xff), Uint8Array.of(0x80), new Uint8Array(70_000), new TextEncoder().encode('{"Cid":1}'),
      good.subarray(0, good.length - 1), Uint8Array.of(0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
    ]
    await relays(node, { cid: numbered(0), addrs: [] }) // the way is open
    equal((await next(events)).error, undefined) // over libp2p, which needs no address now; an identity CID is not fetched
    for (const message of messages) { await pubsubOf(node).publish(TOPIC, message) }
    await publisher.announce()
    const { cid, error } = await next(events)
    equal(error, undefined)
    ok(cid.equals(cids[0]))
    ok(receiver.malformed >= messages.length - 1, `${receiver.malformed} of ${messages.length}`) // an empty message may not be passed on
  })

  it('of a relay that nobody trusts never sets a foreign latest: the publisher is asked', async () => {
    await using net = new TestNet()
    const publisher = await net.publisher({ chain: 2 })
    const attacker = await net.publisher({ chain: 3 })
    const relay = await net.node()
    const { subscriber, linkSystem } = await gossipSubscriber(http, net, [relay])
    const events = subscriber.onSyncFinished()
    await subscriber.sync(publisher.info)
    await next(events)

    const [head] = await publisher.extend(1)
    await relays(relay, {
      cid: attacker.cids[0], addrs: attacker.info.multiaddrs.map(({ bytes }) => bytes), origPeer: publisher.id.toString()
    })
    const { cid, peerId, count, error } = await next(events)
    equal(error, undefined)
    ok(cid.equals(head))
    ok(peerId.equals(publisher.id))
    equal(count, 1)
    ok((await subscriber.getLatestSync(publisher.id))?.equals(head))
    equal(await linkSystem.has(attacker.cids[0]), false)
    deepEqual(subscriber.httpPeerStore.get(publisher.id).map(String), publisher.info.multiaddrs.map(String))
  })

  it('of such a relay about a publisher that is not known: its head must be signed by it', async () => {
    await using net = new TestNet()
    const attacker = await net.publisher({ chain: 3 })
    const victim = await randomPeer()
    const relay = await net.node()
    const { subscriber, linkSystem } = await gossipSubscriber(http, net, [relay])
    const events = subscriber.onSyncFinished()
    await relays(relay, {
      cid: attacker.cids[0], addrs: attacker.info.multiaddrs.map(({ bytes }) => bytes), origPeer: victim.toString()
    })
    const { error, peerId } = await next(events)
    equal(error?.name, 'UnexpectedSignerError')
    ok(peerId.equals(victim))
    equal(await subscriber.getLatestSync(victim), undefined)
    equal(await linkSystem.has(attacker.cids[0]), false)
  })

  it('of a relay that is trusted is taken at its word', async () => {
    await using net = new TestNet()
    const { publisher, cids } = await net.faultyPublisher({ chain: 3 })
    const relay = await net.node()
    const { subscriber } = await gossipSubscriber(http, net, [relay], { receiver: { trustedRelays: [relay.peerId] } })
    const events = subscriber.onSyncFinished()
    await relays(relay, {
      cid: cids[1], addrs: publisher.info.multiaddrs.map(({ bytes }) => bytes), origPeer: publisher.id.toString()
    })
    const { cid, count } = await next(events)
    ok(cid.equals(cids[1]))
    equal(count, 2)
    ok(publisher.requests.every(({ resource }) => resource !== 'head'))
  })

  it('of a node that two subscribers share reaches both, and the topic is left at the last stop', async () => {
    await using net = new TestNet()
    const { publisher, node, cids } = await gossipPublisher(http, net, { chain: 1 })
    const first = await gossipSubscriber(http, net, [node])
    const second = await net.subscriber({ topic: TOPIC, receiver: {}, components: { libp2p: first.node } })
    const readers = [first, second].map(({ subscriber }) => subscriber.onSyncFinished())
    await publisher.announce()
    for (const reader of readers) { ok((await next(reader)).cid.equals(cids[0])) }
    const pubsub = pubsubOf(first.node)
    await first.subscriber.stop()
    deepEqual(pubsub.getTopics(), [TOPIC])
    await second.subscriber.stop()
    deepEqual(pubsub.getTopics(), [])

    pubsub.subscribe(TOPIC)
    await first.subscriber.start()
    await subscribed(node, first.node)
    await first.subscriber.stop()
    deepEqual(pubsub.getTopics(), [TOPIC]) // not ours to leave
    await until(() => pubsubOf(node).getSubscribers(TOPIC).length === 1)
  })

  it('is no longer heard after stop()', async () => {
    await using net = new TestNet()
    const { publisher, node } = await gossipPublisher(http, net, { chain: 1 })
    const { subscriber, linkSystem } = await gossipSubscriber(http, net, [node])
    await subscriber.stop()
    const [{ recipients }] = await inTime(publisher.announce())
    ok((recipients ?? 0) <= 1)
    await new Promise(resolve => setTimeout(resolve, 50))
    equal(await linkSystem.has(publisher.root as CID), false)
  })
})
