import { deepEqual, equal, match, notEqual, ok, rejects, throws } from 'node:assert/strict'
import { getEventListeners, once } from 'node:events'
import { createServer } from 'node:net'
import { afterEach, describe, it } from 'node:test'
import { generateKeyPair, privateKeyFromProtobuf } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { MemoryBlockstore } from 'blockstore-core'
import { MemoryDatastore } from 'datastore-core'
import { Key } from 'interface-datastore'
import { CID } from 'multiformats/cid'
import { createPublisher, Publisher } from '../../src/index.ts'
import type { AnnounceSender, PublisherComponents, PublisherInit } from '../../src/shared/types.ts'
import { parseMultiaddrs } from '../../src/shared/multiaddrs.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { openSignedHead } from '../../src/syncers/httpsync/signed-head.ts'
import { inTime } from '../support/hall.ts'
import { failReads, readVectors } from './kit.ts'

const LISTEN = { listen: '127.0.0.1:0' }
const ONE = CID.parse('baguqeerah5jbm4o22vrstcqv6bqibsilh3bgamxcbiyxgvwaslbeionwniiq')
const TWO = CID.parse('baguqeerapbu4aku224ucrg6vkosxt5qgpjtuok5pc43ruu3lenrnh7mxlqkq')
const privateKey = await generateKeyPair('Ed25519')
const other = await generateKeyPair('Ed25519')
const ecdsa = await generateKeyPair('ECDSA')
const id = peerIdFromPrivateKey(privateKey)

const running: Publisher[] = []
afterEach(async () => { await Promise.all(running.splice(0).map(async publisher => publisher.stop())) })

function make (init: PublisherInit = {}, components: Partial<PublisherComponents> = {}): Publisher {
  const publisher = new Publisher({ linkSystem: createLinkSystem(), privateKey, ...components }, { http: LISTEN, ...init })
  running.push(publisher)
  return publisher
}

async function start (init?: PublisherInit, components?: Partial<PublisherComponents>): Promise<Publisher> {
  const publisher = make(init, components)
  await publisher.start()
  return publisher
}

const url = (publisher: Publisher, path = '/head'): string => `http://127.0.0.1:${publisher.addrs()[0].getComponents()[1].value}${path}`

async function head (publisher: Publisher): Promise<string | number> {
  const response = await fetch(url(publisher))
  const body = await response.bytes()
  return response.status === 200 ? (await openSignedHead(body)).head.toString() : response.status
}

const node = (key: PrivateKey, services = {}): any => ({ peerId: peerIdFromPrivateKey(key), services })

it('leaves no listener at its node when it is stopped', async () => {
  const libp2p: any = Object.assign(new EventTarget(), node(privateKey), { getMultiaddrs: () => [], getConnections: () => [] })
  const publisher = make({ ipnisync: false }, { libp2p })
  await publisher.start()
  equal(getEventListeners(libp2p, 'connection:open').length, 1)
  await publisher.stop()
  equal(getEventListeners(libp2p, 'connection:open').length, 0)
})

