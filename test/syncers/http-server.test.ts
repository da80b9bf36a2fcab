import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterEach, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { startHttpServer } from '../../src/syncers/httpsync/server.node.ts'
import { startHttpServer as startElsewhere } from '../../src/syncers/httpsync/server.ts'
import type { HttpAnswer, HttpHandler, HttpRequest, HttpServer } from '../../src/syncers/httpsync/http-types.ts'

const open: Array<HttpServer | Socket> = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) { await ('stop' in one ? one.stop() : one.destroy()) }
})

async function serve (handle: HttpHandler['handle'] = echo): Promise<HttpServer> {
  const server = await startHttpServer({ handle }, { host: '127.0.0.1', port: 0 })
  open.push(server)
  return server
}

function text (status: number, body: string | Uint8Array): HttpAnswer {
  const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body
  return { status, headers: ['Content-Type', 'text/plain', 'Content-Length', String(bytes.byteLength)], body: bytes }
}

function echo ({ method, path, headers }: HttpRequest): HttpAnswer {
  return text(200, `${method} ${path} ${headers.get('x-test') ?? ''}`)
}

async function dial ({ port }: HttpServer): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  open.push(socket)
  await once(socket, 'connect')
  return socket
}

/** What comes until the other side ends. */
async function readAll (socket: Socket): Promise<string> {
  let all = ''
  socket.on('data', chunk => { all += chunk.toString('latin1') })
  await new Promise(resolve => { socket.once('close', resolve) })
  return all
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`

describe('the server of Node', () => {
  it('hands requests to the handler and writes its answers', async () => {
    const { port } = await serve()
    const response = await fetch(`http://127.0.0.1:${port}/a%20b?c`, { headers: { 'X-Test': 'yes' } })
    equal(await response.text(), 'GET /a%20b?c yes')
    equal(response.headers.get('content-type'), 'text/plain')
    ok(response.headers.has('date'))
  })

  it('writes headers and body in one piece, and keeps the connection', async () => {
    const socket = await dial(await serve())
    for (let i = 0; i < 3; i++) {
      socket.write(get(`/${i}`))
      const [chunk] = await once(socket, 'data')
      match(chunk.toString(), new RegExp(`^HTTP/1.1 200 OK\r\n[^]*\r\n\r\nGET /${i} $`))
    }
  })

  it('answers bodiless: HEAD, 204 and 304', async () => {
    const server = await serve(({ method, path }) => method === 'HEAD'
      ? { ...text(200, 'body'), body: undefined }
      : { status: Number(path.slice(1)), headers: ['ETag', '"x"'] })
    const socket = await dial(server)
    for (const [request, status] of [['HEAD /', 200], ['GET /204', 204], ['GET /304', 304], ['HEAD /', 200]]) {
      socket.write(`${request} HTTP/1.1\r\nHost: x\r\n\r\n`)
      const [chunk] = await once(socket, 'data')
      match(chunk.toString(), new RegExp(`^HTTP/1.1 ${status} [^]*\r\n\r\n$`))
      ok(!/transfer-encoding/i.test(chunk.toString()))
    }
  })

  it('answers other methods too, and ends the connection, whatever their body', async () => {
    const socket = await dial(await serve())
    socket.write('POST /head HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nabc')
    const answer = await readAll(socket)
    match(answer, /^HTTP\/1.1 200 OK[^]*Connection: close[^]*POST \/head $/i)
  })

  it('answers 400 to what is not HTTP and 431 to too many headers, by itself', async () => {
    const server = await serve()
    for (const [request, status] of [['nonsense\r\n\r\n', 400], [get(`/${'a'.repeat(10_000)}`), 431], ['GET / HTTP/1.1\r\n\r\n', 400]] as const) {
      const socket = await dial(server)
      socket.write(request)
      match(await readAll(socket), new RegExp(`^HTTP/1.1 ${status} `))
    }
  })

  it('keeps the order of pipelined requests, and the order of their answers', async () => {
    const asked: string[] = []
    const server = await serve(async ({ path }) => {
      asked.push(path)
      await delay(path === '/0' ? 20 : 0)
      return text(200, path)
    })
    const socket = await dial(server)
    socket.write(Array.from({ length: 20 }, (_, i) => get(`/${i}`)).join('').replace(/\r\n$/, 'Connection: close\r\n\r\n'))
    const bodies = [...(await readAll(socket)).matchAll(/\r\n\r\n(\/\d+)/g)].map(([, path]) => path)
    deepEqual(bodies, Array.from({ length: 20 }, (_, i) => `/${i}`))
    deepEqual(asked, bodies)
  })

  it('makes no second answer for a reader that does not take the first', async () => {
    let asked = 0
    const block = new Uint8Array(16 * 1024 * 1024) // more than the sockets' buffers hold
    const server = await serve(() => {
      asked++
      return text(200, block)
    })
    const socket = await dial(server)
    socket.pause()
    socket.write(get('/').repeat(100))
    const other = await dial(server) // served meanwhile
    other.write(get('/'))
    await once(other, 'data')
    await delay(50)
    equal(asked, 2)
  })

  it('ends a connection that asks far ahead', async () => {
    const server = await serve(async () => {
      await delay(1_000)
      return text(200, '')
    })
    const socket = await dial(server)
    socket.write(get('/').repeat(300))
    equal(await readAll(socket), '')
  })

  it('tells the handler when the client leaves, and drops what waits', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const first = Promise.withResolvers<void>()
    let asked = 0
    const server = await serve(async ({ signal }) => {
      asked++
      first.resolve()
      if (signal == null) { throw new Error('no signal') }
      await once(signal, 'abort')
      resolve()
      return text(200, 'for nobody')
    })
    const socket = await dial(server)
    socket.write(get('/').repeat(3))
    await first.promise
    socket.destroy()
    await promise
    await server.stop()
    equal(asked, 1)
  })

  it('answers a client that has closed its side after its requests, and ends the connection', async () => {
    const server = await serve(async ({ path }) => {
      await delay(path === '/0' ? 20 : 0)
      return text(200, path)
    })
    for (const count of [1, 3]) {
      const socket = await dial(server)
      socket.end(Array.from({ length: count }, (_, i) => get(`/${i}`)).join(''))
      const bodies = [...(await readAll(socket)).matchAll(/\r\n\r\n(\/\d+)/g)].map(([, path]) => path)
      deepEqual(bodies, Array.from({ length: count }, (_, i) => `/${i}`))
    }
    const idle = await dial(server)
    idle.end()
    equal(await readAll(idle), '')
  })

  it('answers 10,000 requests on one connection and as many on 200 without a leak', async () => {
    const server = await serve(async request => {
      const { signal } = request // as a store that listens while it reads
      const abort = (): void => {}
      signal?.addEventListener('abort', abort)
      await null
      signal?.removeEventListener('abort', abort)
      return echo(request)
    })
    const ask = async (count: number): Promise<void> => {
      const socket = await dial(server)
      for (let i = 0; i < count; i++) {
        socket.write(get('/x'))
        await once(socket, 'data')
      }
      socket.destroy()
    }
    await ask(1_000)
    globalThis.gc?.()
    const before = process.memoryUsage().heapUsed
    await ask(10_000)
    await Promise.all(Array.from({ length: 200 }, async () => ask(50)))
    globalThis.gc?.()
    ok(process.memoryUsage().heapUsed - before < 8 * 1024 * 1024)
  })
})

