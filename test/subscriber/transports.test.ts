import { deepEqual, equal, match, ok, rejects, throws } from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Socket } from 'node:net'
import { describe, it } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Connection, Libp2p, PeerId, PrivateKey } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { Subscriber } from '../../src/subscriber/subscriber.ts'
import type { LinkSystem, PublisherInit, SubscriberInit } from '../../src/shared/types.ts'
import { headProtocol } from '../../src/syncers/dtsync/index.ts'
import { createPublisher, type Publisher } from '../../src/index.ts'
import { createDataTransfer } from '../../src/wire/data-transfer/index.ts'
import { chain, FaultyPublisher, TestNet, type TestPublisher } from '../../src/testing/index.ts'
import { adChain } from '../support/ads.ts'
import { inTime, next, randomCid, recorder, TOPIC, until } from '../support/hall.ts'
import { RawServer, RawStream } from '../wire/http-kit.ts'

const HTTP = '/http/1.1'
const HEAD = headProtocol(TOPIC)
const GRAPHSYNC = '/ipfs/graphsync/2.0.0'
const DATA_TRANSFER = '/fil/datatransfer/1.2.0'

interface Dual { publisher: TestPublisher, libp2p: Libp2p, privateKey: PrivateKey }

async function dual (net: TestNet, init: PublisherInit & { chain?: number } = {}): Promise<Dual> {
  const privateKey = await generateKeyPair('Ed25519')
  const libp2p = await net.node({ privateKey })
  const publisher = await net.publisher({ http: false, chain: 3, topic: TOPIC, ...init, components: { libp2p, privateKey } })
  return { privateKey, libp2p, publisher }
}

/** A subscriber, and which protocols it opened streams of to a peer, in order. */
async function subscriberOf (
  net: TestNet, init: SubscriberInit = {}
): Promise<{ subscriber: Subscriber, linkSystem: LinkSystem, opened: string[], node: Libp2p }> {
  const node = await net.node()
  const opened: string[] = []
  const counted = <T extends object> (of: T): T => new Proxy(of, {
    get (target: any, field) {
      const value = target[field]
      if (field === 'getConnections') { return (peer: PeerId) => node.getConnections(peer).map(connection => counted(connection)) }
      if (field !== 'dialProtocol' && field !== 'newStream') { return typeof value === 'function' ? value.bind(target) : value }
      return async (...args: unknown[]) => {
        const stream = await value.apply(target, args)
        opened.push(stream.protocol)
        return stream
      }
    }
  })
  const counting = counted(node)
  const made = await net.subscriber({ topic: TOPIC, httpTimeout: 5_000, httpRetry: false, ...init, components: { libp2p: counting } })
  return { ...made, opened, node }
}