describe('options', () => {
  const bad: Array<[string, string, PublisherInit, Partial<PublisherComponents>?]> = [
    ['nothing to serve on', 'http', { http: undefined }],
    ['HTTP switched off', 'http', { http: false }],
    ['HTTP switched on without saying where', 'http', { http: true as any }],
    ['an address in place of the options of HTTP', 'http', { http: '127.0.0.1:0' as any }],
    ['no link system', 'linkSystem', {}, { linkSystem: undefined }],
    ['a blockstore for a link system', 'linkSystem', {}, { linkSystem: new MemoryBlockstore() as any }],
    ['a node that was not awaited', 'libp2p', {}, { libp2p: Promise.resolve() as any }],
    ['no datastore', 'datastore', {}, { datastore: new Map() as any }],
    ['no key', 'privateKey', {}, { privateKey: undefined }],
    ['a node without its key', 'privateKey', {}, { privateKey: undefined, libp2p: node(other) }],
    ['a key that is not the node\'s', 'privateKey', {}, { libp2p: node(other) }],
    ['an ECDSA key', 'privateKey', {}, { privateKey: ecdsa }],
    ['something that is no key', 'privateKey', {}, { privateKey: {} as any }],
    ['dtsync without a node', 'dtsync', { topic: '/t', dtsync: {} }],
    ['dtsync without a topic', 'dtsync', { dtsync: {} }, { libp2p: node(privateKey) }],
    ['a list of allowed peers', 'dtsync.allowPeer', { topic: '/t', dtsync: { allowPeer: [] as any } }, { libp2p: node(privateKey) }],
    ['a data transfer of another make', 'dtsync.dataTransfer', { topic: '/t', dtsync: { dataTransfer: {} as any } }, { libp2p: node(privateKey) }],
    ['ipnisync without a node', 'ipnisync', { ipnisync: {} }],
    ['ipnisync without a key', 'privateKey', { http: false }, { privateKey: undefined, libp2p: node(privateKey) }],
    ['a root that is text', 'root', { root: String(ONE) as any }],
    ['an empty topic', 'topic', { topic: '' }],
    ['a number for a topic', 'topic', { topic: 1 as any }],
    ['an empty head topic over libp2p', 'ipnisync.headTopic', { ipnisync: { headTopic: '' } }, { libp2p: node(privateKey) }],
    ['a number for a handler path', 'http.handlerPath', { http: { handlerPath: 1 as any } }],
    ['an empty head topic', 'http.headTopic', { http: { headTopic: '' } }],
    ['a port alone', 'http.listen', { http: { listen: '80' } }],
    ['a port too high', 'http.listen', { http: { listen: 'localhost:65536' } }],
    ['IPv6 without brackets', 'http.listen', { http: { listen: '::1:80' } }],
    ['a URL to listen on', 'http.listen', { http: { listen: 'http://127.0.0.1:80' } }],
    ['addresses that are text', 'http.addrs', { http: { addrs: ['/ip4/1.2.3.4/tcp/80/http'] as any } }],
    ['addresses that are not HTTP ones', 'http.addrs', { http: { addrs: [multiaddr('/ip4/1.2.3.4/tcp/80')] } }],
    ['one address in place of a list', 'announceAddrs', { announceAddrs: multiaddr('/ip4/1.2.3.4/tcp/80/http') as any }],
    ['one sender in place of a list', 'senders', { senders: { send: async () => ({}) } as any }],
    ['a sender that cannot send', 'senders', { senders: [{}] as any }],
    ['a handler path with a query', 'http.handlerPath', { http: { handlerPath: 'a?b' } }],
    ...['a//b', 'a/../b', '/./', '..'].map((path): typeof bad[number] => {
      return [`the handler path ${path}, which no URL has`, 'http.handlerPath', { http: { handlerPath: path } }]
    }),
    ['a handler path that is not Unicode', 'http.handlerPath', { http: { handlerPath: 'a\ud800' } }]
  ]
  for (const [name, field, init, components] of bad) {
    it(`refuses ${name}`, () => throws(() => make(init, components), { name: 'InvalidOptionError', field }))
  }

  it('takes the highest port, and what is null for what is absent', () => {
    make({ http: { listen: '127.0.0.1:65535' } })
    make({ http: null as any, senders: null as any }, { libp2p: node(privateKey) })
  })

  it('says how to give a node its key', () => {
    throws(() => make({}, { privateKey: undefined, libp2p: node(other) }), { message: /give createLibp2p\(\) and this the same one/ })
  })

  it('takes id and protocol from the key or the node', () => {
    const alone = make()
    ok(alone.id.equals(id))
    equal(alone.protocol, 480)
    equal(make({}, { libp2p: node(privateKey) }).protocol, 421)
  })

  it('leaves what it is given as it is', async () => {
    const init = Object.freeze({ http: Object.freeze({ ...LISTEN, addrs: Object.freeze([]) as any }), senders: Object.freeze([]) as any })
    await start(init)
  })
})

