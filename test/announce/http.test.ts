import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { createServer } from 'node:http'
import { describe, it } from 'node:test'
import { peerIdFromString } from '@libp2p/peer-id'
import { CID } from 'multiformats/cid'
import { decodeAnnounce, httpSender, messageAddrs } from '../../src/announce/index.ts'
import { parseMultiaddrs, peerIdOf } from '../../src/shared/multiaddrs.ts'
import { inTime } from '../support/hall.ts'
import { cids, newPeer, vectors } from './kit.ts'
import type { IncomingHttpHeaders, RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'

const peerId = peerIdFromString('12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5')
const [cid] = await cids(1)
const message = { cid, addrs: [] as Uint8Array[] }

interface Server { url: string, seen: Seen[], sockets(): number }
interface Seen { method?: string, path?: string, headers: IncomingHttpHeaders, body: Buffer }

async function serve (t: { after (fn: () => void): void }, answer: RequestListener): Promise<Server> {
  const seen: Seen[] = []
  let sockets = 0
  const server = createServer((req, res) => {
    req.toArray().then(chunks => {
      seen.push({ method: req.method, path: req.url, headers: req.headers, body: Buffer.concat(chunks) })
      answer(req, res)
    }).catch(() => { res.destroy() })
  }).on('connection', () => { sockets++ })
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen, sockets: () => sockets }
}

