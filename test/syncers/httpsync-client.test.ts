import { describe, it } from 'node:test'
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { USER_AGENT } from '../../src/shared/constants.ts'
import { BlockTooLargeError } from '../../src/shared/errors.ts'
import { createHttpClient as createPlatformClient } from '../../src/syncers/httpsync/client.ts'
import { createHttpClient } from '../../src/syncers/httpsync/client.node.ts'
import { Connection } from '../../src/syncers/httpsync/connection.node.ts'
import { Deadline } from '../../src/shared/deadline.ts'
import { closedPort, httpServer, rawServer } from './httpsync-servers.ts'
import type { HttpClient, HttpRequestInit } from '../../src/syncers/httpsync/client.ts'

const init: HttpRequestInit = { timeout: 5000, maxBodySize: 1000 }
const text = (body: Uint8Array): string => new TextDecoder().decode(body)

const clients: Array<[string, () => HttpClient]> = [
  ['sockets', () => createHttpClient()],
  ['a given fetch in Node', () => createHttpClient({ fetch: globalThis.fetch })],
  ['fetch elsewhere', () => createPlatformClient()]
]

for (const [name, create] of clients) {
  describe(`HTTP client over ${name}`, () => {
    it('gets a resource', async () => {
      await using server = await httpServer((req, res) => { res.setHeader('X-Y', 'z').end(`${req.method} ${req.headers['x-a']}`) })
      const client = create()
      const { status, body, headers, url } = await client.request(new URL('/a?b=c', server.url), { ...init, headers: { 'X-A': '1' } })
      deepEqual([status, text(body), headers.get('x-y'), headers.get('X-Y'), headers.get('none')], [200, 'GET 1', 'z', 'z', undefined])
      equal(url, new URL('/a?b=c', server.url).href)
      equal((await client.request(server.url, { ...init, method: 'HEAD' })).body.length, 0)
      await client.stop()
    })

    it('takes any status for an answer, and only a good one\'s body', async () => {
      await using server = await httpServer((req, res) => { res.writeHead(Number(req.url?.slice(1))).end(req.url === '/204' ? undefined : 'body') })
      const client = create()
      for (const status of [200, 204, 400, 403, 404, 429, 500, 503]) {
        const response = await client.request(new URL(`/${status}`, server.url), init)
        deepEqual([response.status, text(response.body)], [status, status === 200 ? 'body' : ''])
      }
      await client.stop()
    })

    it('keeps one connection for 1,000 bodies that nobody wants', async () => {
      await using server = await httpServer((_, res) => { res.writeHead(404).end('cid not found\n') })
      const client = create()
      for (let i = 0; i < 1000; i++) { await client.request(server.url, init) }
      ok(server.connections <= 2, String(server.connections))
      await client.stop()
    })

    it('refuses a body over the limit, announced, in chunks or without end', async () => {
      await using server = await httpServer((req, res) => {
        if (req.url === '/length') { res.setHeader('content-length', 1001) }
        res.write('x'.repeat(600))
        res.end('x'.repeat(401))
      })
      await using endless = await httpServer((_, res) => {
        const more = (): void => { while (res.write('x'.repeat(500)) && !res.destroyed); }
        res.on('drain', more)
        more()
      })
      const client = create()
      await rejects(client.request(new URL('/length', server.url), init), { name: 'BlockTooLargeError', limit: 1000 })
      await rejects(client.request(new URL('/chunks', server.url), init), { name: 'BlockTooLargeError', message: /\/chunks/ })
      await rejects(client.request(endless.url, init), { name: 'BlockTooLargeError' })
      await client.stop()
    })

    it('unzips, with the limit on what comes out', async () => {
      const bodies: Record<string, Uint8Array> = {
        gzip: gzipSync('x'.repeat(1000)),
        'x-gzip': gzipSync('hello'),
        deflate: deflateSync('hello'),
        identity: Buffer.from('as it is'),
        '': Buffer.from('as it is'),
        bomb: gzipSync(Buffer.alloc(1_000_000))
      }
      await using server = await httpServer((req, res) => {
        const kind = req.url?.slice(1) ?? ''
        match(req.headers['accept-encoding'] ?? '', /gzip/)
        res.setHeader('content-encoding', kind === 'bomb' ? 'gzip' : kind).end(bodies[kind])
      })
      const client = create()
      const get = async (kind: string): Promise<string> =>
        text((await client.request(new URL(kind, server.url), { ...init, maxBodySize: 1100 })).body)
      equal(await get('gzip'), 'x'.repeat(1000))
      equal(await get('x-gzip'), 'hello')
      equal(await get('deflate'), 'hello')
      equal(await get('identity'), 'as it is')
      equal(await get(''), 'as it is')
      await rejects(get('bomb'), { name: 'BlockTooLargeError' })
      await client.stop()
    })

    it('follows redirects to HTTP(S), 10 at most', async () => {
      await using server = await httpServer((req, res) => {
        const [, kind, left] = req.url?.split('/') ?? []
        const to: Record<string, string> = { ftp: 'ftp://127.0.0.1/x', file: 'file:///etc/passwd', loop: '/loop', bad: 'http://[', data: 'data:,x' }
        to.utf8 = Buffer.from('/ç/à').toString('latin1') // not encoded: the bytes of UTF-8 in the header
        if ((kind === 'count' && left === '0') || req.url === '/%C3%A7/%C3%A0') {
          res.end('end')
        } else {
          const location = kind === 'count' ? `/count/${Number(left) - 1}` : to[kind]
          res.writeHead(302, location == null ? {} : { location }).end('moved')
        }
      })
      const client = create()
      const get = async (path: string): ReturnType<HttpClient['request']> => await client.request(new URL(path, server.url), init)
      const response = await get('/count/10')
      deepEqual([response.status, text(response.body), new URL(response.url).pathname], [200, 'end', '/count/0'])
      equal((await get('/nowhere')).status, 302)
      equal((await get('/utf8')).status, 200)
      for (const path of ['/count/11', '/loop', '/ftp', '/file', '/data', '/bad']) {
        await rejects(get(path), { name: 'TransferFailedError', message: /redirect/ }, path)
      }
      await client.stop()
    })

    it('limits the whole request in time', async () => {
      await using silent = await rawServer(() => undefined)
      await using half = await rawServer(() => 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel')
      const client = create()
      for (const { url } of [silent, half]) {
        await rejects(client.request(url, { ...init, timeout: 50 }), { name: 'TimeoutError', limit: 'httpTimeout' })
      }
      await client.stop()
    })

    it('rethrows what the signal was aborted with, before and during a request', async () => {
      const reason = { any: 'thing' }
      const controller = new AbortController()
      await using server = await rawServer(() => { controller.abort(reason); return undefined })
      const client = create()
      await rejects(client.request(server.url, { ...init, signal: controller.signal }), err => err === reason)
      await rejects(client.request(server.url, { ...init, signal: controller.signal }), err => err === reason)
      equal(server.requests.length, 1)
      await client.stop()
    })

    it('takes 1,000 requests on one signal without a warning', async () => {
      await using server = await httpServer((_, res) => { res.end('x') })
      const { signal } = new AbortController()
      const client = create()
      const all = Array.from({ length: 1000 }, async () => (await client.request(server.url, { ...init, signal })).status)
      ok((await Promise.all(all)).every(status => status === 200))
      await client.stop()
    })

    it('names a transport error, with its cause', async () => {
      await using server = await rawServer(socket => { socket.resetAndDestroy(); return undefined })
      const client = create()
      await rejects(client.request(server.url, init), err => {
        equal((err as Error).name, 'TransferFailedError')
        ok((err as Error).cause instanceof Error)
        match((err as Error).message, /ECONNRESET|closed/)
        return true
      })
      await rejects(client.request(new URL('http://localhost:1/'), init), { name: 'TransferFailedError', message: /ECONNREFUSED|bad port/ })
      await client.stop()
    })

    it('refuses private addresses with filterIPs, after a redirect too', async () => {
      await using server = await httpServer((_, res) => { res.writeHead(302, { location: `http://127.0.0.2:${server.port}/` }).end() })
      const make = name === 'fetch elsewhere' ? createPlatformClient : createHttpClient
      const fetch = name === 'sockets' ? undefined : globalThis.fetch
      const client = make({ fetch, filterIPs: true })
      for (const host of ['127.0.0.1', '[::1]', '[::ffff:127.0.0.1]', '0.0.0.0', '10.1.2.3', '2130706433']) {
        await rejects(client.request(new URL(`http://${host}:${server.port}/`), init), { name: 'TransferFailedError', message: /filterIPs/ }, host)
      }
      if (name !== 'fetch elsewhere') { // names can be resolved
        await rejects(client.request(new URL(`http://localhost:${server.port}/`), init), { name: 'TransferFailedError', message: /filterIPs/ })
      }
      equal(server.requests.length, 0)
      const loose = make({ fetch, filterIPs: ip => ip === '127.0.0.1' || ip === '::1' })
      await rejects(loose.request(server.url, init), { name: 'TransferFailedError', message: /127\.0\.0\.2.*filterIPs/ })
      equal(server.requests.length, 1)
      await Promise.all([client.stop(), loose.stop()])
    })

    it('stop() ends what is under way and what comes later, and is idempotent', async () => {
      const client = create()
      await using server = await rawServer(() => { void client.stop(); return undefined })
      await rejects(client.request(server.url, init), { name: 'TransferFailedError', message: /stopped/ })
      await rejects(client.request(server.url, init), { name: 'TransferFailedError', message: /stopped/ })
      await client.stop()
      ok(client.stopped)
      equal(server.requests.length, 1)
    })
  })
}

describe('HTTP client over sockets, on the wire', () => {
  it('sends the request that it should', async () => {
    let seen = ''
    await using server = await rawServer((_, head) => { seen = head; return 'HTTP/1.1 204 No Content\r\n\r\n' })
    const client = createHttpClient()
    await client.request(new URL('/a%20b', server.url), { ...init, headers: { 'Ipni-Cid-Schema-Type': 'Advertisement' } })
    equal(seen, `GET /a%20b HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nUser-Agent: ${USER_AGENT}\r\nAccept-Encoding: gzip\r\nIpni-Cid-Schema-Type: Advertisement\r\n\r\n`)
    equal(USER_AGENT, `dagsync/${JSON.parse(readFileSync('package.json', 'utf8')).version}`)
    await client.stop()
  })

  it('asks at port 0 when told to: nobody is there', async () => {
    const client = createHttpClient()
    await rejects(client.request('http://127.0.0.1:0/', init), { name: 'TransferFailedError', message: /127\.0\.0\.1:0\/ failed: [^:]*$/ })
    await client.stop()
  })

  it('speaks over IPv6', async t => {
    const server = await httpServer((req, res) => { res.end(req.headers.host) }, '::1').catch(() => undefined)
    if (server == null) { t.skip('no IPv6 here'); return }
    await using held = server
    const client = createHttpClient()
    equal(text((await client.request(held.url, init)).body), held.url.host)
    await client.stop()
  })

  it('uses one connection for requests in turn, and several for requests at once', async () => {
    await using server = await httpServer((_, res) => { res.end('x') })
    const client = createHttpClient()
    for (let i = 0; i < 20; i++) { await client.request(server.url, init) }
    equal(server.connections, 1)
    await Promise.all(Array.from({ length: 200 }, async () => await client.request(server.url, init)))
    equal(server.connections, 64)
    equal(server.requests.length, 220)
    await client.stop()
  })

  it('keeps nothing of hosts that it has no connection to', async () => {
    const port = await closedPort()
    const client = createHttpClient()
    const { pools } = client as any
    await Promise.all(Array.from({ length: 200 }, async (_, i) => {
      await rejects(client.request(`http://127.0.0.${i + 1}:${port}/`, init), { name: 'TransferFailedError' })
    }))
    equal(pools.size, 0)
    await using server = await httpServer((_, res) => { res.setHeader('connection', 'close').end('x') })
    equal((await client.request(server.url, init)).status, 200)
    equal(pools.size, 0)
    await client.stop()
  })

  it('lets a request that waits for a connection be aborted', async () => {
    await using server = await rawServer(() => undefined)
    const client = createHttpClient()
    const signals = Array.from({ length: 65 }, () => new AbortController())
    const all = signals.map(async ({ signal }) => await client.request(server.url, { ...init, signal }).then(() => 'answer', err => err))
    signals[64].abort('enough')
    equal(await all[64], 'enough')
    await client.stop()
    for (const err of await Promise.all(all.slice(0, 64))) { match(err.message, /stopped/) }
  })

  it('gives no connection to a waiting request that has just been aborted: another one gets it', { timeout: 20_000 }, async () => {
    for (let ticks = 0; ticks < 8; ticks++) {
      let answering = false
      let asked = 0
      const { promise: full, resolve } = Promise.withResolvers<void>()
      await using server = await rawServer(() => {
        if (++asked === 64) { resolve() }
        return answering ? 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok' : undefined
      })
      const client = createHttpClient()
      const signals = Array.from({ length: 65 }, () => new AbortController())
      const all = signals.map(async ({ signal }) => await client.request(server.url, { ...init, signal }).then(() => 'answer', err => err))
      const next = client.request(server.url, { ...init, timeout: 2000 })
      await full
      answering = true
      signals[0].abort()
      for (let i = 0; i < ticks; i++) { await null }
      signals[64].abort()
      equal((await next).status, 200, `${ticks} ticks between`)
      await client.stop()
      await Promise.all(all)
    }
  })

  it('tells how much it holds while it unzips, and ends where that is too much', async () => {
    const body = gzipSync(Buffer.alloc(100_000))
    await using server = await httpServer((_, res) => { res.setHeader('content-encoding', 'gzip').end(body) })
    const client = createHttpClient()
    for (const most of [1_000_000, 50_000]) {
      const told: number[] = []
      const problem = new BlockTooLargeError('ahead', most)
      const onBody = (size: number): void => { told.push(size); if (size > most) { throw problem } }
      const asking = client.request(server.url, { ...init, maxBodySize: 1_000_000, onBody })
      if (most > 100_000) { equal((await asking).body.length, 100_000) } else { await rejects(asking, error => error === problem) }
      const held = Math.min(most, 100_000)
      ok(told.at(-1)! >= held && told.at(-1)! < held + 32_768, `${told.at(-1)} of ${held} bytes`)
      equal(told.filter(size => size > most).length, most > 100_000 ? 0 : 1)
    }
    await client.stop()
  })

  it('leaves its connection to others when it is aborted while it unzips', async () => {
    await using server = await httpServer((_, res) => { res.setHeader('content-encoding', 'gzip').end(gzipSync('x')) })
    const client = createHttpClient()
    const controller = new AbortController()
    const zipped = gzipSync('x').length
    const onBody = (size: number): void => { if (size > zipped) { controller.abort() } }
    await client.request(server.url, { ...init, signal: controller.signal, onBody }).catch(() => {})
    ok(controller.signal.aborted)
    equal(text((await client.request(server.url, init)).body), 'x')
    equal(server.connections, 1)
    await client.stop()
  })

  it('says at once what ended a request or a connection before it could be used', async () => {
    await using server = await rawServer(() => undefined)
    const make = (): Connection => new Connection({ host: '127.0.0.1', port: server.port, tls: false })
    const used = async (connection: Connection, deadline: Deadline): Promise<void> => {
      try {
        await connection.exchange('GET / HTTP/1.1\r\n\r\n', { maxBodySize: 1, what: 'it' }, deadline)
      } finally {
        connection.destroy()
        deadline.clear()
        await connection.gone
      }
    }
    const over = new Deadline('httpTimeout', 60_000)
    over.end(new Error('enough'))
    await rejects(used(make(), over), { message: 'enough' })
    const lost = make()
    lost.destroy(new Error('lost'))
    await rejects(used(lost, new Deadline('httpTimeout', 60_000)), { message: 'lost' })
  })

  it('repeats a request on a new connection when the kept one is closed under it', async () => {
    let answers = 0
    await using server = await rawServer(socket => {
      answers++
      if (answers % 2 === 0) { socket.destroy(); return undefined }
      return 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
    })
    const client = createHttpClient()
    for (let i = 0; i < 10; i++) { equal((await client.request(server.url, init)).status, 200) }
    equal(server.requests.length, 19)
    await client.stop()
  })

  it('does not repeat a request once a byte of the answer has come', async () => {
    let answers = 0
    await using server = await rawServer(socket => {
      if (++answers === 1) { return 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok' }
      socket.end('HTTP/1.1 200')
      return undefined
    })
    const client = createHttpClient()
    await client.request(server.url, init)
    await rejects(client.request(server.url, init), { name: 'TransferFailedError' })
    equal(server.requests.length, 2)
    await client.stop()
  })

  it('drops a connection that carries more than the answer', async () => {
    await using server = await rawServer(() => 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil')
    const client = createHttpClient()
    for (let i = 0; i < 3; i++) { equal(text((await client.request(server.url, init)).body), 'ok') }
    equal(server.connections, 3)
    await client.stop()
  })

  it('reads an answer that ends with the connection, and one that says it does', async () => {
    await using server = await rawServer((socket, head) => {
      socket.end(head.startsWith('GET /eof') ? 'HTTP/1.0 200 OK\r\n\r\nold' : 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nnew')
      return undefined
    })
    const client = createHttpClient()
    equal(text((await client.request(new URL('/eof', server.url), init)).body), 'old')
    equal(text((await client.request(server.url, init)).body), 'new')
    await client.stop()
  })

  it('refuses garbage, truncated bodies and unknown encodings', async () => {
    const answers: Record<string, string> = {
      garbage: 'SSH-2.0-OpenSSH_9.6\r\n\r\n',
      smuggled: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      truncated: 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf',
      head: `HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(4000)}`,
      brotli: `HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n${brotliCompressSync('x').toString('latin1')}`,
      zip: 'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nno gzip',
      cut: `HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n${gzipSync('hello').subarray(0, 15).toString('latin1')}`
    }
    await using server = await rawServer((socket, head) => { socket.end(answers[head.split(/[/ ]/)[2]], 'latin1'); return undefined })
    const client = createHttpClient()
    for (const kind of Object.keys(answers)) {
      await rejects(client.request(new URL(kind, server.url), init), { name: 'TransferFailedError' }, kind)
    }
    await client.stop()
  })

  it('leaves no socket and no timer after stop()', async () => {
    await using server = await httpServer((_, res) => { res.end('x') })
    const client = createHttpClient()
    await Promise.all(Array.from({ length: 5 }, async () => await client.request(server.url, init)))
    await client.stop()
    const mine = process.getActiveResourcesInfo().filter(kind => kind === 'Timeout')
    deepEqual(mine, [])
  })
})

describe('HTTP client over fetch in a page', () => {
  const opaque = Object.create(Response.prototype, { type: { value: 'opaqueredirect' } })

  it('lets the browser follow a redirect that it does not show, or refuses it with filterIPs', async () => {
    const modes: unknown[] = []
    const fetch: typeof globalThis.fetch = async (_, options) => {
      modes.push(options?.redirect)
      return options?.redirect === 'manual' ? opaque : new Response('there')
    }
    const url = new URL('https://example.com/')
    equal(text((await createPlatformClient({ fetch }).request(url, init)).body), 'there')
    deepEqual(modes, ['manual', 'follow'])
    await rejects(createPlatformClient({ fetch, filterIPs: true }).request(url, init), { name: 'TransferFailedError', message: /redirect/ })
    equal(modes.length, 3)
  })

  it('sends no header that would cost a preflight', async () => {
    let headers: unknown
    const fetch: typeof globalThis.fetch = async (_, options) => { headers = options?.headers; return new Response('') }
    Object.assign(globalThis, { document: {} })
    try {
      await createPlatformClient({ fetch }).request(new URL('https://example.com/'), { ...init, headers: { 'Ipni-Cid-Schema-Type': 'EntryChunk' } })
    } finally {
      Reflect.deleteProperty(globalThis, 'document')
    }
    deepEqual(headers, {})
  })

  for (const [what, status] of [['a body that is wanted', 200], ['another', 404]] as const) {
    it(`lets go of ${what} that does not come when the request ends, also of a fetch that does not listen to its signal`, async () => {
      for (const first of [true, false]) { // an answer that is there already, and one that comes afterwards
        const cancelled = Promise.withResolvers<void>()
        const gate = Promise.withResolvers<void>()
        const body = new ReadableStream({ cancel: () => { cancelled.resolve() } })
        if (first) { gate.resolve() }
        const client = createPlatformClient({ fetch: async () => { await gate.promise; return new Response(body, { status }) } })
        await rejects(client.request(new URL('https://example.com/'), { ...init, timeout: 20 }), { name: 'TimeoutError' })
        gate.resolve()
        await cancelled.promise
      }
    })
  }

  it('does not wait for a fetch that does not listen to its signal', async () => {
    const client = createPlatformClient({ fetch: async () => await new Promise(() => {}) })
    await rejects(client.request(new URL('https://example.com/'), { ...init, timeout: 20 }), { name: 'TimeoutError' })
    const stopped = rejects(client.request(new URL('https://example.com/'), init), { message: /stopped/ })
    await client.stop()
    await stopped
  })
})
