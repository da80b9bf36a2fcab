import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { getEventListeners, once } from 'node:events'
import { describe, it } from 'node:test'
import type { Stream } from '@libp2p/interface'
import { Deadline } from '../../src/shared/deadline.ts'
import { turnOfEventLoop } from '../../src/shared/event-loop.ts'
import type { StreamReader } from '../../src/wire/streams.ts'
import { HttpStreamClient } from '../../src/wire/http-stream/client.ts'
import type { Dialer, HttpStreamClientInit, StreamRequestInit } from '../../src/wire/http-stream/client.ts'
import { endStream } from '../../src/wire/http-stream/end.ts'
import type { HttpAnswer, HttpRequest } from '../../src/wire/http-stream/handler.ts'
import { StreamPool } from '../../src/wire/http-stream/pool.ts'
import { HttpStreamServer } from '../../src/wire/http-stream/server.ts'
import type { HttpStreamServerInit } from '../../src/wire/http-stream/server.ts'
import { openStreams, RawServer, RawStream, response, untilStreams } from './http-kit.ts'
import { countWrites, createNode, createPair } from './nodes.ts'
import type { Encrypter, Pair } from './nodes.ts'

const PROTOCOL = '/http/1.1'
const MiB = 1024 * 1024
const get: StreamRequestInit = { target: '/x', timeout: 10_000, maxBodySize: 4 * MiB }
const text = (body: Uint8Array): string => new TextDecoder().decode(body)
const answer = (body = 'hello'): HttpAnswer => ({ status: 200, headers: [], body: new TextEncoder().encode(body) })

/** What libp2p says where others have all streams of a connection. */
const refusal = (): Error => Object.assign(new Error('test'), { name: 'TooManyOutboundProtocolStreamsError' })

type Handle = (request: HttpRequest) => HttpAnswer | Promise<HttpAnswer>

interface Served extends Pair {
  client: HttpStreamClient
  server: HttpStreamServer
}

/** a has a client, b serves. */
async function served (
  handle: Handle, init: Partial<HttpStreamServerInit> & HttpStreamClientInit & { encrypter?: Encrypter } = {}
): Promise<Served> {
  const { maxIdle, encrypter, ...serverInit } = init
  const pair = await createPair(encrypter)
  const server = new HttpStreamServer({ libp2p: pair.b }, { handle }, { protocols: [PROTOCOL], ...serverInit })
  const client = new HttpStreamClient({ libp2p: pair.a }, { maxIdle, idleTimeout: init.idleTimeout })
  await server.start()
  return { ...pair, client, server }
}

/** a has a client, b answers by hand. */
async function played (play: RawServer['answer'], init?: HttpStreamClientInit): Promise<Pair & { client: HttpStreamClient, raw: RawServer }> {
  const pair = await createPair()
  return { ...pair, client: new HttpStreamClient({ libp2p: pair.a }, init), raw: await RawServer.start(pair.b, PROTOCOL, play) }
}

