import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, describe, it } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Libp2p, PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id'
import { CID } from 'multiformats/cid'
import { createPublisher } from '../../src/index.ts'
import type { LinkSystem, PublisherInit } from '../../src/shared/types.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { readBlock } from '../../src/store/read.ts'
import { createHttpHandler } from '../../src/syncers/httpsync/serve.ts'
import { encodeSignedHead } from '../../src/syncers/httpsync/signed-head.ts'
import { createIpnisyncSyncer } from '../../src/syncers/index.ts'
import type { IpnisyncSyncer, IpnisyncSyncerInit } from '../../src/syncers/index.ts'
import { chain } from '../../src/testing/chain.ts'
import { FaultyPublisher } from '../../src/testing/faulty-publisher.ts'
import { dagsyncSelector } from '../../src/traversal/index.ts'
import { openStreams, RawServer, RawStream, response, untilStreams } from '../wire/http-kit.ts'
import { createNode } from '../wire/nodes.ts'

const PROTOCOL = '/http/1.1'
const WELL_KNOWN = '/.well-known/libp2p/protocols'
const ALL = dagsyncSelector({ none: {} })

const nodes: Libp2p[] = []
after(async () => { await Promise.all(nodes.map(async node => node.stop())) })

async function node (privateKey?: PrivateKey): Promise<Libp2p> {
  const made = await createNode('tls', privateKey)
  nodes.push(made)
  return made
}

const client = await node()

function syncerOf (publisher: Libp2p, init: Partial<IpnisyncSyncerInit> = {}): IpnisyncSyncer & { store: LinkSystem } {
  const linkSystem = createLinkSystem()
  const syncer = createIpnisyncSyncer({ linkSystem, libp2p: client }, {
    peerId: publisher.peerId, addrs: publisher.getMultiaddrs(), httpRetry: false, httpTimeout: 5_000, ...init
  })
  return Object.assign(syncer, { store: linkSystem })
}

/** A server of answers by path; what it does not have is a 404. */
async function serving (answers: (path: string, key: PrivateKey) => string | undefined | Promise<string | undefined>, closes = false):
Promise<{ libp2p: Libp2p, key: PrivateKey, paths: string[], raw: RawServer }> {
  const key = await generateKeyPair('Ed25519')
  const libp2p = await node(key)
  const paths: string[] = []
  const raw = await RawServer.start(libp2p, PROTOCOL, async stream => {
    const path = raw.requests[raw.requests.length - 1].split(' ')[1]
    paths.push(path)
    const answer = await answers(path, key) ?? 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'
    stream.write(closes ? answer.replace('\r\n', '\r\nConnection: close\r\n') : answer)
    if (closes) { await stream.stream.close() }
  })
  return { libp2p, key, paths, raw }
}

const read = async ({ blockstore }: LinkSystem, cid: CID): Promise<Uint8Array> => readBlock(blockstore, cid)
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

