import { describe, it } from 'node:test'
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Libp2p, PrivateKey } from '@libp2p/interface'
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr'
import { Receiver } from '../../src/announce/index.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { chain, FaultyPublisher, TestNet } from '../../src/testing/index.ts'
import { gate, next, TOPIC, until } from '../support/hall.ts'
import { transports } from '../support/transports.ts'

const [dtsync] = transports.filter(({ isHttp }) => !isHttp)
const dead = multiaddr('/ip4/127.0.0.1/tcp/9/http')
const QUICK = { httpRetry: false as const, httpTimeout: 2_000 }

/** One publisher that can be at several places. */
async function publisherOf (count: number): Promise<{
  cids: Awaited<ReturnType<typeof chain>>, at (port?: number): Promise<FaultyPublisher>, privateKey: PrivateKey
}> {
  const linkSystem = createLinkSystem()
  const privateKey = await generateKeyPair('Ed25519')
  const cids = await chain(linkSystem, count)
  return { cids, privateKey, at: async port => FaultyPublisher.start({ linkSystem, privateKey }, { root: cids[0], port }) }
}

const texts = (addrs: Multiaddr[]): string[] => addrs.map(String)

describe("a publisher's addresses", () => {
  it('one that moves: the announced address takes the place of the old one', async () => {
    await using net = new TestNet()
    const { cids, at } = await publisherOf(3)
    const before = await at()
    const { subscriber } = await net.subscriber({ ...QUICK, receiver: {} })
    const events = subscriber.onSyncFinished()
    await before.setRoot(cids[2])
    await subscriber.sync(before.info)
    await before.stop()

    await using after = await at()
    await subscriber.announce(cids[1], after.info)
    equal((await next(events)).count, 1)
    equal((await next(events)).error, undefined)
    deepEqual(texts(subscriber.httpPeerStore.get(after.id)), texts(after.info.multiaddrs))
    await subscriber.sync(after.id)
  })

  it('one that moves without a new head: asking for the head is proof enough', async () => {
    await using net = new TestNet()
    const { at } = await publisherOf(1)
    const before = await at()
    const { subscriber } = await net.subscriber(QUICK)
    await subscriber.sync(before.info)
    await before.stop()
    await using after = await at()
    await subscriber.sync(after.info)
    deepEqual(texts(subscriber.httpPeerStore.get(after.id)), texts(after.info.multiaddrs))
    await subscriber.sync(after.id)
  })

  it('one that moves from HTTP to libp2p: where it was is not asked, something else may be there', async () => {
    await using net = new TestNet()
    const { cids, at, privateKey } = await publisherOf(3)
    await using before = await at()
    const { subscriber } = await net.subscriber({ ...QUICK, topic: TOPIC, receiver: {}, components: { libp2p: await net.node() } })
    const events = subscriber.onSyncFinished()
    await before.setRoot(cids[2])
    await subscriber.sync(before.info)
    await next(events)

    const libp2p = await net.node({ privateKey })
    const after = await net.publisher({ http: false, topic: TOPIC, chain: 5, components: { libp2p, privateKey } })
    await subscriber.announce(after.cids[0], after.info)
    const { cid, error } = await next(events)
    deepEqual([String(cid), error], [String(after.cids[0]), undefined])
    deepEqual(subscriber.httpPeerStore.get(after.id), [])
    await after.extend(1)
    equal(String(await subscriber.sync(after.info)), String(after.cids[0])) // before still says that it has a head
    await after.extend(1)
    equal(String(await subscriber.sync(after.id)), String(after.cids[0]))
  })

  it('one that moves from HTTP to libp2p, says a relay that is not trusted: it is asked there after what is known', async () => {
    await using net = new TestNet()
    const { cids, at, privateKey } = await publisherOf(3)
    const before = await at()
    const relay: Libp2p<any> = await net.node()
    const node = await net.node({ connect: [relay] })
    const { subscriber } = await net.subscriber({ ...QUICK, topic: TOPIC, receiver: {}, components: { libp2p: node } })
    const events = subscriber.onSyncFinished()
    await before.setRoot(cids[2])
    await subscriber.sync(before.info)
    await next(events)
    await before.stop()

    const libp2p = await net.node({ privateKey })
    const { info, ...after } = await net.publisher({ http: false, topic: TOPIC, chain: 5, components: { libp2p, privateKey } })
    const resends = new Receiver({ pubsub: relay.services.pubsub, peerId: relay.peerId }, { topic: TOPIC, resend: true })
    await resends.start()
    await until(() => relay.services.pubsub.getSubscribers(TOPIC).length > 0)
    await resends.direct(after.cids[0], info)
    const { cid, error } = await next(events)
    deepEqual([String(cid), error], [String(after.cids[0]), undefined])
    await resends.stop()
  })

  for (const [what, isThere] of [['is asked there after what is known', true], ['and is not: nobody is asked there', false]] as const) {
    it(`one that is at an HTTP address now, says a relay that is not trusted, ${what}`, async () => {
      await using net = new TestNet()
      const { cids, at, privateKey } = await publisherOf(3)
      const relay: Libp2p<any> = await net.node()
      const node = await net.node({ connect: [relay] })
      const { subscriber } = await net.subscriber({ ...QUICK, topic: TOPIC, receiver: {}, components: { libp2p: node } })
      const events = subscriber.onSyncFinished()
      const libp2p = await net.node({ privateKey })
      const before = await net.publisher({ http: false, topic: TOPIC, chain: 2, components: { libp2p, privateKey } })
      await subscriber.sync(before.info)
      await next(events)

      await using after = await at()
      if (isThere) { await libp2p.stop() } else { await before.extend(1) }
      const said = isThere ? cids[0] : before.cids[0]
      const resends = new Receiver({ pubsub: relay.services.pubsub, peerId: relay.peerId }, { topic: TOPIC, resend: true })
      await resends.start()
      await until(() => relay.services.pubsub.getSubscribers(TOPIC).length > 0)
      await resends.direct(said, after.info)
      const { cid, error } = await next(events)
      deepEqual([String(cid), error], [String(said), undefined])
      equal(after.requests.length > 0, isThere)
      await resends.stop()
    })
  }

  it('given libp2p addresses where no publisher is: it is asked over HTTP, where it was before', async () => {
    await using net = new TestNet()
    const { cids, at, privateKey } = await publisherOf(3)
    await using publisher = await at()
    const { subscriber } = await net.subscriber({ ...QUICK, topic: TOPIC, components: { libp2p: await net.node() } })
    await publisher.setRoot(cids[2])
    await subscriber.sync(publisher.info)
    const libp2p = await net.node({ privateKey })
    for (const [i, multiaddrs] of [libp2p.getMultiaddrs(), [multiaddr('/ip4/127.0.0.1/tcp/9')]].entries()) {
      await publisher.setRoot(cids[1 - i])
      equal(String(await subscriber.sync({ id: publisher.id, multiaddrs })), String(cids[1 - i]))
      deepEqual(texts(subscriber.httpPeerStore.get(publisher.id)), texts(publisher.info.multiaddrs))
    }
  })

  it('a new address that does not work does not push out the old one', async () => {
    await using net = new TestNet()
    const { cids, at } = await publisherOf(2)
    await using publisher = await at()
    const { subscriber } = await net.subscriber({ ...QUICK, receiver: {} })
    const events = subscriber.onSyncFinished()
    await publisher.setRoot(cids[1])
    await subscriber.sync(publisher.info)
    await next(events)
    await subscriber.announce(cids[0], { id: publisher.id, multiaddrs: [dead] })
    equal((await next(events)).error, undefined)
    deepEqual(texts(subscriber.httpPeerStore.get(publisher.id)), texts(publisher.info.multiaddrs))
  })

  it('the first of two is down, then up: it is used again', async t => {
    await using net = new TestNet()
    const { at } = await publisherOf(1)
    const first = await at()
    const { info, port } = first
    await first.stop()
    await using second = await at()
    const { subscriber } = await net.subscriber(QUICK)
    const target = { id: info.id, multiaddrs: [...info.multiaddrs, ...second.info.multiaddrs] }
    await subscriber.sync(target)
    equal(second.requests.length, 2)

    await using again = await at(port)
    await subscriber.sync(target)
    equal(again.requests.length, 0) // what works stays, for a while
    const now = performance.now.bind(performance)
    t.mock.method(performance, 'now', () => now() + 61_000)
    await subscriber.sync(target)
    equal(again.requests.length, 1)
    equal(second.requests.length, 3)
  })

  it('the one that works goes away in the middle of a sync: the other one takes over', async () => {
    await using net = new TestNet()
    const { cids, at } = await publisherOf(10)
    await using first = await at()
    await using second = await at()
    const { subscriber } = await net.subscriber(QUICK)
    first.resetAfter(4)
    let count = 0
    const target = { id: first.id, multiaddrs: [...first.info.multiaddrs, ...second.info.multiaddrs] }
    await subscriber.sync(target, { blockHook: (_peerId, cid) => { ok(cid.equals(cids[count++])) } })
    equal(count, 10)
    ok(second.requests.length > 0)
  })

  it('those that cannot be used are skipped, not the whole set', async () => {
    await using net = new TestNet()
    const { cids, at } = await publisherOf(1)
    await using publisher = await at()
    const { subscriber } = await net.subscriber(QUICK)
    const multiaddrs = ['/ip4/127.0.0.1/udp/1/quic-v1', '/dns4/example.net/tcp/443', '/unix/somewhere', '/memory/7'].map(text => multiaddr(text))
    ok((await subscriber.sync({ id: publisher.id, multiaddrs: [...multiaddrs, ...publisher.info.multiaddrs] }))?.equals(cids[0]))
    deepEqual(texts(subscriber.httpPeerStore.get(publisher.id)), texts(publisher.info.multiaddrs))
  })

  it('none that can be used: TransportUnavailableError says what was looked at', async () => {
    await using net = new TestNet()
    const { at } = await publisherOf(1)
    await using publisher = await at()
    const { subscriber } = await net.subscriber(QUICK)
    await rejects(subscriber.sync(publisher.id), { name: 'TransportUnavailableError' })
    await rejects(subscriber.sync({ id: publisher.id, multiaddrs: [multiaddr('/ip4/127.0.0.1/udp/1/quic-v1')] }), error => {
      const { name, tried } = error as any
      return name === 'TransportUnavailableError' && tried.join().includes('/ip4/127.0.0.1/udp/1/quic-v1')
    })
  })

  it('the path that was found there is remembered between syncs', async () => {
    await using net = new TestNet()
    const { cids, at } = await publisherOf(4)
    await using publisher = await at()
    publisher.script = ({ path }) => path.startsWith('/ipni/') ? { status: 404 } : undefined // as v0.3.2
    const { subscriber } = await net.subscriber(QUICK)
    await publisher.setRoot(cids[1])
    await subscriber.sync(publisher.info)
    await publisher.setRoot(cids[0])
    await subscriber.sync(publisher.info)
    await subscriber.sync(publisher.id)
    equal(publisher.requests.filter(({ path }) => path.startsWith('/ipni/')).length, 1)
  })

  it('they do not expire during a sync', async () => {
    await using net = new TestNet()
    const { at } = await publisherOf(5)
    await using publisher = await at()
    const slow = gate()
    const { subscriber } = await net.subscriber({ ...QUICK, addrTTL: 20, blockHook: slow.hook })
    const sync = subscriber.sync(publisher.info)
    const first = await slow.arrival()
    await new Promise(resolve => setTimeout(resolve, 50))
    slow.openAll()
    first.open()
    await sync
    deepEqual(texts(subscriber.httpPeerStore.get(publisher.id)), texts(publisher.info.multiaddrs))
    await new Promise(resolve => setTimeout(resolve, 50))
    deepEqual(subscriber.httpPeerStore.get(publisher.id), [])
  })

  it('nor does the peer store of the node lose them (dtsync)', async () => {
    await using net = new TestNet()
    const { info } = await dtsync.publisher(net, { chain: 1 })
    const slow = gate()
    const libp2p = await net.node()
    const { subscriber } = await dtsync.subscriber(net, { components: { libp2p }, addrTTL: 20, blockHook: slow.hook })
    const sync = subscriber.sync(info)
    const first = await slow.arrival()
    await libp2p.peerStore.delete(info.id)
    await until(async () => (await libp2p.peerStore.get(info.id).catch(() => undefined))?.addresses.length === info.multiaddrs.length)
    first.open()
    await sync
  })

  it('they are known by name as long as a sync goes on, however long that is', async () => {
    await using net = new TestNet()
    const { cids, at } = await publisherOf(2)
    await using publisher = await at()
    const slow = gate()
    const { subscriber } = await net.subscriber({ ...QUICK, addrTTL: 200, blockHook: slow.hook })
    await publisher.setRoot(cids[1])
    const before = subscriber.sync(publisher.info)
    ;(await slow.arrival()).open()
    await before // the address is in the book
    await publisher.setRoot(cids[0])
    const sync = subscriber.sync(publisher.info)
    const first = await slow.arrival()
    await new Promise(resolve => setTimeout(resolve, 500))
    deepEqual(texts(subscriber.httpPeerStore.get(publisher.id)), texts(publisher.info.multiaddrs))
    first.open()
    await sync
  })

  it('those that the caller adds during a sync expire as the caller has said', async () => {
    await using net = new TestNet()
    const { at } = await publisherOf(1)
    await using publisher = await at()
    const slow = gate()
    const { subscriber } = await net.subscriber({ ...QUICK, addrTTL: 200, blockHook: slow.hook })
    const { httpPeerStore } = subscriber
    const sync = subscriber.sync(publisher.info)
    const first = await slow.arrival()
    httpPeerStore.add(publisher.id, [dead], 150)
    await until(() => !texts(httpPeerStore.get(publisher.id)).includes(String(dead)))
    first.open()
    await sync
  })

  it('those of HTTP are not put into the peer store of the node', async () => {
    await using net = new TestNet()
    const { at } = await publisherOf(1)
    await using publisher = await at()
    const libp2p = await net.node()
    const slow = gate()
    const { subscriber } = await net.subscriber({ ...QUICK, addrTTL: 20, blockHook: slow.hook, components: { libp2p } })
    const add = subscriber.httpPeerStore.add.bind(subscriber.httpPeerStore)
    let refreshed = 0
    subscriber.httpPeerStore.add = (...args) => {
      refreshed++
      add(...args)
    }
    const sync = subscriber.sync(publisher.info)
    const first = await slow.arrival()
    await until(() => refreshed > 2)
    first.open()
    await sync
    await rejects(libp2p.peerStore.get(publisher.id), { name: 'NotFoundError' })
  })

  it('may be kept as long as can be said', async t => {
    await using net = new TestNet()
    const { at } = await publisherOf(1)
    await using publisher = await at()
    const timers = t.mock.method(globalThis, 'setInterval')
    const { subscriber } = await net.subscriber({ ...QUICK, addrTTL: Number.MAX_SAFE_INTEGER })
    await subscriber.sync(publisher.info)
    ok(timers.mock.callCount() > 0)
    for (const { arguments: [, ms] } of timers.mock.calls) { ok(Number(ms) < 2 ** 31, `a timer of ${ms} ms would be one of 1 ms`) }
  })

  it('those of a sync that had nothing to ask are not taken for good ones', async () => {
    await using net = new TestNet()
    const { at, cids } = await publisherOf(1)
    await using publisher = await at()
    const { subscriber } = await net.subscriber(QUICK)
    await subscriber.sync(publisher.info)
    await subscriber.sync({ id: publisher.id, multiaddrs: [dead] }, { cid: cids[0], forceUpdateLatest: true })
    deepEqual(texts(subscriber.httpPeerStore.get(publisher.id)), texts(publisher.info.multiaddrs))
  })

  it('at the first contact, the block hook may sync from the publisher by its id alone', async () => {
    await using net = new TestNet()
    const { cids, at } = await publisherOf(2)
    await using publisher = await at()
    const { subscriber } = await net.subscriber({
      ...QUICK,
      async blockHook (peerId, cid) { if (cid.equals(cids[0])) { await subscriber.sync(peerId, { cid: cids[1], blockHook: () => {} }) } }
    })
    await subscriber.sync(publisher.info)
    await subscriber.sync(publisher.id)
  })

  it('a sync that fails leaves none of them behind', async () => {
    await using net = new TestNet()
    const { at } = await publisherOf(2)
    await using publisher = await at()
    const { subscriber } = await net.subscriber(QUICK)
    publisher.resetAfter(2)
    await rejects(subscriber.sync(publisher.info), { name: 'TransferFailedError' })
    await rejects(subscriber.sync(publisher.id), { name: 'TransportUnavailableError' })
  })

  it('the head is asked for with what is known of it: nothing comes when it is the same', async () => {
    await using net = new TestNet()
    const { cids, at } = await publisherOf(2)
    await using publisher = await at()
    const { subscriber } = await net.subscriber(QUICK)
    const events = subscriber.onSyncFinished()
    await publisher.setRoot(cids[1])
    for (let i = 0; i < 3; i++) { await subscriber.sync(publisher.info) }
    await publisher.setRoot(cids[0])
    await subscriber.sync(publisher.id)
    const asked = publisher.requests.filter(({ resource }) => resource === 'head').map(({ headers }) => headers['if-none-match'])
    deepEqual(asked, [undefined, `"${cids[1]}"`, `"${cids[1]}"`, `"${cids[1]}"`])
    for (const count of [1, 0, 0, 1]) { equal((await next(events)).count, count) }
  })

  it('what is passed in stays as it is', async () => {
    await using net = new TestNet()
    const { cids, at } = await publisherOf(1)
    await using publisher = await at()
    const { subscriber } = await net.subscriber({ ...QUICK, receiver: {} })
    const events = subscriber.onSyncFinished()
    const withId = publisher.info.multiaddrs[0].encapsulate(`/p2p/${publisher.id}`)
    const multiaddrs = [multiaddr('/ip4/127.0.0.1/udp/1/quic-v1'), withId]
    const given = texts(multiaddrs)
    await subscriber.sync(multiaddrs)
    await subscriber.sync({ id: publisher.id, multiaddrs })
    await subscriber.announce(cids[0], { id: publisher.id, multiaddrs })
    await next(events)
    deepEqual(texts(multiaddrs), given)
  })
})