describe('HTTP sender', () => {
  for (const vector of vectors('announce-http')) {
    it(`sends what Go sends: ${vector.name}`, async t => {
      const { url, seen } = await serve(t, (_, res) => {
        res.statusCode = vector.serverStatus
        res.end(vector.serverStatus === 204 ? undefined : ' some text\n')
      })
      const sender = httpSender({
        urls: [url + (vector.path === '/announce' ? '' : vector.path)],
        peerId,
        encoding: vector.bodyText != null ? 'json' : 'cbor',
        ...(vector.name.includes('extra data') && { extraData: Buffer.from('t01000'), userAgent: 'me/1' })
      })
      const sent = sender.send({
        cid: CID.parse('baguqeerah5jbm4o22vrstcqv6bqibsilh3bgamxcbiyxgvwaslbeionwniiq'),
        addrs: parseMultiaddrs(['/ip4/127.0.0.1/tcp/9999', '/ip4/8.8.8.8/tcp/9999']).map(addr => addr.bytes),
        extraData: vector.name.includes('extra data') ? Uint8Array.of(1) : undefined
      })
      if (vector.error == null) {
        deepEqual(await sent, { recipients: 1 })
      } else {
        await rejects(sent, { name: 'HttpStatusError', status: vector.serverStatus, url: `${url}${vector.path}`, message: /: some text$/ })
      }
      equal(seen.length, 1)
      equal(seen[0].method, vector.method)
      equal(seen[0].path, vector.path)
      equal(seen[0].headers['content-type'], vector.headers['Content-Type'])
      equal(seen[0].headers['content-length'], vector.headers['Content-Length'])
      equal(seen[0].headers['user-agent'], vector.headers['User-Agent'].replace(/^go-libipni\/.*/, 'dagsync/0.1.0'))
      equal(seen[0].body.toString('base64'), vector.body)
    })
  }

  it('appends its publisher to addresses that it cannot read, too', async t => {
    const { url, seen } = await serve(t, (_, res) => { res.end() })
    const [good] = parseMultiaddrs(['/dns4/a.b/tcp/80/http/http-path/foo'])
    await httpSender({ urls: [url], peerId }).send({ cid, addrs: [Uint8Array.of(0xff, 0xff, 0x7f), good.bytes] })
    const sent = decodeAnnounce(seen[0].body)
    const suffix = `a50326${Buffer.from(peerId.toMultihash().bytes).toString('hex')}`
    deepEqual(sent.addrs.map(bytes => Buffer.from(bytes.subarray(-41)).toString('hex')), [suffix, suffix])
    ok(peerIdOf(messageAddrs(sent)[0])?.equals(peerId))
  })

  it('sends to several URLs at once, once to each, and does not change them', async t => {
    const { url, seen } = await serve(t, (_, res) => { res.end() })
    const object = new URL(url)
    const sender = httpSender({ urls: [url, object, `${url}/announce`, `${url}/announce#f`, `${url}/other?q=1#f`], peerId })
    equal(object.pathname, '/')
    deepEqual(await sender.send(message), { recipients: 2 })
    deepEqual(seen.map(({ path }) => path).sort(), ['/announce', '/other?q=1'])
  })

  it('sends by HTTPS too, and says why a connection failed', async () => {
    const asked: unknown[] = []
    const fetch = async (url: unknown): Promise<Response> => {
      asked.push(url)
      throw new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED') })
    }
    const sender = httpSender({ urls: ['https://example.com'], peerId, fetch })
    await rejects(sender.send(message), { name: 'TransferFailedError', message: /fetch failed: connect ECONNREFUSED$/ })
    deepEqual(asked, ['https://example.com/announce'])
  })

  it('collects what several URLs failed with', async t => {
    const { url, seen } = await serve(t, (req, res) => {
      res.statusCode = req.url === '/good' ? 204 : 500
      res.end()
    })
    const sender = httpSender({ urls: [`${url}/good`, `${url}/bad`, 'http://127.0.0.1:1/announce'], peerId })
    await rejects(sender.send(message), err => {
      ok(err instanceof AggregateError)
      equal(err.name, 'AnnounceError')
      deepEqual(err.errors.map(error => error.name), ['HttpStatusError', 'TransferFailedError'])
      ok(err.message.startsWith('2 of 3 announce URLs failed'))
      return true
    })
    equal(seen.length, 2)
  })

  it('ends at its time limit, whether fetch heeds the signal or not', async t => {
    const { url } = await serve(t, () => {})
    await rejects(httpSender({ urls: [url], peerId, timeout: 50 }).send(message), { name: 'TimeoutError', limit: 'timeout' })
    const deaf = async (): Promise<Response> => await new Promise(() => {})
    await rejects(httpSender({ urls: [url], peerId, timeout: 10, fetch: deaf }).send(message), { name: 'TimeoutError' })
  })

  for (const [when, abortsIn] of [['before it', 'fetch'], ['in the middle of it', 'body']]) {
    it(`gives up the answer of a fetch that does not heed the signal, aborted ${when}`, async () => {
      const reason = new Error('enough')
      const controller = new AbortController()
      const given = Promise.withResolvers<Response>()
      const cancelled = Promise.withResolvers<void>()
      const body = new ReadableStream({
        pull: () => { controller.abort(reason) }, // and nothing comes
        cancel: () => { cancelled.resolve() }
      }, { highWaterMark: 0 })
      const fetch = async (): Promise<Response> => {
        if (abortsIn === 'fetch') { controller.abort(reason) }
        return given.promise
      }
      const sending = httpSender({ urls: ['http://127.0.0.1:9'], peerId, fetch }).send(message, controller)
      if (abortsIn === 'fetch') { await rejects(sending, err => err === reason) }
      given.resolve(new Response(body))
      await rejects(sending, err => err === reason)
      await inTime(cancelled.promise)
      equal(getEventListeners(controller.signal, 'abort').length, 0)
    })
  }

  it('ends by abort, with the reason, and leaves no listener', async t => {
    const reason = new Error('enough')
    const controller = new AbortController()
    const { url } = await serve(t, () => { controller.abort(reason) })
    await rejects(httpSender({ urls: [url, `${url}/2`], peerId }).send(message, controller), err => err === reason)
    equal(getEventListeners(controller.signal, 'abort').length, 0)
    await rejects(httpSender({ urls: [url], peerId }).send(message, controller), err => err === reason)
  })

  it('tells the status of an answer whose text cannot be read, and takes one that is good', async () => {
    let status = 503
    const fetch = async (): Promise<Response> => new Response(new ReadableStream({ start (body) { body.error(new Error('cut off')) } }), { status })
    const sender = httpSender({ urls: ['http://127.0.0.1:9'], peerId, fetch })
    await rejects(sender.send(message), { name: 'HttpStatusError', status: 503 })
    status = 200
    deepEqual(await sender.send(message), { recipients: 1 })
  })

  it('goes by the status where the answer does not end within the time limit, and gives up the connection', async t => {
    let closed: Promise<unknown> | undefined
    const { url } = await serve(t, (req, res) => {
      closed = new Promise(resolve => { res.on('close', resolve) })
      res.writeHead(req.url === '/good' ? 200 : 503)
      res.write('wait')
    })
    deepEqual(await httpSender({ urls: [`${url}/good`], peerId, timeout: 200 }).send(message), { recipients: 1 })
    await closed
    await rejects(httpSender({ urls: [`${url}/bad`], peerId, timeout: 200 }).send(message), { name: 'HttpStatusError', status: 503 })
    const endless = async (): Promise<Response> => new Response(new ReadableStream()) // and deaf
    deepEqual(await httpSender({ urls: [url], peerId, timeout: 10, fetch: endless }).send(message), { recipients: 1 })
  })

  it('ends by abort while it reads an answer, too', async t => {
    const reason = new Error('enough')
    const controller = new AbortController()
    const { url } = await serve(t, (_, res) => { res.write('wait') })
    const fetch: typeof globalThis.fetch = async (...args) => {
      const response = await globalThis.fetch(...args)
      setImmediate(() => { controller.abort(reason) })
      return response
    }
    await rejects(httpSender({ urls: [url], peerId, fetch }).send(message, controller), err => err === reason)
  })

  it('tells the text of an answer that comes in pieces', async () => {
    const body = (): ReadableStream => new ReadableStream({
      start (body) {
        for (const text of ['too ', 'busy']) { body.enqueue(Buffer.from(text)) }
        body.close()
      }
    })
    const pieces = async (): Promise<Response> => new Response(body(), { status: 503 })
    await rejects(httpSender({ urls: ['http://127.0.0.1:9'], peerId, fetch: pieces }).send(message), { message: /: too busy$/ })
  })

  it("asks nobody once it is aborted, and keeps a message's own extra data where it has none", async () => {
    const sent: Uint8Array[] = []
    const fetch: typeof globalThis.fetch = async (_url, request) => {
      sent.push(request?.body as Uint8Array)
      return new Response(null, { status: 204 })
    }
    const sender = httpSender({ urls: ['http://127.0.0.1:9'], peerId, fetch })
    const reason = new Error('enough')
    await rejects(sender.send(message, { signal: AbortSignal.abort(reason) }), err => err === reason)
    await sender.send({ ...message, extraData: Uint8Array.of(1) })
    deepEqual(sent.map(body => decodeAnnounce(body).extraData), [Uint8Array.of(1)])
  })

  it('reads of an endless answer what it needs', async t => {
    let closed: Promise<void> | undefined
    const { url } = await serve(t, (_, res) => {
      closed = new Promise(resolve => { res.on('close', resolve) })
      res.statusCode = 400
      const more = (): void => { while (!res.destroyed && res.write('x'.repeat(10_000))); }
      res.on('drain', more)
      more()
    })
    await rejects(httpSender({ urls: [url], peerId }).send(message), { name: 'HttpStatusError', message: /: x{1024}$/ })
    await closed
  })

  it('drains answers, so that connections are kept', async t => {
    const { url, sockets } = await serve(t, (_, res) => { res.end('ok') })
    const sender = httpSender({ urls: [url], peerId })
    for (let i = 0; i < 20; i++) { await sender.send(message) }
    ok(sockets() <= 2) // fetch may ask again before the first one is free
  })

  it('checks its options, and names the wrong one', async () => {
    const urls = ['http://localhost']
    const wrong: Array<[string, any]> = [
      ['urls', { urls: [] }], ['urls', { urls: ['localhost'] }], ['urls', { urls: ['ftp://localhost'] }], ['urls', { urls: ['http://me:secret@localhost'] }],
      ['urls', { urls: ['http://me@localhost'] }], ['urls', { urls: ['http://:secret@localhost'] }],
      ['peerId', { peerId: undefined }], ['peerId', { peerId: peerId.toString() }], ['timeout', { timeout: 0 }], ['timeout', { timeout: Infinity }],
      ['timeout', { timeout: '5' }], ['timeout', { timeout: NaN }], ['timeout', { timeout: -1 }], ['timeout', { timeout: 0.5 }],
      ['encoding', { encoding: 'xml' }], ['fetch', { fetch: 'no' }], ['userAgent', { userAgent: 1 }], ['extraData', { extraData: 'x' }]
    ]
    for (const [field, init] of wrong) {
      throws(() => httpSender({ urls, peerId, ...init }), err => {
        equal((err as Error).name, 'InvalidOptionError')
        equal((err as any).field, field)
        ok(!(err as Error).message.includes('secret'))
        return true
      })
    }
  })

  it('needs no key', async t => {
    const { url, seen } = await serve(t, (_, res) => { res.end() })
    await httpSender({ urls: [url], peerId: peerIdFromString((await newPeer()).toString()) }).send(message)
    equal(seen.length, 1)
  })
})