describe('the conversation of go-libipni v0.7.8', () => {
  interface Event { from: string, stream: number, event: string, text?: string }
  const recorded = JSON.parse(readFileSync('test/vectors/transcripts/v0.7.8-http-over-libp2p.json', 'utf8'))
  const said = (from: string, stream: number): string =>
    recorded.events.filter((event: Event) => event.from === from && event.stream === stream && event.event === 'write')
      .map(({ text }: Event) => text).join('')
  const streams = [...new Set<number>(recorded.events.map(({ stream }: Event) => stream))]
  const asked = streams.map(stream => ({ request: said('subscriber', stream), answer: said('publisher', stream) }))
  const byPath = new Map(asked.map(({ request, answer }) => [request.split(' ')[1], answer]))
  const body = (answer: string): string => answer.slice(answer.indexOf('\r\n\r\n') + 4)
  const blocks = new Map<string, string>(recorded.subscriberBlockHook.map((cid: string) => [cid, body(byPath.get(`/ipni/v1/ad/${cid}`) ?? '')]))

  it('our client understands the publisher, and asks for the same without the well-known resources', async () => {
    const { libp2p, paths } = await serving(path => byPath.get(path), true)
    // the recorded head is signed by the recorded publisher, whose key we do not have: any other signer is refused by name
    await using stranger = syncerOf(libp2p)
    await rejects(stranger.head(), { name: 'UnexpectedSignerError', signer: peerIdFromString(recorded.publisher) })
    await using syncer = syncerOf(libp2p)
    const seen: string[] = []
    await syncer.sync(CID.parse(recorded.resultCid), ALL, { onBlock: ({ cid }) => { seen.push(String(cid)) } })
    deepEqual(seen, recorded.subscriberBlockHook)
    deepEqual(paths, [...byPath.keys()].filter(path => !path.startsWith('/.well-known')))
    for (const [cid, json] of blocks) { equal(text(await read(syncer.store, CID.parse(cid))), json) }
  })

  it('our publisher answers the client as Go did, but for the head\'s key and the legacy resource', async () => {
    const key = await generateKeyPair('Ed25519')
    const libp2p = await node(key)
    const linkSystem = createLinkSystem()
    for (const [cid, json] of blocks) { await linkSystem.put(CID.parse(cid), new TextEncoder().encode(json)) }
    const { topic } = JSON.parse(body(byPath.get('/ipni/v1/ad/head') ?? ''))
    const root = CID.parse(recorded.resultCid)
    await using publisher = await createPublisher({ libp2p, linkSystem, privateKey: key }, { root, ipnisync: { headTopic: topic } })
    deepEqual(publisher.addrs().map(String), libp2p.getMultiaddrs().map(addr => String(addr).split('/p2p/')[0]))
    await client.dial(libp2p.getMultiaddrs())
    for (const { request, answer } of asked) {
      const stream = await RawStream.open(client, libp2p.peerId, PROTOCOL)
      stream.write(request)
      await stream.stream.close() // as Go: our half at once
      const got = await stream.readAll()
      const path = request.split(' ')[1]
      if (path === '/.well-known/libp2p') {
        match(got, /^HTTP\/1\.1 400 /)
      } else if (path.endsWith('/head')) {
        match(got, /^HTTP\/1\.1 200 OK\r\n/)
        equal(body(got), text(await encodeSignedHead(root, key, topic)))
        equal(body(got).length, body(answer).length)
      } else {
        equal(got.split('\r\n')[0], answer.split('\r\n')[0])
        equal(body(got), body(answer))
        for (const name of ['content-type', 'content-length', 'connection']) { equal(header(got, name), header(answer, name)) }
      }
    }
    await untilStreams(libp2p, PROTOCOL, 0)
  })

  const header = (answer: string, name: string): string | undefined => new RegExp(`\r\n${name}: (.*)\r\n`, 'i').exec(answer)?.[1]
})