describe('a subscriber without being told which transport', () => {
  const cases: Array<[string, PublisherInit, SubscriberInit, string]> = [
    ['a publisher of both: dtsync, which asks once for all', {}, {}, GRAPHSYNC],
    ['a publisher of both, by its preference', {}, { transports: ['ipnisync', 'dtsync'] }, HTTP],
    ['a publisher of both, with one transport only', {}, { transports: ['ipnisync'] }, HTTP],
    ['a publisher of both, without a topic', {}, { topic: undefined }, HTTP],
    ['a publisher of ipnisync', { dtsync: false }, {}, HTTP],
    ['a publisher of ipnisync without a topic', { topic: undefined }, {}, HTTP],
    ['a publisher of dtsync', { ipnisync: false }, {}, GRAPHSYNC],
    ['a publisher of dtsync, though the other is preferred', { ipnisync: false }, { transports: ['ipnisync', 'dtsync'] }, GRAPHSYNC]
  ]
  for (const [what, publisherInit, init, protocol] of cases) {
    it(`syncs from ${what}`, async () => {
      await using net = new TestNet()
      const { publisher } = await dual(net, publisherInit)
      const seen = recorder()
      const { subscriber, opened } = await subscriberOf(net, { blockHook: seen.hook, ...init })
      equal(String(await subscriber.sync(publisher.info)), String(publisher.cids[0]))
      deepEqual(seen.texts(), publisher.cids.map(String))
      ok(opened.includes(protocol), opened.join())
      ok(!opened.slice(1).includes(protocol === HTTP ? GRAPHSYNC : HTTP), opened.join()) // the first one is the question
      const [added] = await publisher.extend(1)
      const asked = opened.length
      equal(String(await subscriber.sync(publisher.info)), String(added))
      ok(opened.slice(asked).every(other => other === protocol), `asked again: ${opened.slice(asked).join()}`)
      equal(seen.cids.length, 4)
    })
  }

  it('syncs 200 chains at once over the streams that there are', async () => {
    await using net = new TestNet()
    const { publisher } = await dual(net, { dtsync: false })
    const { entries } = await adChain(publisher.linkSystem, 200, { chunks: 2 })
    const { subscriber, linkSystem } = await subscriberOf(net)
    await inTime(subscriber.syncEntries(publisher.info, entries.map(([first]) => first), { concurrency: 200 }))
    for (const cid of entries.flat()) { ok(await linkSystem.has(cid)) }
  })

  it('syncs a CID that is known', async () => {
    await using net = new TestNet()
    for (const init of [{ dtsync: false }, { ipnisync: false }, {}] as const) {
      const { publisher } = await dual(net, init)
      const { subscriber, linkSystem } = await subscriberOf(net)
      await subscriber.sync(publisher.info, { cid: publisher.cids[1] })
      deepEqual(await Promise.all(publisher.cids.map(cid => linkSystem.has(cid))), [false, true, true])
    }
  })

  it('takes HTTP where an address is known, also when it is connected over libp2p', async () => {
    await using net = new TestNet()
    const { publisher, libp2p } = await dual(net, { http: { listen: '127.0.0.1:0' } })
    const { subscriber, opened, node } = await subscriberOf(net)
    await node.dial(libp2p.getMultiaddrs())
    await subscriber.sync(publisher.info)
    deepEqual(opened, [])
    equal(subscriber.httpPeerStore.get(publisher.id).length, 1)
  })

  it('takes streams before HTTP when told to, and HTTP where there are none', async () => {
    await using net = new TestNet()
    const { publisher, libp2p } = await dual(net, { http: { listen: '127.0.0.1:0' } })
    const { subscriber, opened } = await subscriberOf(net, { transports: ['ipnisync', 'http'] })
    await subscriber.sync(publisher.info)
    ok(opened.includes(HTTP))
    await libp2p.stop()
    await publisher.extend(1)
    equal(String(await inTime(subscriber.sync(publisher.info))), String(publisher.cids[0]))
    equal(subscriber.httpPeerStore.get(publisher.id).length, 1)
  })

  it('follows a publisher that changes from one to the other', async () => {
    await using net = new TestNet()
    const { publisher, libp2p, privateKey } = await dual(net, { ipnisync: false })
    const { subscriber } = await subscriberOf(net)
    await subscriber.sync(publisher.info)
    await publisher.publisher.stop()
    const components = { libp2p, privateKey, linkSystem: publisher.linkSystem }
    const next = await net.publisher({ http: false, dtsync: false, chain: 5, components })
    equal(String(await subscriber.sync(next.info)), String(next.cids[0]))
    await next.publisher.stop()
    const again = await net.publisher({ http: false, ipnisync: false, topic: TOPIC, chain: 6, components })
    equal(String(await subscriber.sync(again.info)), String(again.cids[0]))
  })

  it('follows it for a CID that is known, too', async () => {
    await using net = new TestNet()
    const { publisher, libp2p, privateKey } = await dual(net, { dtsync: false })
    const node = await net.node()
    await using dataTransfer = createDataTransfer({ libp2p: node }, { restartTimeout: 100 })
    await dataTransfer.start()
    const seen = recorder()
    const { subscriber } = await net.subscriber({ topic: TOPIC, blockHook: seen.hook, dataTransfer, components: { libp2p: node } })
    await subscriber.sync(publisher.info)
    const publishes = async (init: PublisherInit, before: Publisher): Promise<Publisher> => {
      await before.stop()
      const components = { linkSystem: publisher.linkSystem, libp2p, privateKey }
      return createPublisher(components, { topic: TOPIC, ...init })
    }
    const over = await publishes({ ipnisync: false }, publisher.publisher)
    const [entries, more] = await chain(publisher.linkSystem, 2, { seed: 99 })
    await subscriber.syncOneEntry(publisher.info, entries)
    const again = await publishes({ dtsync: false }, over)
    await subscriber.syncOneEntry(publisher.info, more)
    deepEqual(seen.texts(), [...publisher.cids, entries, more].map(String))
    await again.stop()
  })

  it('connects again to a publisher that was just closing the connection', async () => {
    await using net = new TestNet()
    const { publisher, libp2p } = await dual(net)
    const connected = once(libp2p, 'connection:open')
    const node = await net.node({ connect: [libp2p] })
    await connected
    let asked = 0
    const closing = new Proxy(node, {
      get (target: any, field) {
        const value = target[field]
        if (field !== 'dialProtocol') { return typeof value === 'function' ? value.bind(target) : value }
        return async (peer: PeerId, ...args: Parameters<Connection['newStream']>) => {
          if (asked++ > 0) { return value.call(target, peer, ...args) }
          const opening = node.getConnections(peer)[0].newStream(...args) // as libp2p does where there is a connection
          for (const connection of libp2p.getConnections()) { connection.abort(new Error('test')) }
          return opening
        }
      }
    })
    const { subscriber } = await net.subscriber({ topic: TOPIC, httpRetry: false, components: { libp2p: closing } })
    equal(String(await subscriber.sync(publisher.info)), String(publisher.cids[0]))
  })

  it('does not take the head of another topic over streams for its own', async () => {
    await using net = new TestNet()
    const { publisher } = await dual(net)
    const { subscriber } = await subscriberOf(net, { topic: '/other' })
    await rejects(subscriber.sync(publisher.info), { name: 'HeadQueryError', message: /\/legs\/head\/other/ })
    await rejects(subscriber.sync(publisher.info), { name: 'HeadQueryError' })
    const told = await subscriberOf(net, { topic: '/other', transports: ['ipnisync'] })
    await told.node.dial(publisher.info.multiaddrs)
    await until(async () => (await told.node.peerStore.get(publisher.id)).protocols.includes(HEAD))
    equal(String(await told.subscriber.sync(publisher.id)), String(publisher.cids[0]))
  })

  it('is not misled by heads of other topics that the peer has had before, and the peer store remembers', async () => {
    await using net = new TestNet()
    const { publisher: { info, id, cids } } = await dual(net, { dtsync: false })
    const { subscriber, node } = await subscriberOf(net)
    await node.dial(info.multiaddrs)
    await until(async () => (await node.peerStore.get(id)).protocols.includes(HTTP))
    await node.peerStore.merge(id, { protocols: [headProtocol('/other')] })
    equal(String(await subscriber.sync(info)), String(cids[0]))
  })

  it('does not take it either when its own publisher has left the node, of which the peer store does not hear', async () => {
    await using net = new TestNet()
    const { publisher: { publisher, info, id, cids }, libp2p, privateKey } = await dual(net)
    await net.publisher({ http: false, chain: 1, topic: '/other', components: { libp2p, privateKey } })
    const { subscriber } = await subscriberOf(net)
    const late = await subscriberOf(net)
    equal(String(await subscriber.sync(info)), String(cids[0]))
    await late.node.dial(info.multiaddrs)
    await until(async () => (await late.node.peerStore.get(id)).protocols.includes(HEAD))
    await publisher.stop()
    for (const each of [subscriber, late.subscriber]) {
      await rejects(each.sync(id), { name: 'HeadQueryError', message: /\/legs\/head\/dagsync\/testtopic/ })
    }
    ok((await subscriber.getLatestSync(id))?.equals(cids[0]))
  })
})