describe('listening', () => {
  it('takes a free port, and says where it can be reached', async () => {
    const server = await serve()
    ok(server.port > 0)
    equal(server.host, '127.0.0.1')
    deepEqual(server.addrs().map(String), [`/ip4/127.0.0.1/tcp/${server.port}/http`])
  })

  it('names the interfaces in place of 0.0.0.0 and ::', async () => {
    for (const host of ['0.0.0.0', undefined]) {
      const server = await startHttpServer({ handle: echo }, { host, port: 0 })
      open.push(server)
      const addrs = server.addrs().map(String)
      ok(addrs.includes(`/ip4/127.0.0.1/tcp/${server.port}/http`), addrs.join())
      ok(!addrs.some(addr => /0\.0\.0\.0|ip6\/::\/|ip6\/fe80/.test(addr)), addrs.join())
    }
  })

  it('listens on IPv6', async t => {
    const server = await startHttpServer({ handle: echo }, { host: '::1', port: 0 }).catch(error => {
      if (error.code !== 'EADDRNOTAVAIL' && error.code !== 'EAFNOSUPPORT') { throw error }
    })
    if (server == null) { return t.skip('no IPv6 here') }
    open.push(server)
    deepEqual(server.addrs().map(String), [`/ip6/::1/tcp/${server.port}/http`])
    equal((await fetch(`http://[::1]:${server.port}/`)).status, 200)
  })

  it('rejects when the port is taken, and with the reason when it is aborted', async () => {
    const { port } = await serve()
    await rejects(startHttpServer({ handle: echo }, { host: '127.0.0.1', port }), { code: 'EADDRINUSE' })
    const reason = new Error('enough')
    await rejects(startHttpServer({ handle: echo }, { port: 0, signal: AbortSignal.abort(reason) }), reason)
    const controller = new AbortController()
    const started = startHttpServer({ handle: echo }, { host: 'localhost', port: 0, signal: controller.signal })
    controller.abort(reason)
    await rejects(started, reason)
  })

  it('needs Node', async () => {
    await rejects(startElsewhere({ handle: echo }, { port: 0 }), { name: 'InvalidOptionError', field: 'http.listen' })
  })
})