describe('where a peer has ipnisync', () => {
  const head = async (key: PrivateKey): Promise<string> => response(text(await encodeSignedHead(ROOT, key)))
  const ROOT = CID.parse('baguqeerah5jbm4o22vrstcqv6bqibsilh3bgamxcbiyxgvwaslbeionwniiq')
  const mapping = (path: unknown): string => response(JSON.stringify({ '/x': { path: '/x/' }, '/ipni/v1/ad': { path } }))

  it('is asked for only when nothing is found without, once', async () => {
    const { libp2p, paths } = await serving(async (path, key) => {
      if (path === WELL_KNOWN) { return mapping('/some/where') }
      return path === '/some/where/head' ? head(key) : undefined
    })
    await using syncer = syncerOf(libp2p)
    for (let i = 0; i < 2; i++) { deepEqual(await syncer.head(), ROOT) }
    await rejects(syncer.sync(ROOT, ALL), { name: 'ContentNotFoundError' })
    deepEqual(paths, ['/ipni/v1/ad/head', WELL_KNOWN, '/some/where/head', '/some/where/head', `/some/where/${ROOT}`])
  })

  it('is what Go\'s client would make of it, where that is right', async () => {
    const { libp2p, paths } = await serving(async (path, key) => {
      if (path === WELL_KNOWN) { return mapping('/foo/') }
      return path === '/foo/ipni/v1/ad/head' ? head(key) : undefined
    })
    await using syncer = syncerOf(libp2p)
    deepEqual(await syncer.head(), ROOT)
    deepEqual(paths.slice(2), ['/foo/head', '/foo/ipni/v1/ad/head'])
  })

  it('is asked for where other paths are called wrong, as FaultyPublisher does', async () => {
    const key = await generateKeyPair('Ed25519')
    const libp2p = await node(key)
    const linkSystem = createLinkSystem()
    const [root] = await chain(linkSystem, 1)
    await using publisher = await FaultyPublisher.start({ linkSystem, libp2p, privateKey: key }, { root, handlerPath: 'some/where' })
    await using syncer = syncerOf(libp2p)
    for (let i = 0; i < 2; i++) { deepEqual(await syncer.head(), root) }
    deepEqual(publisher.requests.map(({ path }) => path), ['/ipni/v1/ad/head', WELL_KNOWN, ...Array(2).fill('/some/where/ipni/v1/ad/head')])
  })

  it('is asked for, too, by what was under way when another request found it', async () => {
    const source = createLinkSystem()
    const [late, soon] = await Promise.all(['late', 'soon'].map(async name => source.store(name)))
    for (const slow of [`/ipni/v1/ad/${late}`, WELL_KNOWN]) {
      const held = Promise.withResolvers<void>()
      const reached = Promise.withResolvers<void>()
      const waits = [held.promise] // for the first to ask
      const { libp2p } = await serving(async path => {
        if (path === slow) {
          reached.resolve()
          await waits.pop()
        }
        if (path === WELL_KNOWN) { return mapping('/foo/') }
        const cid = [late, soon].find(cid => path === `/foo/${cid}`)
        return cid == null ? undefined : response(text(await read(source, cid)))
      })
      await using syncer = syncerOf(libp2p)
      const syncing = syncer.sync(late, ALL)
      await reached.promise
      await syncer.sync(soon, ALL)
      held.resolve()
      await syncing
      equal(await syncer.store.has(late), true)
    }
  })

  it('is read from the legacy resource where there is no other', async () => {
    const { libp2p } = await serving(async (path, key) => {
      if (path === '/.well-known/libp2p') { return mapping('/a/') }
      return path === '/a/head' ? head(key) : undefined
    })
    await using syncer = syncerOf(libp2p)
    deepEqual(await syncer.head(), ROOT)
  })

  const bad: Array<[string, (path: string) => string | undefined, string, number?]> = [
    ['nowhere: the answer to the head stands', () => undefined, 'HttpStatusError'],
    ['not among its protocols', path => path === WELL_KNOWN ? response('{"/x":{"path":"/x/"}}') : undefined, 'TransportUnavailableError'],
    ['at a path that has nothing', path => path === WELL_KNOWN ? mapping('/lie/') : undefined, 'HttpStatusError', 4],
    ['where it was asked before', path => path === WELL_KNOWN ? mapping('/ipni/v1/ad/') : undefined, 'HttpStatusError', 3],
    ['in the resource itself', path => path.startsWith(WELL_KNOWN) ? mapping(`${WELL_KNOWN}/`) : undefined, 'InvalidSignedHeadError', 3],
    ['behind redirects in a circle', path => path === WELL_KNOWN ? 'HTTP/1.1 302 \r\nLocation: protocols\r\nContent-Length: 0\r\n\r\n' : undefined, 'TransferFailedError'],
    ['at another host', path => path === WELL_KNOWN ? 'HTTP/1.1 302 \r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n' : undefined, 'TransferFailedError'],
    ['in a resource without end', path => path === WELL_KNOWN ? `HTTP/1.1 200 OK\r\n\r\n${' '.repeat(70_000)}` : undefined, 'BlockTooLargeError'],
    ['in a huge resource', path => path === WELL_KNOWN ? 'HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n' : undefined, 'BlockTooLargeError'],
    ['in what is not JSON', path => path === WELL_KNOWN ? response('<html>') : undefined, 'InvalidMessageError'],
    ['in JSON that is too deep', path => path === WELL_KNOWN ? response('['.repeat(60_000)) : undefined, 'InvalidMessageError'],
    ['in a list', path => path === WELL_KNOWN ? response('[]') : undefined, 'InvalidMessageError'],
    ['after 503', path => path === WELL_KNOWN ? 'HTTP/1.1 503 \r\nContent-Length: 0\r\n\r\n' : undefined, 'HttpStatusError'],
    ...['x', '//evil/', '/a/../b/', '/%2e%2E/', '/a?b', '/a b/', '/a\r\nX: y/', '/ä/', `/${'a'.repeat(2_000)}`, 7, null, ['/a']].map((path): typeof bad[0] =>
      [`at the path ${JSON.stringify(path).slice(0, 20)}`, asked => asked === WELL_KNOWN ? mapping(path) : undefined, 'InvalidMessageError', 2])
  ]
  for (const [what, answers, name, requests] of bad) {
    it(`${what}: ${name}`, async () => {
      const { libp2p, paths } = await serving(answers)
      await using syncer = syncerOf(libp2p, { httpTimeout: 2_000 })
      await rejects(syncer.head(), (err: any) => {
        equal((err.name === 'HeadQueryError' ? err.cause : err).name, name)
        return true
      })
      ok(paths.length <= 14)
      if (requests != null) { equal(paths.length, requests) }
    })
  }
})

