import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { base58btc } from 'multiformats/bases/base58'
import { base64 } from 'multiformats/bases/base64'
import { CID } from 'multiformats/cid'
import { getEventListeners } from 'node:events'
import { after, describe, it } from 'node:test'
import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict'
import { registerHttpath } from '../../src/shared/multiaddrs.ts'
import { httpBases } from '../../src/syncers/httpsync/bases.ts'
import { createHttpClient } from '../../src/syncers/httpsync/client.node.ts'
import { Fetcher } from '../../src/syncers/httpsync/fetcher.ts'
import { delay } from '../../src/shared/delay.ts'
import { retryDelay } from '../../src/syncers/httpsync/retry.ts'
import { closedPort, httpServer, rawServer } from './httpsync-servers.ts'
import type { FetcherInit } from '../../src/syncers/httpsync/fetcher.ts'
import type { ServerResponse } from 'node:http'

registerHttpath()

const cid = CID.parse('baguqeera5vv5rabpuixe5x6u4c3cxp4tp4bfkjksp2mpomxhu3fnrqjfc4hq')
const peerId = peerIdFromPrivateKey(await generateKeyPair('Ed25519'))
const text = (body: Uint8Array | undefined): string => new TextDecoder().decode(body)
const QUICK = { retries: 3, minDelay: 1, maxDelay: 20 }