describe('stopping', () => {
  it('ends idle connections at once, also unused ones and half a request, any number of times', async () => {
    const server = await serve()
    const sockets = await Promise.all([dial(server), dial(server), dial(server)])
    sockets[1].write(get('/'))
    await once(sockets[1], 'data')
    sockets[2].write('GET / HT')
    const closed = Promise.all(sockets.map(async socket => new Promise(resolve => { socket.once('close', resolve) })))
    const begin = performance.now()
    await Promise.all([server.stop(), server.stop(), server.stop()])
    await server.stop()
    await closed
    ok(performance.now() - begin < 900) // not the grace of a second
    await rejects(fetch(`http://127.0.0.1:${server.port}/`))
  })

  it('lets an answer under way come to its end', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const server = await serve(async request => {
      await promise
      return echo(request)
    })
    const socket = await dial(server)
    const answer = readAll(socket)
    socket.write(get('/'))
    await delay(20)
    const stopped = server.stop()
    resolve()
    match(await answer, /Connection: close[^]*GET \/ $/i)
    await stopped
  })

  it('lets a block that is being written come to its end', async () => {
    const block = new Uint8Array(16 * 1024 * 1024)
    const server = await serve(() => text(200, block))
    const socket = await dial(server)
    socket.write(get('/'))
    await once(socket, 'readable')
    const stopped = server.stop()
    let length = 0
    socket.on('data', chunk => { length += chunk.length })
    await once(socket, 'close')
    await stopped
    ok(length > block.length, `${length}`)
  })

  it('does not wait for a reader that never reads, or an answer that never comes', async () => {
    const server = await serve(async ({ path }) => path === '/never' ? new Promise(() => {}) : text(200, new Uint8Array(16 * 1024 * 1024)))
    for (const path of ['/never', '/much']) {
      const socket = await dial(server)
      socket.pause()
      socket.write(get(path))
    }
    await delay(50)
    const begin = performance.now()
    await server.stop()
    ok(performance.now() - begin < 5_000)
  })
})