describe('a publisher that offers a transport and does not answer on it', () => {
  const silent = async (libp2p: Libp2p, ...protocols: string[]): Promise<RawServer[]> =>
    Promise.all(protocols.map(async protocol => RawServer.start(libp2p, protocol, () => {})))

  it('offers both: an error that lists what was tried, in time', async () => {
    await using net = new TestNet()
    const libp2p = await net.node()
    await silent(libp2p, HEAD, HTTP)
    const { subscriber } = await subscriberOf(net, { httpTimeout: 300 })
    await rejects(inTime(subscriber.sync({ id: libp2p.peerId, multiaddrs: libp2p.getMultiaddrs() }), 3_000), (err: any) => {
      equal(err.name, 'TransportUnavailableError')
      deepEqual(err.tried.map((text: string) => text.split(':')[0]), ['http', 'dtsync', 'ipnisync'])
      for (const text of err.tried.slice(1)) { match(text, /no answer within 300 ms/) }
      return err.cause.name === 'HeadQueryError'
    })
  })

  const plays: Array<[string, (stream: RawStream) => void | Promise<void>]> = [
    ['says nothing', () => {}],
    ['resets', ({ stream }) => { stream.abort(new Error('test')) }],
    ['closes', async ({ stream }) => { await stream.close() }],
    ['speaks another language', stream => { stream.write('\xff'.repeat(1_000)) }],
    ['answers 500', stream => { stream.write('HTTP/1.1 500 \r\nContent-Length: 6\r\n\r\nbroken') }]
  ]
  for (const [what, play] of plays) {
    it(`offers all and ${what}: its syncs, announced ones too, end with an error in time`, async () => {
      await using net = new TestNet()
      const libp2p = await net.node()
      const info = { id: libp2p.peerId, multiaddrs: libp2p.getMultiaddrs() }
      await Promise.all([HEAD, HTTP, GRAPHSYNC, DATA_TRANSFER].map(async protocol => libp2p.handle(protocol, stream => {
        stream.addEventListener('message', () => { void play(new RawStream(stream)) }, { once: true })
      })))
      const { subscriber } = await subscriberOf(net, { httpTimeout: 600, stallTimeout: 5_000, receiver: {} })
      const events = subscriber.onSyncFinished()
      await rejects(inTime(subscriber.sync(info), 15_000), { name: 'TransportUnavailableError' })
      const cid = await randomCid()
      await rejects(inTime(subscriber.sync(info, { cid }), 20_000), (err: any) => /^ERR_/.test(err.code))
      await subscriber.announce(cid, info)
      const { error } = await next(events, 20_000)
      match((error as any).code, /^ERR_/)
      equal(await subscriber.getLatestSync(info.id), undefined)
    })
  }

  it('offers one: its error', async () => {
    await using net = new TestNet()
    for (const protocol of [HEAD, HTTP]) {
      const libp2p = await net.node()
      await silent(libp2p, protocol)
      const { subscriber } = await subscriberOf(net, { httpTimeout: 300 })
      const synced = subscriber.sync({ id: libp2p.peerId, multiaddrs: libp2p.getMultiaddrs() })
      await rejects(inTime(synced, 3_000), { name: 'HeadQueryError', message: /no answer within 300 ms/ })
    }
  })

  it('answers on the other: synced from there, from then on without asking the first one', async () => {
    await using net = new TestNet()
    const { publisher, libp2p } = await dual(net, { dtsync: false })
    const [raw] = await silent(libp2p, HEAD)
    const { subscriber } = await subscriberOf(net, { httpTimeout: 500 })
    for (let i = 0; i < 3; i++) {
      await publisher.extend(1)
      equal(String(await inTime(subscriber.sync(publisher.info), 5_000)), String(publisher.cids[0]))
    }
    equal(raw.requests.length, 1)
  })

  it('offers none: an error that lists what was tried', async () => {
    await using net = new TestNet()
    const libp2p = await net.node()
    const info = { id: libp2p.peerId, multiaddrs: libp2p.getMultiaddrs() }
    const { subscriber } = await subscriberOf(net)
    const isListed = (err: any): boolean => {
      deepEqual([err.name, err.tried.length], ['TransportUnavailableError', 3])
      match(err.message, /http: needs an HTTP address.*dtsync: it speaks none of \/legs\/head.*ipnisync: it speaks none of \/http\/1.1/)
      return true
    }
    await rejects(subscriber.sync(info), isListed)
    await rejects(subscriber.sync(info, { cid: (await dual(net)).publisher.cids[0] }), isListed)
    const { subscriber: without } = await subscriberOf(net, { topic: undefined })
    await rejects(without.sync(info), { name: 'TransportUnavailableError', message: /dtsync: needs a topic; ipnisync: it/ })
  })

  it('is not there: HeadQueryError, after one dial', async () => {
    await using net = new TestNet()
    const { publisher, libp2p } = await dual(net)
    const { info } = publisher
    await libp2p.stop()
    const { subscriber } = await subscriberOf(net)
    await rejects(inTime(subscriber.sync(info), 5_000), { name: 'HeadQueryError' })
    await rejects(inTime(subscriber.sync(info, { cid: publisher.cids[0] }), 5_000), { name: 'TransferFailedError' })
  })

  it('does not negotiate: aborted by the caller, or after httpTimeout', async () => {
    await using net = new TestNet()
    const sockets = new Set<Socket>()
    const server = createServer(socket => { sockets.add(socket.on('error', () => {})) }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { peerId } = await net.node()
    const port = (server.address() as any).port
    const info = { id: peerId, multiaddrs: [multiaddr(`/ip4/127.0.0.1/tcp/${port}`)] }
    const { subscriber } = await subscriberOf(net, { httpTimeout: 300 })
    await rejects(inTime(subscriber.sync(info), 3_000), (err: any) => {
      deepEqual([err.name, err.cause.name], ['HeadQueryError', 'TimeoutError'])
      return true
    })
    const reason = new Error('enough')
    const { subscriber: patient } = await subscriberOf(net)
    const controller = new AbortController()
    server.once('connection', () => { controller.abort(reason) })
    await rejects(inTime(patient.sync(info, { signal: controller.signal }), 3_000), err => err === reason)
    for (const socket of sockets) { socket.destroy() }
    server.close()
  })
})

describe('transports', () => {
  it('are checked', () => {
    for (const transports of [[], ['ftp'], ['http', 'http'], 'http', null] as any[]) {
      throws(() => new Subscriber({ linkSystem: createLinkSystem() }, { transports }), { name: 'InvalidOptionError', field: 'transports' })
    }
  })

  it('that are left out are not used', async () => {
    await using net = new TestNet()
    await using faulty = await FaultyPublisher.start({ linkSystem: createLinkSystem() })
    const { subscriber } = await subscriberOf(net, { transports: ['dtsync', 'ipnisync'] })
    await rejects(subscriber.sync(faulty.info), { name: 'TransportUnavailableError' })
    deepEqual(faulty.requests, [])
  })
})