describe('asking one publisher over HTTP', () => {
  const client = createHttpClient()
  after(async () => { await client.stop() })

  const fetcher = (addrs: Array<string | number>, init: Partial<FetcherInit> = {}): Fetcher => new Fetcher(client, httpBases(
    peerId, addrs.map(addr => multiaddr(typeof addr === 'number' ? `/ip4/127.0.0.1/tcp/${addr}/http` : addr))
  ), {
    httpTimeout: 2000,
    httpRetry: QUICK,
    maxBlockSize: 1000,
    ...init
  })

  /** A publisher that knows some paths, and answers others with `otherwise`. */
  const publisher = async (paths: string[], otherwise = 404, found = (res: ServerResponse) => { res.end('found') }): ReturnType<typeof httpServer> =>
    await httpServer((req, res) => {
      if (paths.includes(req.url ?? '')) {
        found(res)
      } else {
        res.writeHead(otherwise).end('no\n')
      }
    })

  for (const status of [403, 404]) {
    it(`asks under the shorter path after ${status}, and remembers it`, async () => {
      await using server = await publisher(['/head', `/${cid}`], status)
      const publisherFetcher = fetcher([server.port])
      equal(text(await publisherFetcher.head()), 'found')
      for (let i = 0; i < 3; i++) { equal(text(await publisherFetcher.block(cid)), 'found') }
      deepEqual(server.requests, ['GET /ipni/v1/ad/head', 'GET /head', ...Array(3).fill(`GET /${cid}`)])
    })
  }

  it('asks under the shorter path, too, for what was under way when another request found it', async () => {
    const other = CID.createV1(0x71, cid.multihash)
    const held = Promise.withResolvers<void>()
    await using server = await httpServer(({ url }, res) => {
      if (url === `/ipni/v1/ad/${other}`) { void held.promise.then(() => { res.writeHead(404).end() }) } else {
        res.writeHead(url?.startsWith('/ipni/') === true ? 404 : 200).end('found')
      }
    })
    const publisherFetcher = fetcher([server.port])
    const late = publisherFetcher.block(other)
    equal(text(await publisherFetcher.block(cid)), 'found')
    held.resolve()
    equal(text(await late), 'found')
    deepEqual(server.requests.sort(), [`GET /${cid}`, `GET /${other}`, `GET /ipni/v1/ad/${cid}`, `GET /ipni/v1/ad/${other}`].sort())
  })

  for (const status of [204, 304, 400, 401, 410, 500]) {
    it(`does not ask under the shorter path after ${status}`, async () => {
      await using server = await publisher([], status)
      const head = fetcher([server.port], { httpRetry: false }).head()
      await (status === 204 ? head : rejects(head, { name: 'HttpStatusError', status }))
      deepEqual(server.requests, ['GET /ipni/v1/ad/head'])
    })
  }

  it('asks once for a block that is missing where the path is known', async () => {
    await using server = await publisher(['/ipni/v1/ad/head'])
    const known = fetcher([server.port])
    await known.head()
    for (let i = 0; i < 3; i++) { await rejects(known.block(cid), { name: 'ContentNotFoundError', cid }) }
    deepEqual(server.requests, ['GET /ipni/v1/ad/head', ...Array(3).fill(`GET /ipni/v1/ad/${cid}`)])
  })

  it('says what is missing under both paths, whatever the refusal under the other', async () => {
    for (const [long, short, name] of [
      [404, 404, 'ContentNotFoundError'], [404, 403, 'ContentNotFoundError'], [403, 404, 'ContentNotFoundError'],
      [404, 400, 'ContentNotFoundError'], [403, 403, 'HttpStatusError'], [404, 500, 'HttpStatusError']
    ] as const) {
      await using server = await httpServer((req, res) => { res.writeHead(req.url?.startsWith('/ipni') === true ? long : short).end() })
      await rejects(fetcher([server.port], { httpRetry: false }).block(cid), { name }, `${long} ${short}`)
      equal(server.requests.length, 2)
    }
    await using server = await publisher([])
    await rejects(fetcher([server.port]).head(), { name: 'HttpStatusError', status: 404 })
  })

  it('asks for a head under the other path again: the publisher may have changed', async () => {
    let paths = ['/head']
    await using server = await httpServer((req, res) => { res.writeHead(paths.includes(req.url ?? '') ? 200 : 404).end('found') })
    const known = fetcher([server.port])
    await known.head()
    paths = ['/ipni/v1/ad/head']
    equal(text(await known.head()), 'found')
    equal(text(await known.head()), 'found')
    deepEqual(server.requests.slice(2), ['GET /head', 'GET /ipni/v1/ad/head', 'GET /ipni/v1/ad/head'])
  })

  it('joins the path of the address as Go does', async () => {
    await using server = await publisher([], 204)
    for (const path of ['a%2Fb', '%2Fa%2Fb%2F', 'a%2F%2Fb']) {
      await fetcher([`/ip4/127.0.0.1/tcp/${server.port}/http/http-path/${path}`]).head()
    }
    await fetcher([`/ip4/127.0.0.1/tcp/${server.port}/http/httpath/a%2Fb`]).head()
    deepEqual(server.requests, Array(4).fill('GET /a/b/ipni/v1/ad/head'))
  })

  it('takes an address that has the path in it already, as those for v0.3.2 clients have', async () => {
    await using server = await publisher([], 204)
    await fetcher([`/ip4/127.0.0.1/tcp/${server.port}/http/httpath/ipni%2Fv1%2Fad`]).head()
    deepEqual(server.requests, ['GET /ipni/v1/ad/head'])
  })

  it('asks with the CID as it was published, in one path segment', async () => {
    await using server = await publisher([], 404)
    const known = fetcher([server.port], { httpRetry: false })
    const slashed = `${'mAX'}/+=`
    for (const published of [cid.toString(base58btc), cid.toString(base64), slashed]) {
      await rejects(known.block(cid, { text: published }), { name: 'ContentNotFoundError' })
      equal(decodeURIComponent(server.requests.at(-1)?.slice('GET /'.length) ?? ''), published)
      equal(server.requests.at(-1)?.split('/').length, 2)
    }
  })

  it('says what kind of block it asks for when that is known, never for a head', async () => {
    const seen: unknown[] = []
    await using server = await httpServer((req, res) => { seen.push(req.headers['ipni-cid-schema-type']); res.end('x') })
    const known = fetcher([server.port])
    await known.head()
    await known.block(cid)
    await known.block(cid, { schemaType: 'Advertisement' })
    await known.block(cid, { schemaType: 'EntryChunk' })
    deepEqual(seen, [undefined, undefined, 'Advertisement', 'EntryChunk'])
  })

  it('asks for a head only if it changed, when the publisher gives an ETag', async () => {
    const seen: unknown[] = []
    let etag = '"1"'
    await using server = await httpServer((req, res) => {
      seen.push(req.headers['if-none-match'])
      const same = req.headers['if-none-match'] === etag
      res.writeHead(same ? 304 : 200, { etag }).end(same ? undefined : `head ${etag}`)
    })
    const known = fetcher([server.port])
    const first = await known.head()
    equal(text(first), 'head "1"')
    equal(await known.head(), first)
    etag = 'W/"2"'
    equal(text(await known.head()), 'head W/"2"')
    etag = 'not an etag'
    await known.head()
    await known.head()
    deepEqual(seen, [undefined, '"1"', '"1"', 'W/"2"', undefined])
  })

  it('knows what has not changed, though another answer came meanwhile', async () => {
    const asked = Promise.withResolvers<void>()
    const answered = Promise.withResolvers<void>()
    await using server = await httpServer((req, res) => {
      if (server.requests.length === 1) {
        res.writeHead(200, { etag: '"1"' }).end('first')
      } else if (server.requests.length > 2) {
        res.end('without ETag')
      } else {
        asked.resolve()
        void answered.promise.then(() => { res.writeHead(req.headers['if-none-match'] === '"1"' ? 304 : 500).end() })
      }
    })
    const known = fetcher([server.port], { httpRetry: false })
    const first = await known.head()
    const same = known.head()
    await asked.promise
    equal(text(await known.head()), 'without ETag')
    answered.resolve()
    equal(await same, first)
  })

  it('goes to the next address on a transport error only, and stays there', async () => {
    const closed = await closedPort()
    await using reset = await rawServer(socket => { socket.resetAndDestroy(); return undefined })
    await using silent = await rawServer(() => undefined)
    await using good = await publisher(['/ipni/v1/ad/head', `/ipni/v1/ad/${cid}`])
    const known = fetcher([closed, reset.port, silent.port, good.port], { httpTimeout: 300, httpRetry: false })
    equal(String(known.workingAddr), 'undefined')
    equal(text(await known.head()), 'found')
    equal(known.workingAddr?.toString(), `/ip4/127.0.0.1/tcp/${good.port}/http`)
    await known.block(cid)
    deepEqual([reset.requests.length, silent.requests.length, good.requests.length], [1, 1, 2])

    await using failing = await publisher([], 500)
    await rejects(fetcher([failing.port, good.port], { httpRetry: false }).head(), { name: 'HttpStatusError', status: 500 })
    equal(good.requests.length, 2)
  })

  it('goes back to the first address when the one it uses fails', async () => {
    let up = false
    await using first = await rawServer(socket => {
      if (!up) { socket.resetAndDestroy(); return undefined }
      return 'HTTP/1.1 204 No Content\r\n\r\n'
    })
    await using second = await rawServer(socket => {
      if (up) { socket.resetAndDestroy(); return undefined }
      return 'HTTP/1.1 204 No Content\r\n\r\n'
    })
    const known = fetcher([first.port, second.port])
    for (const now of [false, true, false, true]) {
      up = now
      await known.head()
      equal(known.workingAddr?.toString().includes(`/${(up ? first : second).port}/`), true)
    }
  })

  it('leaves out the addresses that it cannot use, and says so when none is left', () => {
    throws(() => fetcher(['/ip4/127.0.0.1/tcp/1', '/p2p-circuit', '/dnsaddr/example.com/http']), err => {
      equal((err as Error).name, 'TransportUnavailableError')
      equal((err as { tried: string[] }).tried.length, 3)
      return true
    })
    throws(() => fetcher([]), { name: 'TransportUnavailableError' })
    ok(fetcher(['/dnsaddr/example.com/http', '/ip4/127.0.0.1/tcp/1/http']))
  })

  it('tries again after 429, 5xx and transport errors, and gives up with what came last', async () => {
    let answers: number[] = []
    await using server = await httpServer((req, res) => {
      const status = answers.shift() ?? 200
      if (status === 0) { req.socket.destroy() } else { res.writeHead(status).end('body') }
    })
    const known = fetcher([server.port])
    answers = [503, 429, 0]
    equal(text(await known.block(cid)), 'body')
    answers = [500, 500, 500, 502]
    await rejects(known.block(cid), { name: 'HttpStatusError', status: 502, url: `http://127.0.0.1:${server.port}/ipni/v1/ad/${cid}` })
    answers = [0, 0, 0, 0, 0, 0, 0, 0]
    await rejects(known.block(cid), { name: 'TransferFailedError' })
    answers = [400]
    server.requests.length = 0
    await rejects(known.block(cid), { name: 'HttpStatusError', status: 400 })
    equal(server.requests.length, 1)
    answers = [500]
    await rejects(fetcher([server.port], { httpRetry: false }).block(cid), { name: 'HttpStatusError', status: 500 })
  })

  it('does not try again what cannot become better', async () => {
    await using server = await httpServer((_, res) => { res.end('x'.repeat(1001)) })
    await rejects(fetcher([server.port]).block(cid), { name: 'BlockTooLargeError' })
    equal(server.requests.length, 1)
  })

  it('tries again after a time-out, and names the last one', async () => {
    await using silent = await rawServer(() => undefined)
    const asked = fetcher([silent.port], { httpTimeout: 30, httpRetry: { ...QUICK, retries: 1 } })
    await rejects(asked.block(cid), { name: 'TimeoutError', limit: 'httpTimeout' })
    equal(silent.requests.length, 2)
  })

  it('ends the wait for a retry on abort and on stop()', { timeout: 20_000 }, async () => {
    const reason = new Error('enough')
    const controller = new AbortController()
    const running: Fetcher[] = []
    await using server = await httpServer((_, res) => {
      res.writeHead(503, { 'retry-after': '300' }).end()
      setTimeout(() => { controller.abort(reason); running.pop()?.stop() }, 50)
    })
    const slow = { retries: 3, minDelay: 1, maxDelay: 300_000 }
    await rejects(fetcher([server.port], { httpRetry: slow }).head({ signal: controller.signal }), err => err === reason)
    const stopped = fetcher([server.port], { httpRetry: slow })
    running.push(stopped)
    await rejects(stopped.head(), { name: 'TransferFailedError', message: /stopped/ })
  })
})