describe('streams', () => {
  it('are kept where the publisher lets us', async () => {
    const key = await generateKeyPair('Ed25519')
    const libp2p = await node(key)
    const linkSystem = createLinkSystem()
    const cids = await chain(linkSystem, 20)
    await using publisher = await createPublisher({ libp2p, linkSystem, privateKey: key }, { root: cids[0] })
    equal(publisher.protocol, 421)
    const syncer = syncerOf(libp2p)
    let most = 0
    await syncer.sync(await syncer.head() as CID, ALL, { onBlock: () => { most = Math.max(most, openStreams(libp2p, PROTOCOL)) } })
    equal(most, 1)
    equal(openStreams(client, PROTOCOL), 1)
    await syncer.stop()
    await untilStreams(libp2p, PROTOCOL, 0)
  })

  it('are opened ahead where it closes them, and do not pile up', async () => {
    const linkSystem = createLinkSystem()
    const cids = await chain(linkSystem, 30)
    const handlers = new Map<PrivateKey, ReturnType<typeof createHttpHandler>>()
    const { libp2p, raw, paths } = await serving(async (path, key) => {
      const handler = handlers.get(key) ?? createHttpHandler({ linkSystem, privateKey: key }, { root: () => cids[0] })
      handlers.set(key, handler)
      const { body = new Uint8Array(0) } = await handler.handle({ method: 'GET', path, headers: { get: () => undefined } })
      return response(text(body))
    }, true)
    const syncer = syncerOf(libp2p)
    await syncer.head()
    equal(raw.streams.length, 1, 'none is opened for a head alone')
    let most = 0
    await syncer.sync(cids[0], ALL, { onBlock: () => { most = Math.max(most, openStreams(client, PROTOCOL)) } })
    equal(paths.length, 31)
    ok(raw.streams.length <= 32 && most <= 8, `${raw.streams.length} streams, ${most} at once`)
    await untilStreams(client, PROTOCOL, 0) // the last one goes when nobody asks for it
    await syncer.stop()
  })

  it('may carry an answer that says that it is not encoded, and one without a body that says that it is', async () => {
    for (const encoding of ['', 'identity', 'Identity']) {
      const { libp2p } = await serving(async (_, key) => {
        return response(text(await encodeSignedHead(CID.parse(HEAD), key)), `Content-Encoding: ${encoding}\r\n`)
      })
      await using syncer = syncerOf(libp2p)
      equal(String(await syncer.head()), HEAD)
    }
    const { libp2p } = await serving(() => response('zipped', 'Content-Encoding: gzip\r\n').replace('200', '404'))
    await using syncer = syncerOf(libp2p)
    await rejects(syncer.sync(CID.parse(HEAD), ALL), { name: 'ContentNotFoundError' })
  })

  it('that the publisher resets between requests cost no request', async () => {
    const { libp2p, raw } = await serving(async (_, key) => response(text(await encodeSignedHead(CID.parse(HEAD), key))))
    await using syncer = syncerOf(libp2p)
    for (let i = 0; i < 10; i++) {
      await syncer.head()
      raw.streams.at(-1)?.stream.abort(new Error('test'))
    }
    equal(raw.requests.length, 10)
  })

  it('of a protocol that the peer does not speak: by name, and not again', async () => {
    const libp2p = await node()
    await using syncer = syncerOf(libp2p, { httpRetry: { retries: 3, minDelay: 60_000, maxDelay: 60_000 } })
    await rejects(syncer.head(), (err: any) => {
      deepEqual([err.name, err.cause.name], ['HeadQueryError', 'TransportUnavailableError'])
      match(err.message, /\/http\/1\.1/)
      return true
    })
    await rejects(syncer.sync(CID.parse(HEAD), ALL), { name: 'TransportUnavailableError' })
  })

  it('to a peer that nobody knows: by name', async () => {
    const peerId = peerIdFromPrivateKey(await generateKeyPair('Ed25519'))
    await using syncer = syncerOf(client, { peerId, addrs: [] })
    await rejects(syncer.sync(CID.parse(HEAD), ALL), { name: 'TransportUnavailableError', message: /no address is known/ })
  })

  it('end with stop(), and the requests on them', async () => {
    const asked = Promise.withResolvers<void>()
    const { libp2p } = await serving(async () => { asked.resolve(); return new Promise<string>(() => {}) })
    const syncer = syncerOf(libp2p)
    const failed = rejects(syncer.head(), { name: 'HeadQueryError', message: /stopped/ })
    await asked.promise
    await syncer.stop()
    await failed
    await rejects(syncer.head(), { name: 'HeadQueryError', message: /stopped/ })
    await untilStreams(client, PROTOCOL, 0)
  })
})