describe('a client of HTTP over a stream', () => {
  it('reads bodies by length, in chunks and until the end', async () => {
    const answers = [
      response('hello'),
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
      'HTTP/1.1 200 OK\r\n\r\nhello'
    ]
    await using pair = await played(async (stream, count) => {
      stream.write(answers[count - 1])
      if (count === 3) { await stream.stream.close() }
    })
    for (let i = 0; i < 3; i++) {
      const { status, body } = await pair.client.request(pair.b.peerId, [PROTOCOL], get)
      deepEqual([status, text(body)], [200, 'hello'])
    }
    equal(pair.raw.streams.length, 1, 'all on one stream')
    await untilStreams(pair.a, PROTOCOL, 0) // the last answer has ended it
  })

  it('sends what it is told, and the peer id as Host', async () => {
    await using pair = await played(stream => { stream.write(response('')) })
    await pair.client.request(pair.b.peerId, [PROTOCOL], { ...get, method: 'HEAD', target: '/a?b', headers: { 'X-Y': 'z' } })
    deepEqual(pair.raw.requests, [`HEAD /a?b HTTP/1.1\r\nHost: ${pair.b.peerId}\r\nConnection: keep-alive\r\nX-Y: z\r\n\r\n`])
  })

  it('keeps its stream, also over 1,000 requests', async () => {
    await using pair = await served(() => answer())
    for (let i = 0; i < 1_000; i++) { equal(text((await pair.client.request(pair.b.peerId, [PROTOCOL], get)).body), 'hello') }
    await untilStreams(pair.a, PROTOCOL, 1)
    await untilStreams(pair.b, PROTOCOL, 1)
    pair.client.stop()
    await untilStreams(pair.a, PROTOCOL, 0)
    await untilStreams(pair.b, PROTOCOL, 0)
    await rejects(pair.client.request(pair.b.peerId, [PROTOCOL], get), { name: 'TransferFailedError', message: /stopped/ })
  })

  for (const encrypter of ['tls', 'noise'] as const) {
    it(`asks and is answered in one write each, over ${encrypter}`, async () => {
      await using pair = await served(() => answer(), { encrypter })
      await pair.client.request(pair.b.peerId, [PROTOCOL], get)
      const counts = [pair.a, pair.b].map(node => countWrites(node.getConnections()[0]))
      for (let i = 0; i < 10; i++) { await pair.client.request(pair.b.peerId, [PROTOCOL], get) }
      deepEqual(counts.map(({ writes }) => writes), [10, 10])
      pair.client.stop()
    })
  }

  it('asks on further streams at once, and keeps a few', async () => {
    const all = Promise.withResolvers<void>()
    let count = 0
    await using pair = await served(async () => {
      if (++count === 20) { all.resolve() }
      await all.promise // answered only when all are there
      return answer()
    })
    await Promise.all(Array.from({ length: 20 }, async () => { await pair.client.request(pair.b.peerId, [PROTOCOL], get) }))
    await untilStreams(pair.a, PROTOCOL, 2)
    await untilStreams(pair.b, PROTOCOL, 2)
  })

  it('lets requests wait for a stream beyond those that libp2p gives, in order', async () => {
    await using pair = await served(({ path }) => answer(path))
    const done: number[] = []
    await Promise.all(Array.from({ length: 200 }, async (_, i) => {
      equal(text((await pair.client.request(pair.b.peerId, [PROTOCOL], { ...get, target: `/${i}` })).body), `/${i}`)
      done.push(i)
    }))
    const waited = done.filter(i => i >= 60)
    deepEqual(waited, waited.toSorted((one, other) => one - other))
    await untilStreams(pair.a, PROTOCOL, 2)
  })

  for (const [first, last] of [[60, 0], [0, 60]]) {
    it(`gives no stream to a waiting request that is aborted just ${first === 60 ? 'before' : 'after'} one is free: another one gets it`, async () => {
      for (let ticks = 0; ticks < 4; ticks++) {
        const full = Promise.withResolvers<void>()
        const held = Promise.withResolvers<void>()
        let count = 0
        await using pair = await served(async () => {
          if (++count === 60) { full.resolve() }
          if (count <= 60) { await held.promise }
          return answer()
        })
        const ask = async (options: Partial<StreamRequestInit>): Promise<unknown> => {
          return pair.client.request(pair.b.peerId, [PROTOCOL], { ...get, ...options })
        }
        const signals = Array.from({ length: 61 }, () => new AbortController())
        const all = signals.map(async ({ signal }) => ask({ signal }).catch(() => {}))
        const next = ask({ timeout: 2_000 })
        await full.promise
        signals[first].abort()
        for (let i = 0; i < ticks; i++) { await null }
        signals[last].abort()
        await next.finally(held.resolve)
        await Promise.all(all)
      }
    })
  }

  it('waits for one no longer than it may, and leaves its place to the next', async () => {
    let open = (): void => {}
    const gate = new Promise<void>(resolve => { open = resolve })
    await using pair = await served(async () => {
      await gate
      return answer()
    })
    const ask = async (init: Partial<StreamRequestInit> = {}): Promise<number> => {
      return (await pair.client.request(pair.b.peerId, [PROTOCOL], { ...get, ...init })).status
    }
    const first = Array.from({ length: 60 }, async () => ask())
    const controller = new AbortController()
    const aborted = rejects(ask({ signal: controller.signal }), error => error === controller.signal.reason)
    const late = rejects(ask({ timeout: 50 }), { name: 'TimeoutError' })
    const last = ask()
    await untilStreams(pair.a, PROTOCOL, 60)
    controller.abort(new Error('test'))
    await Promise.all([aborted, late])
    open()
    equal((await Promise.all([...first, last])).length, 61)
  })

  it('tries again, in time, when libp2p has given all to others on the node', async () => {
    await using pair = await served(() => answer())
    const others = await Promise.all(Array.from({ length: 64 }, async () => pair.a.dialProtocol(pair.b.peerId, PROTOCOL)))
    await rejects(pair.client.request(pair.b.peerId, [PROTOCOL], { ...get, timeout: 200 }), { name: 'TimeoutError' })
    const asked = Promise.all(Array.from({ length: 3 }, async () => pair.client.request(pair.b.peerId, [PROTOCOL], get)))
    others[0].abort(new Error('test'))
    deepEqual((await asked).map(({ status }) => status), [200, 200, 200])
  })

  it('asks on several again after libp2p had given all to others on the node', async () => {
    const all = Promise.withResolvers<void>()
    let count = 0
    await using pair = await served(async () => {
      if (++count === 5) { all.resolve() }
      await all.promise // answered only when all are there
      return answer()
    })
    let refused = 0
    const dialProtocol: Dialer['dialProtocol'] = async (peer, protocols, options) => {
      if (refused++ < 5) { throw refusal() }
      return pair.a.dialProtocol(peer, protocols, options)
    }
    const client = new HttpStreamClient({ libp2p: { dialProtocol } })
    await Promise.all(Array.from({ length: 5 }, async () => client.request(pair.b.peerId, [PROTOCOL], { ...get, timeout: 5_000 })))
  })

  it('lets no request overtake one that was refused a stream', async () => {
    const asked: string[] = []
    await using pair = await served(({ path }) => {
      asked.push(path)
      return answer()
    })
    const refused = Promise.withResolvers<void>()
    let dials = 0
    const dialProtocol: Dialer['dialProtocol'] = async (peer, protocols, options) => {
      if (++dials > 1) { return pair.a.dialProtocol(peer, protocols, options) }
      setImmediate(refused.resolve)
      throw refusal()
    }
    const client = new HttpStreamClient({ libp2p: { dialProtocol } })
    const first = client.request(pair.b.peerId, [PROTOCOL], { ...get, target: '/first' })
    await refused.promise
    await Promise.all([first, client.request(pair.b.peerId, [PROTOCOL], { ...get, target: '/second' })])
    deepEqual(asked, ['/first', '/second'])
  })

  it('gives a stream that was opened ahead to whoever waits first', async () => {
    await using pair = await played(() => {})
    const stream = await pair.a.dialProtocol(pair.b.peerId, PROTOCOL)
    const openings = [Promise.withResolvers<Stream>(), Promise.withResolvers<Stream>()]
    let opened = 0
    const pool = new StreamPool({
      open: async () => openings[opened++].promise, idleTimeout: 1_000, maxIdle: 2, onIdle: () => {}, onEmpty: () => {}
    })
    const deadlines = [new Deadline('test', 5_000), new Deadline('test', 5_000)]
    const order: number[] = []
    const ask = async (i: number): Promise<void> => {
      const stream = await pool.acquire(deadlines[i], false)
      order.push(i)
      pool.release(stream)
    }
    const first = ask(0)
    pool.prepare(1_000)
    openings[0].reject(refusal())
    await turnOfEventLoop()
    const second = ask(1)
    openings[1].resolve(stream)
    await Promise.all([first, second])
    deepEqual(order, [0, 1])
    for (const deadline of deadlines) { deadline.clear() }
    pool.stop(new Error('test'))
  })

  it('opens nothing ahead when it is stopped', async () => {
    let opened = 0
    const pool = new StreamPool({
      open: async () => { throw new Error(`${++opened}`) }, idleTimeout: 1_000, maxIdle: 2, onIdle: () => {}, onEmpty: () => {}
    })
    pool.stop(new Error('test'))
    pool.prepare(1_000)
    equal(opened, 0)
  })

  it('lets a pool go whose stream ahead is refused when the last request is over', async () => {
    const opening = Promise.withResolvers<never>()
    const empty = Promise.withResolvers<void>()
    const pool = new StreamPool({
      open: async () => opening.promise, idleTimeout: 1_000, maxIdle: 2, onIdle: () => {}, onEmpty: empty.resolve
    })
    pool.enter()
    pool.prepare(1_000)
    pool.exit()
    opening.reject(refusal())
    const timer = setTimeout(() => { empty.reject(new Error('it is kept')) }, 2_000)
    await empty.promise
    clearTimeout(timer)
  })

  it('closes a stream that nobody used for a while', async () => {
    await using pair = await played(stream => { stream.write(response('')) }, { idleTimeout: 20 })
    await pair.client.request(pair.b.peerId, [PROTOCOL], get)
    await untilStreams(pair.a, PROTOCOL, 0)
    await untilStreams(pair.b, PROTOCOL, 0)
  })

  it('keeps none, and says so, with maxIdle 0', async () => {
    await using pair = await played(stream => { stream.write(response('')) }, { maxIdle: 0 })
    await pair.client.request(pair.b.peerId, [PROTOCOL], get)
    ok(pair.raw.requests[0].includes('Connection: close\r\n'))
    await untilStreams(pair.b, PROTOCOL, 0)
  })

  it('opens a new one after the server has closed, reset or dirtied the kept one', async () => {
    for (const spoil of [
      async ({ stream }: RawStream) => { await stream.close() },
      ({ stream }: RawStream) => { stream.abort(new Error('test')) },
      (stream: RawStream) => { stream.write('more') }
    ]) {
      await using pair = await played(stream => { stream.write(response('hello')) })
      await pair.client.request(pair.b.peerId, [PROTOCOL], get)
      await spoil(pair.raw.streams[0])
      await untilStreams(pair.a, PROTOCOL, 0) // noticed while nobody uses it
      equal(text((await pair.client.request(pair.b.peerId, [PROTOCOL], get)).body), 'hello')
      equal(pair.raw.streams.length, 2)
    }
  })

  it('takes nothing for an answer that came before the request', async () => {
    await using pair = await played(stream => { stream.write(response('hello')) }, { idleTimeout: 60_000 })
    await pair.client.request(pair.b.peerId, [PROTOCOL], get)
    pair.raw.streams[0].write(response('false'))
    const waiting = (): number => pair.a.getConnections()[0].streams.filter(({ protocol }) => protocol === PROTOCOL)
      .reduce((sum, { readBufferLength }) => sum + readBufferLength, 0)
    while (waiting() === 0 && openStreams(pair.a, PROTOCOL) > 0) { await turnOfEventLoop() }
    equal(text((await pair.client.request(pair.b.peerId, [PROTOCOL], get)).body), 'hello')
    equal(pair.raw.streams.length, 2)
    await untilStreams(pair.a, PROTOCOL, 1) // the first one is given up
  })

  it('lets go of all that it keeps for a peer that it could not ask', async () => {
    const refused = new Error('test')
    const empty: unknown[] = []
    const pool = new StreamPool({
      open: async () => { throw refused }, idleTimeout: 1_000, maxIdle: 2, onIdle: () => {}, onEmpty: () => { empty.push(1) }
    })
    pool.enter()
    const deadline = new Deadline('test', 10_000)
    await rejects(async () => pool.acquire(deadline, false), refused)
    deadline.clear()
    equal(empty.length, 0) // the request may open another one
    pool.exit()
    equal(empty.length, 1)
  })

  it('asks again, once, when a kept stream ends without a byte of an answer', async () => {
    for (const end of [
      async ({ stream }: RawStream) => { await stream.close() },
      ({ stream }: RawStream) => { stream.abort(new Error('test')) }
    ]) {
      await using pair = await played(async (stream, count) => { await (count === 1 ? stream.write(response('one')) : end(stream)) })
      await pair.client.request(pair.b.peerId, [PROTOCOL], get)
      await rejects(pair.client.request(pair.b.peerId, [PROTOCOL], get), { code: /ERR_INVALID_MESSAGE|ERR_TRANSFER_FAILED/ })
      deepEqual([pair.raw.streams.length, pair.raw.requests.length], [2, 3])
    }
  })

  it('asks again on a new stream, however many it has kept', async () => {
    const both = Promise.withResolvers<void>()
    await using pair = await played(async (stream, count) => {
      if (count > 2) { return stream.stream.abort(new Error('test')) }
      if (count === 2) { both.resolve() }
      await both.promise
      stream.write(response('hello'))
    })
    const ask = async (): Promise<unknown> => pair.client.request(pair.b.peerId, [PROTOCOL], get)
    await Promise.all([ask(), ask()])
    await rejects(ask(), { name: 'TransferFailedError' })
    deepEqual([pair.raw.streams.length, pair.raw.requests.length], [3, 4])
  })

  it('keeps the new stream that it asked again on, and ends it when it is stopped', async () => {
    await using pair = await played((stream, count) => {
      if (count % 3 === 2) { stream.stream.abort(new Error('test')) } else { stream.write(response('hello')) }
    })
    for (let i = 0; i < 7; i++) { await pair.client.request(pair.b.peerId, [PROTOCOL], get) }
    equal(pair.raw.requests.length, 10)
    await untilStreams(pair.b, PROTOCOL, 1)
    pair.client.stop()
    await untilStreams(pair.b, PROTOCOL, 0)
  })

  it('does not ask again when an answer had begun, or the stream was new', async () => {
    await using pair = await played(async (stream, count) => {
      stream.write(count === 1 ? response('one') : 'HTTP/1.1 200 OK\r\nContent-Le')
      if (count > 1) { await stream.stream.close() }
    })
    await pair.client.request(pair.b.peerId, [PROTOCOL], get)
    await rejects(pair.client.request(pair.b.peerId, [PROTOCOL], get), { name: 'InvalidMessageError' })
    equal(pair.raw.requests.length, 2)
    await rejects(pair.client.request(pair.b.peerId, [PROTOCOL], get), { name: 'InvalidMessageError' })
    equal(pair.raw.requests.length, 3)
    await untilStreams(pair.a, PROTOCOL, 0)
  })

  it('refuses bodies and heads over their limits, however they come', async () => {
    const endless = (start: string, more: string) => async (stream: RawStream): Promise<void> => {
      stream.write(start)
      for (;;) { // until the client resets the stream
        stream.write(more.repeat(1_000))
        if (stream.stream.writableNeedsDrain) { await once(stream.stream as any, 'drain', { signal: AbortSignal.timeout(5_000) }) }
      }
    }
    for (const [play, name] of [
      [(stream: RawStream) => { stream.write('HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n') }, 'BlockTooLargeError'],
      [endless('HTTP/1.1 200 OK\r\n\r\n', 'xxxx'), 'BlockTooLargeError'],
      [endless('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', '1\r\nx\r\n'), 'BlockTooLargeError'],
      [endless('HTTP/1.1 200 OK\r\n', 'X: y\r\n'), 'InvalidMessageError'],
      [endless('', 'HTTP/1.1 100 Continue\r\n\r\n'), 'InvalidMessageError'],
      [(stream: RawStream) => { stream.write('garbage\r\n\r\n') }, 'InvalidMessageError']
    ] as Array<[RawServer['answer'], string]>) {
      await using pair = await played(play)
      await rejects(pair.client.request(pair.b.peerId, [PROTOCOL], { ...get, maxBodySize: 1_000 }), { name })
      await untilStreams(pair.a, PROTOCOL, 0)
      await untilStreams(pair.b, PROTOCOL, 0)
    }
  })

  it('reads little of a body that nobody wants, and resets its stream', async () => {
    for (const start of ['HTTP/1.1 404 Not Found\r\n\r\n', `HTTP/1.1 404 Not Found\r\nContent-Length: ${1e12}\r\n\r\n`]) {
      let sent = 0
      const ended = Promise.withResolvers<void>()
      await using pair = await played(async ({ stream }) => {
        stream.addEventListener('close', () => { ended.resolve() })
        stream.send(new TextEncoder().encode(start))
        for (;; sent += MiB) { // until the client resets the stream
          stream.send(new Uint8Array(MiB))
          if (stream.writableNeedsDrain) { await Promise.race([once(stream as any, 'drain', { signal: AbortSignal.timeout(10_000) }), ended.promise]) }
        }
      })
      const { status } = await pair.client.request(pair.b.peerId, [PROTOCOL], { ...get, skipBody: status => status === 404 })
      equal(status, 404)
      await ended.promise
      ok(sent < 16 * MiB, `${sent / MiB} MiB`)
    }
  })

  it('ends in time on silence', async () => {
    await using pair = await played(() => {})
    await rejects(pair.client.request(pair.b.peerId, [PROTOCOL], { ...get, timeout: 50 }), { name: 'TimeoutError' })
    await untilStreams(pair.a, PROTOCOL, 0)
    await untilStreams(pair.b, PROTOCOL, 0)
  })

  it('is aborted before it asks, while it connects, while it waits and in the middle of a body', async () => {
    const reason = new Error('not needed')
    const started = Promise.withResolvers<void>()
    await using pair = await played(stream => {
      stream.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello')
      started.resolve()
    })
    await rejects(pair.client.request(pair.b.peerId, [PROTOCOL], { ...get, signal: AbortSignal.abort(reason) }), reason)
    const connecting = new AbortController()
    const early = pair.client.request(pair.b.peerId, [PROTOCOL], { ...get, signal: connecting.signal })
    connecting.abort(reason)
    await rejects(early, reason)
    equal(pair.raw.requests.length, 0)
    const reading = new AbortController()
    const late = pair.client.request(pair.b.peerId, [PROTOCOL], { ...get, signal: reading.signal })
    await started.promise
    reading.abort('a reason that is no error')
    await rejects(late, error => error === 'a reason that is no error')
    await untilStreams(pair.a, PROTOCOL, 0)
    await untilStreams(pair.b, PROTOCOL, 0)
  })

  it('ends what is under way when it is stopped', async () => {
    const asked = Promise.withResolvers<void>()
    await using pair = await played(() => { asked.resolve() })
    const request = pair.client.request(pair.b.peerId, [PROTOCOL], get)
    await asked.promise
    pair.client.stop()
    await rejects(request, { name: 'TransferFailedError', message: /stopped/ })
    await untilStreams(pair.b, PROTOCOL, 0)
  })

  it('names the protocols that the peer does not speak', async () => {
    await using pair = await createPair()
    const client = new HttpStreamClient({ libp2p: pair.a })
    await rejects(client.request(pair.b.peerId, ['/a/1', '/b/1'], get), { name: 'TransferFailedError', message: /speaks none of \/a\/1, \/b\/1/ })
  })

  it('takes the first protocol that the peer speaks', async () => {
    await using pair = await served(({ path }) => answer(path), { protocols: ['/b/1'] })
    equal(text((await pair.client.request(pair.b.peerId, ['/a/1', '/b/1', '/c/1'], get)).body), '/x')
    await untilStreams(pair.a, '/b/1', 1)
  })
})