describe('the root', () => {
  it('is served as the head, and 204 when there is none', async () => {
    const publisher = await start()
    equal(publisher.root, undefined)
    equal(await head(publisher), 204)
    await publisher.setRoot(ONE)
    equal(await head(publisher), ONE.toString())
    await publisher.setRoot(TWO)
    equal(await head(publisher), TWO.toString())
    await publisher.setRoot(undefined)
    equal(await head(publisher), 204)
  })

  it('must be a CID', async () => {
    const publisher = await start()
    await rejects(publisher.setRoot('baguqeera' as any), { name: 'InvalidOptionError', field: 'cid' })
    await publisher.setRoot(ONE)
    for (const none of [null, undefined]) {
      await rejects(publisher.updateRoot(none as any), { name: 'InvalidOptionError', field: 'cid' })
    }
    equal(await head(publisher), ONE.toString())
  })

  it('outlives a restart in the datastore', async () => {
    const datastore = new MemoryDatastore()
    const first = await start({ topic: '/t' }, { datastore })
    await first.setRoot(ONE)
    await first.stop()
    const second = await start({ topic: '/t' }, { datastore })
    equal(await head(second), ONE.toString())
    await second.setRoot(undefined)
    await second.stop()
    equal(await head(await start({ topic: '/t' }, { datastore })), 204)
  })

  it('is kept per topic and peer, under /dagsync/v1', async () => {
    const datastore = new MemoryDatastore()
    await (await start({ topic: '/t' }, { datastore })).setRoot(ONE)
    await (await start({}, { datastore })).setRoot(TWO)
    deepEqual(await datastore.get(new Key(`/dagsync/v1//t/root/${id}`)), ONE.bytes)
    deepEqual(await datastore.get(new Key(`/dagsync/v1/no-topic/root/${id}`)), TWO.bytes)
    equal((await start({ topic: '/other' }, { datastore })).root, undefined)
  })

  it('that is set while it starts wins over the given one, and stays', async () => {
    for (const startFirst of [true, false]) {
      const datastore = new MemoryDatastore()
      const publisher = make({ root: ONE }, { datastore })
      await Promise.all(startFirst ? [publisher.start(), publisher.setRoot(TWO)] : [publisher.setRoot(TWO), publisher.start()])
      equal(publisher.root?.toString(), TWO.toString())
      deepEqual(await datastore.get(new Key(`/dagsync/v1/no-topic/root/${id}`)), TWO.bytes)
    }
  })

  it('set in a datastore that hangs: the call can be aborted, and others that wait for it', async () => {
    const datastore = new MemoryDatastore()
    const put = datastore.put.bind(datastore)
    const gate = Promise.withResolvers<void>()
    const reached = Promise.withResolvers<void>()
    const publisher = await start({}, { datastore })
    const stored: Uint8Array[] = []
    datastore.put = (async (...args: Parameters<typeof put>) => {
      stored.push(args[1])
      reached.resolve()
      await gate.promise
      return put(...args)
    }) as never
    const reason = new Error('enough')
    const controller = new AbortController()
    const set = publisher.setRoot(ONE, controller)
    const behind = publisher.setRoot(TWO, controller)
    await reached.promise
    controller.abort(reason)
    await rejects(set, error => error === reason)
    await rejects(behind, error => error === reason)
    equal(await head(publisher), 204)
    gate.resolve()
    await publisher.setRoot(undefined)
    equal(await head(publisher), 204)
    deepEqual(stored, [ONE.bytes])
  })

  it('that is given wins over the stored one, and is stored; a restart does not bring it back', async () => {
    const datastore = new MemoryDatastore()
    await (await start({}, { datastore })).setRoot(ONE)
    const publisher = await start({ root: TWO }, { datastore })
    equal(await head(publisher), TWO.toString())
    equal((await start({}, { datastore })).root?.toString(), TWO.toString())
    await publisher.setRoot(ONE)
    await publisher.stop()
    await publisher.start()
    equal(await head(publisher), ONE.toString())
    equal((await start({}, { datastore })).root?.toString(), ONE.toString())
  })

  it('set before the start wins over the one that is given', async () => {
    const publisher = make({ root: ONE })
    await publisher.setRoot(TWO)
    await publisher.start()
    equal(publisher.root, TWO)
  })

  it('is stored before it is served, in order, and not served when storing fails', async () => {
    const datastore = new MemoryDatastore()
    const publisher = await start({ root: ONE }, { datastore })
    const put = datastore.put.bind(datastore)
    const seen: unknown[] = []
    datastore.put = async (key, value) => {
      seen.push(publisher.root)
      await null
      if (value[value.length - 1] === TWO.bytes.at(-1)) { throw new Error('disk full') }
      return put(key, value)
    }
    const settled = await Promise.allSettled([publisher.setRoot(TWO), publisher.setRoot(undefined), publisher.setRoot(ONE)])
    deepEqual(settled.map(({ status }) => status), ['rejected', 'fulfilled', 'fulfilled'])
    deepEqual(seen, [ONE, undefined])
    equal(publisher.root, ONE)
    datastore.delete = async () => { throw new Error('disk full') }
    await rejects(publisher.setRoot(undefined), /disk full/)
    equal(publisher.root, ONE)
  })

  it('set while the stored one is read wins', async () => {
    const datastore = new MemoryDatastore()
    await datastore.put(new Key(`/dagsync/v1/no-topic/root/${id}`), ONE.bytes)
    const get = datastore.get.bind(datastore)
    const [reads, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    datastore.get = async (key, options) => {
      reads.resolve()
      await gate.promise
      return get(key, options)
    }
    const publisher = make({}, { datastore })
    const starting = publisher.start()
    await reads.promise
    datastore.put = (key) => key // so that the store still has the other one
    await publisher.setRoot(TWO)
    gate.resolve()
    await starting
    equal(await head(publisher), TWO.toString())
  })

  it('is not set when the signal aborts while it is stored', async () => {
    const datastore = new MemoryDatastore()
    const publisher = await start({ root: ONE }, { datastore })
    const controller = new AbortController()
    const storing = Promise.withResolvers<unknown>()
    datastore.put = async (_key, _value, options) => {
      storing.resolve(options?.signal)
      return new Promise(() => {})
    }
    const setting = publisher.setRoot(TWO, { signal: controller.signal })
    equal(await storing.promise, controller.signal)
    controller.abort(new Error('enough'))
    await rejects(inTime(setting), /enough/)
    equal(await head(publisher), ONE.toString())
  })

  it('is not announced when storing fails', async () => {
    const datastore = new MemoryDatastore()
    const sent: unknown[] = []
    const sender: AnnounceSender = {
      async send ({ cid }) {
        sent.push(cid)
        return {}
      }
    }
    const publisher = await start({ root: ONE, senders: [sender] }, { datastore })
    datastore.put = () => { throw new Error('disk full') }
    await rejects(publisher.updateRoot(TWO), /disk full/)
    deepEqual(sent, [])
  })

  it('that a datastore fails to give: the start fails with its error', async () => {
    const datastore = new MemoryDatastore()
    const error = new Error('the disk is gone')
    datastore.get = () => { throw error }
    await rejects(make({}, { datastore }).start(), error)
  })

  it('that is stored in another form fails the start, which may be tried again', async () => {
    const datastore = new MemoryDatastore()
    const key = new Key(`/dagsync/v1/no-topic/root/${id}`)
    await datastore.put(key, Uint8Array.of(1, 2, 3))
    const publisher = make({}, { datastore })
    await rejects(publisher.start(), { name: 'InvalidOptionError', field: 'datastore' })
    await datastore.put(key, ONE.bytes)
    await publisher.start()
    equal(await head(publisher), ONE.toString())
  })

  it('is not set once the signal has aborted', async () => {
    const reason = new Error('enough')
    const publisher = await start()
    await rejects(publisher.setRoot(ONE, { signal: AbortSignal.abort(reason) }), reason)
    equal(publisher.root, undefined)
  })

  it('is signed with the topic only when asked to', async () => {
    const publisher = await start({ root: ONE, topic: '/t', http: { ...LISTEN, headTopic: '/t' } })
    equal((await openSignedHead(await (await fetch(url(publisher))).bytes())).topic, '/t')
    const plain = await start({ root: ONE, topic: '/t' })
    equal((await openSignedHead(await (await fetch(url(plain))).bytes())).topic, undefined)
  })
})

describe('start and stop', () => {
  it('open nothing before start, and everything again after stop', async () => {
    const publisher = make({ root: ONE })
    deepEqual(publisher.addrs(), [])
    for (let i = 0; i < 3; i++) {
      await Promise.all([publisher.start(), publisher.start()])
      equal(await head(publisher), ONE.toString())
      const before = url(publisher)
      await Promise.all([publisher.stop(), publisher.stop(), publisher.stop()])
      await publisher.stop()
      await rejects(fetch(before))
      deepEqual(publisher.addrs(), [])
    }
  })

  it('that is stopped in the moment of its start does not wait for a datastore that hangs', async () => {
    const datastore = new MemoryDatastore()
    datastore.get = (async () => new Promise(() => {})) as never
    const publisher = make({}, { datastore })
    const started = [publisher.start(), publisher.start()].map(async call => rejects(call, { name: 'PublisherStoppedError' }))
    await publisher.stop()
    await Promise.all(started)
  })

  it('take turns in the order of the calls', async () => {
    const publisher = make()
    await Promise.all([publisher.start(), publisher.stop(), publisher.start()].map(async call => call.catch(() => {})))
    equal(await head(publisher), 204)
  })

  it('stop during a start that never ends', async () => {
    const datastore = new MemoryDatastore()
    datastore.get = async () => new Promise(() => {})
    const publisher = make({}, { datastore })
    const started = publisher.start()
    await null
    await publisher.stop()
    await rejects(started, { name: 'PublisherStoppedError', message: /stopped/ })
  })

  it('start not at all when the signal has aborted', async () => {
    const reason = new Error('enough')
    const publisher = make()
    await rejects(publisher.start({ signal: AbortSignal.abort(reason) }), reason)
    await publisher.start()
  })

  it('createPublisher frees what it opened when the port is taken', async () => {
    const blocker = createServer().listen(0, '127.0.0.1')
    await once(blocker, 'listening')
    const { port } = blocker.address() as { port: number }
    const http = { listen: `127.0.0.1:${port}` }
    await rejects(createPublisher({ linkSystem: createLinkSystem(), privateKey }, { http }), { code: 'EADDRINUSE' })
    blocker.close()
    await once(blocker, 'close')
    const publisher = await createPublisher({ linkSystem: createLinkSystem(), privateKey }, { http })
    running.push(publisher)
    equal(publisher.addrs()[0].toString(), `/ip4/127.0.0.1/tcp/${port}/http`)
  })

  it('are what await using does', async () => {
    let before: string
    {
      await using publisher = await createPublisher({ linkSystem: createLinkSystem(), privateKey }, { http: LISTEN })
      before = url(publisher)
      equal((await fetch(before)).status, 204)
    }
    await rejects(fetch(before))
  })
})

describe('handleRequest', () => {
  const request = (path: string, init?: RequestInit): Request => new Request(`https://example.com${path}`, init)

  it('answers in another server, under its handler path, in both generations\' ways', async () => {
    const linkSystem = createLinkSystem()
    const cid = await linkSystem.store({ Number: 1 })
    const publisher = await start({ root: cid, http: { handlerPath: '/boop/bop' } }, { linkSystem })
    for (const path of ['/boop/bop/head', '/boop/bop/ipni/v1/ad/head', '/boop/bop/ipni/v1/ad/head?x']) {
      const response = await publisher.handleRequest(request(path))
      equal(response.status, 200)
      ok((await openSignedHead(await response.bytes())).signer.equals(id))
    }
    for (const path of [`/boop/bop/${cid}`, `/boop/bop/ipni/v1/ad/${cid}`]) {
      const response = await publisher.handleRequest(request(path))
      equal(await response.text(), '{"Number":1}')
      equal(response.headers.get('etag'), `"${cid}"`)
      equal(response.headers.get('content-type'), 'text/plain; charset=utf-8')
    }
    for (const path of ['/head', '/boop/head', '/', '/boop/bop', '/.well-known/libp2p/protocols', '/boop/bop/%zz']) {
      equal((await publisher.handleRequest(request(path))).status, 400, path)
    }
  })

  it('answers HEAD, If-None-Match and an empty chain without body', async () => {
    const publisher = await start({ root: ONE, http: {} })
    const head = await publisher.handleRequest(request('/head', { method: 'HEAD' }))
    equal(head.status, 200)
    equal(head.headers.get('content-length'), '265')
    equal(await head.text(), '')
    const known = await publisher.handleRequest(request('/head', { headers: { 'If-None-Match': `"${ONE}"` } }))
    equal(known.status, 304)
    await publisher.setRoot(undefined)
    equal((await publisher.handleRequest(request('/head'))).status, 204)
  })

  it('is 503 while the publisher is not running, and 404 for blocks it does not have', async () => {
    const publisher = make({ http: {} })
    equal((await publisher.handleRequest(request('/head'))).status, 503)
    await publisher.start()
    equal((await publisher.handleRequest(request(`/${ONE}`))).status, 404)
    await publisher.stop()
    equal((await publisher.handleRequest(request('/head'))).status, 503)
  })

  it('says that plain HTTP is off where it is', async () => {
    const publisher = make({ http: false, ipnisync: {} }, { libp2p: node(privateKey) })
    const response = await publisher.handleRequest(request('/head'))
    equal(response.status, 503)
    match(await response.text(), /HTTP is off/)
  })
})

describe('addresses', () => {
  it('are those that the server listens on, without /p2p', async () => {
    const publisher = await start({ ipnisync: false }, { libp2p: node(privateKey) })
    deepEqual(publisher.addrs().map(addr => addr.getComponents().map(({ name }) => name)), [['ip4', 'tcp', 'http']])
    equal(await head(publisher), 204)
  })

  it('are those of the interfaces for a server on all of them', async () => {
    for (const listen of ['0.0.0.0:0', ':0']) {
      const addrs = (await start({ http: { listen } })).addrs().map(String)
      ok(addrs.some(addr => addr.startsWith('/ip4/127.0.0.1/')))
      ok(!addrs.some(addr => /\/0\.0\.0\.0\/|\/::\//.test(addr)))
    }
  })

  it('carry the handler path in both spellings, with the bytes of Go', async () => {
    for (const { handlerPath, addr } of readVectors('http-publisher-v0.3.2').addrs) {
      const base = multiaddr('/ip4/127.0.0.1/tcp/8080/http')
      const [newer, older] = (await start({ http: { addrs: [base], handlerPath } })).addrs()
      if (handlerPath === '') {
        equal(newer.toString(), addr)
        equal(older, undefined)
      } else {
        equal(older.toString(), addr)
        const path = handlerPath.replace(/^\//, '')
        equal(Buffer.from(newer.bytes).toString('latin1'), `${Buffer.from(base.bytes).toString('latin1')}\xe1\x03${String.fromCharCode(path.length)}${path}`)
        equal(newer.toString(), `/ip4/127.0.0.1/tcp/8080/http/http-path/${encodeURIComponent(path)}`)
      }
    }
  })

  it('that are given with /p2p are without it, before the handler path', async () => {
    const publisher = await start({ http: { addrs: [multiaddr(`/dns4/a.example/tcp/443/https/p2p/${id}`)], handlerPath: 'x' } })
    deepEqual(publisher.addrs().map(String), ['/dns4/a.example/tcp/443/https/http-path/x', '/dns4/a.example/tcp/443/https/httpath/x'])
  })

  it('that have a path keep it, and get no handler path', async () => {
    const addrs = parseMultiaddrs(['/dns4/a.example/tcp/443/https/http-path/x', '/dns4/a.example/tcp/443/https/httpath/y'])
    deepEqual((await start({ http: { addrs, handlerPath: 'z' } })).addrs().map(String), addrs.map(String))
  })

  it('that are given come first, each once, and never as 0.0.0.0', async () => {
    const given = ['/dns4/example.com/tcp/443/https', '/ip4/0.0.0.0/tcp/80/http', '/ip6/::/tcp/80/http', '/dns4/example.com/tcp/443/https']
    const publisher = await start({ http: { ...LISTEN, addrs: given.map(addr => multiaddr(addr)) } })
    const [first, second, ...rest] = publisher.addrs()
    equal(first.toString(), given[0])
    notEqual(second, undefined)
    deepEqual(rest, [])
  })
})

describe('metrics', () => {
  it('count what is served', async () => {
    const counts: Record<string, number> = {}
    const metrics: any = {
      registerCounter: (name: string) => ({ increment: (by = 1) => { counts[name] = (counts[name] ?? 0) + by } })
    }
    const publisher = await start({ root: ONE }, { metrics })
    await head(publisher)
    await fetch(url(publisher, `/${ONE}`))
    deepEqual(counts, { dagsync_publisher_heads_total: 1, dagsync_publisher_bytes_total: 265, dagsync_publisher_missing_total: 1 })
  })

  it('tell blocks from heads, and what failed from what is missing', async () => {
    const counts: Record<string, number> = {}
    const metrics: any = { registerCounter: (name: string) => ({ increment: (by = 1) => { counts[name] = (counts[name] ?? 0) + by } }) }
    const blockstore = new MemoryBlockstore()
    failReads(blockstore, cid => cid.equals(ONE))
    const linkSystem = createLinkSystem({ blockstore })
    const cid = await linkSystem.store({ a: 1 })
    const publisher = await start({}, { linkSystem, metrics })
    equal(await (await fetch(url(publisher, `/${cid}`))).text(), '{"a":1}')
    equal((await fetch(url(publisher, `/${ONE}`))).status, 500)
    deepEqual(counts, { dagsync_publisher_blocks_total: 1, dagsync_publisher_bytes_total: 7, dagsync_publisher_failures_total: 1 })
  })

  it('that throw keep nobody from what is served', async () => {
    const metrics: any = { registerCounter: () => ({ increment () { throw new Error('no counter') } }) }
    const publisher = await start({ root: ONE }, { metrics })
    equal(await head(publisher), ONE.toString())
    equal((await fetch(url(publisher, `/${ONE}`))).status, 404)
  })
})

describe('keys', () => {
  for (const { keyType, peerId, privateKeyProtobuf } of readVectors('signed-heads-v0.3.2').keys) {
    if (keyType === 'ecdsa') { continue }
    it(`signs heads with ${keyType}`, async () => {
      const key = privateKeyFromProtobuf(new Uint8Array(Buffer.from(privateKeyProtobuf, 'base64')))
      const publisher = await start({ root: ONE }, { privateKey: key })
      equal(publisher.id.toString(), peerId)
      equal(await head(publisher), ONE.toString())
    })
  }
})