const HEAD = 'baguqeerah5jbm4o22vrstcqv6bqibsilh3bgamxcbiyxgvwaslbeionwniiq'

describe('publishers on one node', async () => {
  const key = await generateKeyPair('Ed25519')
  const headOf = async (libp2p: Libp2p): Promise<string> => {
    await using syncer = syncerOf(libp2p)
    return String(await syncer.head())
  }

  it('serve the blocks of all, and the head of the first', async () => {
    const libp2p = await node(key)
    const make = async (init: PublisherInit): ReturnType<typeof createPublisher> => {
      const linkSystem = createLinkSystem()
      const [root] = await chain(linkSystem, 1, { seed: Number(init.topic) })
      return createPublisher({ libp2p, linkSystem, privateKey: key }, { root, senders: [], ...init })
    }
    const first = await make({ topic: '1' })
    const second = await make({ topic: '2' })
    await rejects(make({ topic: '3', ipnisync: {} }), { name: 'InvalidOptionError', field: 'ipnisync' })
    equal(await headOf(libp2p), String(first.root))
    await using syncer = syncerOf(libp2p)
    for (const { root } of [first, second]) { await syncer.sync(root as CID, ALL) }
    await rejects(syncer.sync(CID.parse(HEAD), ALL), { name: 'ContentNotFoundError' })

    await first.stop()
    equal(await headOf(libp2p), String(second.root))
    await first.start()
    equal(await headOf(libp2p), String(second.root))
    await first.stop()
    await second.stop()
    deepEqual(libp2p.getProtocols().filter(protocol => protocol === PROTOCOL), [])
    await first.start()
    equal(await headOf(libp2p), String(first.root))
    await first.stop()
  })

  it('answer from the moment that the node takes streams for them', async () => {
    const key = await generateKeyPair('Ed25519')
    const libp2p = await node(key)
    const { handle } = libp2p
    let head: string | undefined
    libp2p.handle = async (...args) => {
      await handle.apply(libp2p, args)
      if (args[0] === PROTOCOL) { head = await headOf(libp2p) } // as where the node's peer store is slow to note the protocol
    }
    const linkSystem = createLinkSystem()
    const [root] = await chain(linkSystem, 1)
    await using publisher = await createPublisher({ libp2p, linkSystem, privateKey: key }, { topic: '/t', root, senders: [] })
    equal(head, String(publisher.root))
  })

  it('leave the protocol to another handler when told to, and say so when not', async () => {
    const libp2p = await node(key)
    await libp2p.handle(PROTOCOL, () => {})
    const components = { libp2p, linkSystem: createLinkSystem(), privateKey: key }
    await rejects(createPublisher(components, { topic: '/t' }), { name: 'InvalidOptionError', field: 'ipnisync' })
    await (await createPublisher(components, { topic: '/t', ipnisync: false })).stop()
    await libp2p.unhandle(PROTOCOL)
    await (await createPublisher(components, { topic: '/t' })).stop()
  })
})