describe('a server of HTTP over a stream', () => {
  it('hands the request to the handler, and writes what that answers', async () => {
    await using pair = await served(({ method, path, headers }) => ({ ...answer(`${method} ${path} ${headers.get('x-y')}`), headers: ['ETag', '"1"'] }))
    const { status, headers, body } = await pair.client.request(pair.b.peerId, [PROTOCOL], { ...get, target: '/a%20b?c', headers: { 'X-Y': 'z' } })
    deepEqual([status, headers.get('etag'), headers.get('content-length'), text(body)], [200, '"1"', '14', 'GET /a%20b?c z'])
    ok(!Number.isNaN(Date.parse(headers.get('date') ?? '')))
  })

  it('carries blocks of 4 MiB and small ones alike, on one stream', async () => {
    const blocks = [0, 1, 8 * 1024 - 1, 8 * 1024, MiB, 4 * MiB].map(size => new Uint8Array(size).map((_, i) => i * 7))
    await using pair = await served(({ path }) => ({ status: 200, headers: [], body: blocks[Number(path.slice(1))] }))
    for (let i = 0; i < 30; i++) {
      const { body } = await pair.client.request(pair.b.peerId, [PROTOCOL], { ...get, target: `/${i % blocks.length}` })
      equal(Buffer.compare(body, blocks[i % blocks.length]), 0)
    }
    await untilStreams(pair.b, PROTOCOL, 1)
  })

  it('holds little of a block that is not read, and goes on when it is', async () => {
    const block = new Uint8Array(4 * MiB).fill(7)
    let asked = 0
    await using pair = await served(() => ({ status: 200, headers: [], body: (asked++, block) }))
    const raw = await RawStream.open(pair.a, pair.b.peerId, PROTOCOL)
    raw.stream.pause()
    raw.write('GET / HTTP/1.1\r\nHost:\r\n\r\n'.repeat(10))
    await untilStreams(pair.b, PROTOCOL, 1)
    raw.stream.resume()
    for (let i = 0; i < 10; i++) {
      ok(asked <= i + 3, `${asked} blocks were asked for when ${i} were read`)
      equal((await raw.readResponse()).length > block.length, true)
    }
  })

  it('holds little for a client that asks for many blocks and reads none, answers others meanwhile, and all of it when it reads', async () => {
    const block = new Uint8Array(4 * MiB).fill(7)
    let asked = 0
    await using pair = await served(async ({ path }) => {
      if (path === '/x') { return answer() }
      asked++
      await turnOfEventLoop() // as a store that looks for it
      return { status: 200, headers: [], body: block }
    })
    const clients: RawStream[] = []
    for (let i = 0; i < 60; i++) {
      const raw = await RawStream.open(pair.a, pair.b.peerId, PROTOCOL)
      raw.stream.pause()
      raw.write('GET /block HTTP/1.1\r\nHost:\r\n\r\n')
      clients.push(raw)
    }
    const other = await createNode()
    try {
      await other.dial(pair.b.getMultiaddrs())
      const client = new HttpStreamClient({ libp2p: other })
      for (let i = 0; i < 20; i++) { equal(text((await client.request(pair.b.peerId, [PROTOCOL], get)).body), 'hello') }
    } finally {
      await other.stop()
    }
    ok(asked >= 7 && asked <= 40, `${asked} blocks of 60 are held`)
    await Promise.all(clients.map(async raw => {
      raw.stream.resume()
      ok((await raw.readResponse()).length > block.length)
    }))
    equal(asked, 60)
  })

  it('answers 10,000 requests on one stream, and as many 200 at a time, without a leak', async () => {
    await using pair = await served(async ({ signal }) => { // as a store that listens while it reads
      const abort = (): void => {}
      signal?.addEventListener('abort', abort)
      await null
      signal?.removeEventListener('abort', abort)
      return answer()
    })
    const { signal } = new AbortController()
    const ask = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) { await pair.client.request(pair.b.peerId, [PROTOCOL], { ...get, signal }) }
    }
    await ask(1_000)
    globalThis.gc?.()
    const before = process.memoryUsage().heapUsed
    await ask(10_000)
    await Promise.all(Array.from({ length: 200 }, async () => ask(50)))
    await untilStreams(pair.b, PROTOCOL, 2)
    globalThis.gc?.()
    const more = process.memoryUsage().heapUsed - before
    ok(more < 8 * MiB, `${more} bytes`)
    equal(getEventListeners(signal, 'abort').length, 0)
  })

  it('answers HEAD without a body, and pipelined requests one after another', async () => {
    await using pair = await served(({ method }) => answer(method))
    const raw = await RawStream.open(pair.a, pair.b.peerId, PROTOCOL)
    raw.write('HEAD / HTTP/1.1\r\nHost:\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\nPUT http://x/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi')
    const all = await raw.readAll()
    equal(all.replace(/Date: .*\r\n/g, ''), [
      'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nGET',
      'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nPUT'
    ].join(''))
  })

  it('keeps the stream as HTTP/1.1 and 1.0 have it, or only when asked', async () => {
    const cases: Array<[request: string, byDefault: boolean, whenAsked: boolean]> = [
      ['GET / HTTP/1.1\r\nHost:\r\n\r\n', true, false],
      ['GET / HTTP/1.1\r\nHost:\r\nConnection: Keep-Alive\r\n\r\n', true, true],
      ['GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n', false, false],
      ['GET / HTTP/1.1\r\nHost:\r\nConnection: keep-alive, close\r\n\r\n', false, false],
      ['GET / HTTP/1.0\r\n\r\n', false, false],
      ['GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n', true, true]
    ]
    for (const closeByDefault of [false, true]) {
      await using pair = await served(() => answer(), { closeByDefault })
      for (const [request, byDefault, whenAsked] of cases) {
        const raw = await RawStream.open(pair.a, pair.b.peerId, PROTOCOL)
        raw.write(request)
        const first = await raw.readResponse()
        ok(first.endsWith('hello'))
        const keeps = closeByDefault ? whenAsked : byDefault
        equal(/Connection: close/.test(first), !keeps, `${closeByDefault} ${request}`)
        if (keeps) {
          raw.write(request)
          ok((await raw.readResponse()).endsWith('hello'))
          await raw.stream.close()
        }
        equal(await raw.readAll(), '')
        await raw.stream.close()
      }
      await untilStreams(pair.b, PROTOCOL, 0)
    }
  })

  it('answers 400 to what is not HTTP, and to 1.1 without Host, and closes', async () => {
    await using pair = await served(() => answer())
    for (const request of ['hello\r\n\r\n', 'GET / HTTP/1.1\r\n\r\n', 'GET / HTTP/1.1\r\nA\r\n\r\n', 'GET / HTTP/2\r\n\r\n', 'GET / HTTP/1.1\nHost: x\n\n', 'x'.repeat(20_000)]) {
      const raw = await RawStream.open(pair.a, pair.b.peerId, PROTOCOL)
      raw.write(request)
      ok(/^HTTP\/1\.1 400 Bad Request\r\n[^]*Connection: close\r\n/.test(await raw.readAll()), request.slice(0, 40))
      await raw.stream.close()
    }
    await untilStreams(pair.b, PROTOCOL, 0)
  })

  it('drops bodies of requests, and closes after long ones', async () => {
    await using pair = await served(() => answer())
    const raw = await RawStream.open(pair.a, pair.b.peerId, PROTOCOL)
    raw.write(`POST / HTTP/1.1\r\nHost:\r\nContent-Length: 1000\r\n\r\n${'x'.repeat(1000)}`)
    ok(!/Connection/.test(await raw.readResponse()))
    raw.write(`POST / HTTP/1.1\r\nHost:\r\nContent-Length: 1000000000\r\n\r\n${'x'.repeat(1000)}`)
    ok(/Connection: close/.test(await raw.readAll()))
  })

  it('answers 500 when the handler fails, and goes on', async () => {
    let count = 0
    await using pair = await served(() => {
      count++
      if (count === 1) { throw new Error('test') }
      return count === 2 ? Promise.reject(new Error('test')) : answer()
    })
    const statuses: number[] = []
    for (let i = 0; i < 3; i++) { statuses.push((await pair.client.request(pair.b.peerId, [PROTOCOL], get)).status) }
    deepEqual(statuses, [500, 500, 200])
    await untilStreams(pair.b, PROTOCOL, 1)
  })

  it('waits for nothing that is made for a client which has reset its stream with the request', async () => {
    await using pair = await served(({ path }) => path === '/x' ? answer() : new Promise(() => {}))
    for (let i = 0; i < 100; i++) {
      const { stream } = await RawStream.open(pair.a, pair.b.peerId, PROTOCOL)
      stream.send(new TextEncoder().encode('GET /hang HTTP/1.1\r\nHost: x\r\n\r\n'))
      stream.abort(new Error('test'))
    }
    const { status } = await pair.client.request(pair.b.peerId, [PROTOCOL], get)
    equal(status, 200)
  })

  it('aborts the signal of a request when the client is gone', async () => {
    const asked = Promise.withResolvers<AbortSignal>()
    await using pair = await served(async ({ signal }) => {
      asked.resolve(signal as AbortSignal)
      return new Promise<HttpAnswer>(() => {}) // never
    })
    const controller = new AbortController()
    const request = pair.client.request(pair.b.peerId, [PROTOCOL], { ...get, signal: controller.signal })
    const signal = await asked.promise
    const aborted = once(signal, 'abort')
    controller.abort(new Error('gone'))
    await rejects(request, { message: 'gone' })
    await aborted
    await untilStreams(pair.b, PROTOCOL, 0)
  })

  it('gives up clients that say nothing, stop in the middle, do not read, and answers that do not come', async () => {
    const block = new Uint8Array(16 * MiB)
    await using pair = await served(({ path }) => path === '/never' ? new Promise(() => {}) : { status: 200, headers: [], body: block }, { idleTimeout: 100 })
    for (const request of ['', 'GET / HT', 'GET /never HTTP/1.1\r\nHost:\r\n\r\n', 'GET /block HTTP/1.1\r\nHost:\r\n\r\n']) {
      const raw = await RawStream.open(pair.a, pair.b.peerId, PROTOCOL)
      if (request.includes('block')) { raw.stream.pause() }
      raw.write(request)
      await once(raw.stream as any, 'close')
      equal(raw.stream.status, 'reset', request)
    }
    await untilStreams(pair.b, PROTOCOL, 0)
  })

  it('does not wait for ever for a client to close its side', async () => {
    await using pair = await served(() => answer(), { closeByDefault: true, closeTimeout: 50 })
    const ended = Promise.withResolvers<any>()
    pair.b.use(PROTOCOL, (stream, connection, next) => {
      stream.addEventListener('close', ended.resolve)
      next(stream, connection)
    })
    const raw = await RawStream.open(pair.a, pair.b.peerId, PROTOCOL)
    raw.write('GET / HTTP/1.1\r\nHost:\r\n\r\n')
    ok((await raw.readAll()).endsWith('hello'))
    const { error } = await ended.promise
    deepEqual([error?.name, error?.message], ['TimeoutError', 'close timeout: no answer within 50 ms'])
    await untilStreams(pair.b, PROTOCOL, 0)
    if (raw.stream.status === 'open') { await once(raw.stream, 'close') } // the reset is still on its way
    equal(raw.stream.status, 'reset')
  })

  it('stops in the middle of an answer, twice, and starts again', async () => {
    const asked = Promise.withResolvers<void>()
    let wait = true
    await using pair = await served(async () => {
      asked.resolve()
      return wait ? new Promise<HttpAnswer>(() => {}) : answer()
    })
    const request = pair.client.request(pair.b.peerId, [PROTOCOL], get)
    await asked.promise
    await Promise.all([rejects(request, { name: 'TransferFailedError' }), pair.server.stop(), pair.server.stop()])
    await rejects(pair.client.request(pair.b.peerId, [PROTOCOL], get), { message: /speaks none of/ })
    await untilStreams(pair.b, PROTOCOL, 0)
    wait = false
    await Promise.all([pair.server.start(), pair.server.start(), pair.server.stop(), pair.server.start()])
    equal(text((await pair.client.request(pair.b.peerId, [PROTOCOL], get)).body), 'hello')
  })

  it('resets a stream that a middleware of the node holds back until after the stop', async () => {
    await using pair = await served(() => answer())
    const [held, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    pair.b.use(PROTOCOL, async (stream, connection, next) => {
      held.resolve()
      await goOn.promise
      next(stream, connection)
    })
    const request = pair.client.request(pair.b.peerId, [PROTOCOL], get)
    await held.promise
    await pair.server.stop()
    goOn.resolve()
    await rejects(request, { name: 'TransferFailedError' })
  })

  it('does not take a protocol from another one, and leaves nothing when one is taken', async () => {
    await using pair = await createPair()
    const first = new HttpStreamServer({ libp2p: pair.b }, { handle: () => answer() }, { protocols: ['/b/1'] })
    const second = new HttpStreamServer({ libp2p: pair.b }, { handle: () => answer() }, { protocols: ['/a/1', '/b/1'] })
    await first.start()
    await rejects(second.start(), { name: 'DuplicateProtocolHandlerError' })
    await second.stop()
    deepEqual(pair.b.getProtocols().filter(protocol => /^\/[ab]\/1$/.test(protocol)), ['/b/1'])
  })
})

describe('the end of a stream', () => {
  it('is a reset where closing fails', async () => {
    let aborted: unknown
    let released = false
    const stream: any = { close: async () => { throw new Error('test') }, abort: (error: unknown) => { aborted = error } }
    await endStream(stream, { release: () => { released = true } } as unknown as StreamReader, 1_000)
    ok(aborted instanceof Error && released)
  })

  it('leaves no timer, which would keep the process alive', async () => {
    const timers = (): number => process.getActiveResourcesInfo().filter(kind => kind === 'Timeout').length
    const before = timers()
    let reads = 3
    const reader: any = { read: async () => --reads === 0 ? undefined : new Uint8Array(1), release: () => {} }
    await endStream({ close: async () => {} } as any, reader, 60_000)
    deepEqual([reads, timers()], [0, before])
  })
})
