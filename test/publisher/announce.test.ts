import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { afterEach, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'
import { decodeAnnounce, gossipsubInit, messageAddrs, Receiver } from '../../src/announce/index.ts'
import { chooseAnnounceAddrs } from '../../src/publisher/addrs.ts'
import { Publisher } from '../../src/publisher/publisher.ts'
import type { AnnounceMessage, AnnounceSender, PublisherComponents, PublisherInit } from '../../src/shared/types.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { TestNet } from '../../src/testing/test-net.ts'

const ONE = CID.parse('baguqeerah5jbm4o22vrstcqv6bqibsilh3bgamxcbiyxgvwaslbeionwniiq')
const TWO = CID.parse('baguqeerapbu4aku224ucrg6vkosxt5qgpjtuok5pc43ruu3lenrnh7mxlqkq')
const privateKey = await generateKeyPair('Ed25519')

const running: Publisher[] = []
afterEach(async () => { await Promise.all(running.splice(0).map(async publisher => publisher.stop())) })

async function start (init: PublisherInit, components: Partial<PublisherComponents> = {}): Promise<Publisher> {
  const publisher = new Publisher({ linkSystem: createLinkSystem(), privateKey, ...components }, { http: {}, ...init })
  await publisher.start()
  running.push(publisher)
  return publisher
}

class Sender implements AnnounceSender {
  readonly sent: AnnounceMessage[] = []
  stopped = 0
  error?: Error

  async send (message: AnnounceMessage): Promise<{ recipients?: number }> {
    if (this.error != null) { throw this.error }
    this.sent.push(message)
    return { recipients: 3 }
  }

  async stop (): Promise<void> { this.stopped++ }
}

function fakePubsub (): any {
  const published: Array<[string, Uint8Array]> = []
  return {
    published,
    getSubscribers: () => [],
    publish: async (topic: string, data: Uint8Array) => {
      published.push([topic, data])
      return { recipients: [{}, {}] }
    }
  }
}

describe('announcing', () => {
  it('leaves out addresses beyond the 64 that are read; more cannot be given', async () => {
    const many = Array.from({ length: 80 }, (_, i) => multiaddr(`/ip4/8.8.8.8/tcp/${i + 1}/http`))
    const pubsub = fakePubsub()
    const publisher = await start({ topic: '/t', root: ONE, http: { addrs: many } }, { pubsub })
    deepEqual((await publisher.announce()).map(({ recipients }) => recipients), [2])
    const [[, data]] = pubsub.published
    deepEqual(messageAddrs(decodeAnnounce(data)).map(String), many.slice(0, 64).map(String))
    await start({ announceAddrs: many.slice(0, 64) })
    await rejects(start({ announceAddrs: many.slice(0, 65) }), { name: 'InvalidOptionError', field: 'announceAddrs' })
  })

  it('tells the root and the addresses to every sender, and says what became of it', async () => {
    const good = new Sender()
    const bad = new Sender()
    bad.error = new Error('no route')
    const addr = multiaddr('/dns4/example.com/tcp/443/https')
    const publisher = await start({ root: ONE, senders: [good, bad], http: { addrs: [addr] } })
    deepEqual(await publisher.announce(), [{ sender: good, recipients: 3 }, { sender: bad, error: bad.error }])
    deepEqual(good.sent, [{ cid: ONE, addrs: [addr.bytes] }])
  })

  it('is nothing without root or senders', async () => {
    const sender = new Sender()
    deepEqual(await (await start({ senders: [sender] })).announce(), [])
    deepEqual(sender.sent, [])
    deepEqual(await (await start({ root: ONE })).announce(), [])
    deepEqual(await (await start({ root: ONE, senders: [] })).announce(), [])
  })

  it('says in the log that nobody is told where there is a topic and no pubsub, and no head as such', async () => {
    const lines: string[] = []
    const logger: any = { forComponent: () => (format: string, ...args: unknown[]) => { lines.push([format, ...args].join(' ')) } }
    const publisher = await start({ topic: '/t' }, { logger })
    equal(lines.filter(line => line.startsWith('no pubsub')).length, 1)
    ok(lines.some(line => line.includes('serves') && line.includes('no head')))
    deepEqual(await publisher.updateRoot(ONE), [])

    lines.length = 0
    await start({ topic: '/t', senders: [] }, { logger })
    await start({ topic: '/t', root: ONE }, { logger, pubsub: fakePubsub() })
    await start({}, { logger })
    deepEqual(lines.filter(line => line.startsWith('no pubsub')), [])
    ok(lines.some(line => line.includes('serves') && line.includes(String(ONE))))
  })

  it('fails when every sender does', async () => {
    const bad = new Sender()
    bad.error = new Error('no route')
    const publisher = await start({ senders: [bad, bad] })
    await rejects(publisher.updateRoot(ONE), { name: 'AnnounceError', errors: [bad.error, bad.error] })
    equal(publisher.root, ONE) // set nevertheless
  })

  it('of updateRoot tells the root that it set', async () => {
    const sender = new Sender()
    const publisher = await start({ senders: [sender] })
    await Promise.all([publisher.updateRoot(ONE), publisher.updateRoot(TWO)])
    deepEqual(sender.sent.map(({ cid }) => cid), [ONE, TWO])
    equal(publisher.root, TWO)
  })

  it('ends with the signal, with stop() even if the sender listens to neither, and is refused when stopped', async () => {
    const publisher = await start({ root: ONE, senders: [{ send: async () => new Promise(() => {}) }] })
    const reason = new Error('enough')
    const controller = new AbortController()
    const announced = publisher.announce({ signal: controller.signal })
    controller.abort(reason)
    await rejects(announced, reason)
    await rejects(publisher.announce({ signal: AbortSignal.abort(reason) }), reason)
    const second = publisher.announce()
    second.catch(() => {})
    await publisher.stop()
    await rejects(second, { name: 'PublisherStoppedError', message: /stopped/ })
    await rejects(publisher.announce(), { name: 'PublisherStoppedError', message: /not running/ })
  })

  it('does not stop senders that it was given', async () => {
    const sender = new Sender()
    const publisher = await start({ senders: [sender] })
    await publisher.stop()
    equal(sender.stopped, 0)
  })

  it('goes over gossip by itself when there is pubsub and a topic', async () => {
    const pubsub = fakePubsub()
    const publisher = await start({ root: ONE, topic: '/t' }, { pubsub })
    equal((await publisher.announce())[0].recipients, 2)
    const [topic, data] = pubsub.published[0]
    equal(topic, '/t')
    ok(decodeAnnounce(data).cid.equals(ONE))
    deepEqual(await (await start({ root: ONE }, { pubsub })).announce(), [])
    const own = new Sender()
    await (await start({ root: ONE, topic: '/t', senders: [own] }, { pubsub })).announce()
    equal(own.sent.length, 1)
    equal(pubsub.published.length, 1)
  })

  it('1,000 times on one signal leaves no listener behind', async () => {
    const publisher = await start({ root: ONE, senders: [new Sender()] })
    const { signal } = new AbortController()
    for (let i = 0; i < 1_000; i++) { await publisher.announce({ signal }) }
    await Promise.all(Array.from({ length: 100 }, async () => publisher.announce({ signal })))
    equal(getEventListeners(signal, 'abort').length, 0)
  })

  it('reaches a receiver over gossipsub', async () => {
    await using net = new TestNet()
    const [publisherKey, receiverNode] = [await generateKeyPair('Ed25519'), await net.node()]
    const node = await net.node({ privateKey: publisherKey, connect: [receiverNode] })
    equal(typeof gossipsubInit().msgIdFn, 'function')
    await using receiver = new Receiver({ pubsub: (receiverNode.services as any).pubsub, peerId: receiverNode.peerId }, { topic: '/t' })
    await receiver.start()
    const publisher = await start({ topic: '/t', http: { listen: '127.0.0.1:0' } }, { libp2p: node, privateKey: publisherKey })
    const pubsub = (node.services as any).pubsub
    while (pubsub.getSubscribers('/t').length === 0) { await delay(5) }
    const announced = receiver.next({ signal: AbortSignal.timeout(10_000) })
    const [{ recipients }] = await publisher.updateRoot(ONE)
    equal(recipients, 1)
    const { cid, peerId, addrs } = await announced
    ok(cid.equals(ONE))
    ok(peerId.equals(publisher.id))
    deepEqual(addrs.map(String), publisher.addrs().map(String))
  })
})

describe('addresses of announcements', () => {
  const list = (...addrs: string[]): Multiaddr[] => addrs.map(addr => multiaddr(addr))
  const HTTP = '/ip4/8.8.8.8/tcp/80/http'
  const LOCAL_HTTP = '/ip4/10.0.0.1/tcp/80/http'
  const LIBP2P = '/ip4/8.8.8.8/tcp/4001'
  const LOCAL_LIBP2P = '/ip4/127.0.0.1/tcp/4001'

  const cases: Array<[string, Multiaddr[], Multiaddr[], string[]]> = [
    ['public HTTP ones', list(LOCAL_HTTP, HTTP), list(LIBP2P), [HTTP]],
    ['public libp2p ones, when no HTTP one is', list(LOCAL_HTTP), list(LOCAL_LIBP2P, LIBP2P), [LIBP2P]],
    ['private ones, when nothing else exists', list(LOCAL_HTTP), list(LOCAL_LIBP2P), [LOCAL_HTTP, LOCAL_LIBP2P]],
    ['none', [], [], []]
  ]
  for (const [name, http, libp2p, expected] of cases) {
    it(`are ${name}`, () => { deepEqual(chooseAnnounceAddrs(http, libp2p).map(String), expected) })
  }

  it('are the given ones, but never 0.0.0.0', async () => {
    const sender = new Sender()
    const announceAddrs = list(LOCAL_HTTP, '/ip4/0.0.0.0/tcp/80/http', HTTP)
    await (await start({ root: ONE, senders: [sender], announceAddrs })).announce()
    deepEqual(messageAddrs(sender.sent[0]).map(String), [LOCAL_HTTP, HTTP])
  })

  it('are those of the moment', async () => {
    const sender = new Sender()
    const publisher = await start({ root: ONE, senders: [sender], http: { listen: '127.0.0.1:0' } })
    const addrs = []
    for (let i = 0; i < 2; i++) {
      await publisher.announce()
      await publisher.announce()
      addrs.push(...publisher.addrs().map(String))
      await publisher.stop()
      await publisher.start() // on another port
    }
    equal(new Set(addrs).size, 2)
    deepEqual(sender.sent.map(message => messageAddrs(message).map(String)), [[addrs[0]], [addrs[0]], [addrs[1]], [addrs[1]]])
  })

  it('carry the handler path in the bytes of Go, first in the newer and then in the older spelling', async () => {
    const sender = new Sender()
    await (await start({ root: ONE, senders: [sender], http: { addrs: list(HTTP), handlerPath: 'boop/bop' } })).announce()
    const base = Buffer.from(list(HTTP)[0].bytes).toString('latin1')
    deepEqual(sender.sent[0].addrs.map(bytes => Buffer.from(bytes).toString('latin1')), [
      `${base}\xe1\x03\x08boop/bop`, `${base}\x80\x84\xc0\x01\x0aboop%2Fbop`
    ])
  })
})