describe('the preferred address', () => {
  it('is tried again after a minute, then after twice as long each time it fails', () => {
    const bases = httpBases(peerId, ['/dns/a/tcp/1/http', '/dns/b/tcp/1/http'].map(addr => multiaddr(addr)))
    const a = bases.first()
    bases.failed(a, 0)
    const [b] = bases.after(a)
    bases.succeeded(b)
    equal(bases.first(59_999), b)
    equal(bases.first(60_000), a)
    bases.failed(a, 60_000)
    bases.failed(a, 60_001) // another request of the same moment: that is one failure
    equal(bases.first(179_999), b)
    equal(bases.first(180_000), a)
    bases.succeeded(a)
    equal(bases.worked?.toString(), '/dns/a/tcp/1/http')
    bases.failed(a, 200_000)
    bases.succeeded(b)
    equal(bases.first(259_999), b)
    equal(bases.first(260_000), a) // a minute again: it has answered between
  })
})

describe('retry delays', () => {
  it('double, half of it random, up to the limit', () => {
    for (let attempt = 0; attempt < 5; attempt++) {
      const ms = retryDelay(attempt, { retries: 9, minDelay: 100, maxDelay: 1000 })
      ok(ms >= Math.min(50 * 2 ** attempt, 1000) && ms <= Math.min(100 * 2 ** attempt, 1000), String(ms))
    }
  })

  it('are no less than Retry-After in seconds or as a date, within the limit', () => {
    const init = { retries: 9, minDelay: 1, maxDelay: 10_000 }
    equal(retryDelay(0, init, '3'), 3000)
    equal(retryDelay(0, init, '3600'), 10_000)
    equal(retryDelay(0, init, 'Mon, 23 Nov 2026 00:00:04 GMT', Date.UTC(2026, 10, 23)), 4000)
    for (const useless of ['', 'soon', '-5', 'Mon, 23 Nov 2020 00:00:00 GMT']) { ok(retryDelay(0, init, useless) <= 1) }
  })

  it('leave no listener behind', async () => {
    const { signal } = new AbortController()
    for (let i = 0; i < 50; i++) { await delay(0, signal, undefined) }
    equal(getEventListeners(signal, 'abort').length, 0)
    await rejects(delay(1000, AbortSignal.abort('x')), err => err === 'x')
  })
})
