import { lookup } from 'node:dns'
import { isIP } from 'node:net'
import { promisify } from 'node:util'
import { createUnzip } from 'node:zlib'
import { concat } from '../../shared/concat.ts'
import { BlockTooLargeError, DagsyncError, TransferFailedError } from '../../shared/errors.ts'
import { USER_AGENT } from '../../shared/constants.ts'
import { isPublicIp } from '../../shared/multiaddrs.ts'
import { writeRequestHead } from '../../wire/http-stream/head.ts'
import { Deadline } from '../../shared/deadline.ts'
import { createFetchClient } from './fetch-client.ts'
import { contentEncoding, isNoSuccess, stoppedError } from './http-client.ts'
import { ConnectionPool } from './pool.node.ts'
import { redirectTarget } from './redirects.ts'
import type { Connection } from './connection.node.ts'
import type { HttpClient, HttpClientInit, HttpRequestInit, HttpResponse } from './http-client.ts'
import type { LookupFunction } from 'node:net'

export type { HttpClient, HttpClientInit, HttpRequestInit, HttpResponse } from './http-client.ts'

const SWEEP_INTERVAL = 1000

type AllowIp = (ip: string) => boolean

/** Node's HTTP client: our own sockets, or the given fetch under the same rules. */
export function createHttpClient (init: HttpClientInit = {}): HttpClient {
  const { fetch, filterIPs = false } = init
  const allow = filterIPs === true ? isPublicIp : filterIPs
  if (fetch == null) { return new SocketClient(allow === false ? undefined : allow) }
  return createFetchClient(fetch, {
    headers: { 'User-Agent': USER_AGENT },
    checkHost: allow === false ? undefined : async host => { await checkAddresses(host, allow) }
  })
}

/** HTTP/1.1 over kept connections: near a bare socket in speed, where fetch and node:http cost as much as the sync itself. */
class SocketClient implements HttpClient {
  private readonly allow: AllowIp | undefined
  private readonly pools = new Map<string, ConnectionPool>()
  private sweeper: ReturnType<typeof setInterval> | undefined
  private stopping: Promise<unknown> | undefined

  constructor (allow: AllowIp | undefined) {
    this.allow = allow
  }

  get stopped (): boolean {
    return this.stopping != null
  }

  async request (url: URL | string, init: HttpRequestInit): Promise<HttpResponse> {
    const deadline = new Deadline('httpTimeout', init.timeout, init.signal)
    try {
      for (let followed = 0, at = new URL(url); ; followed++) {
        const response = await this.get(at, init, deadline)
        const next = redirectTarget(response.status, response.headers.get('location'), at, followed)
        if (next == null) { return await decoded(response, init) }
        at = next
      }
    } catch (err) {
      deadline.check()
      throw err instanceof DagsyncError && err.name !== 'InvalidMessageError' ? err : failed(url, err)
    } finally {
      deadline.clear()
    }
  }

  async stop (): Promise<void> {
    clearInterval(this.sweeper)
    this.stopping ??= Promise.all([...this.pools.values()].map(async pool => { await pool.stop(stoppedError()) }))
    await this.stopping
    this.pools.clear()
  }

  private async get (url: URL, init: HttpRequestInit, deadline: Deadline): Promise<HttpResponse> {
    const { method = 'GET', headers = {}, maxBodySize, onBody } = init
    const { href } = url
    const lines = ['Host', url.host, 'User-Agent', USER_AGENT, 'Accept-Encoding', 'gzip']
    for (const name of Object.keys(headers)) { lines.push(name, headers[name]) }
    const head = writeRequestHead(method, url.pathname + url.search, lines)
    const options = { maxBodySize, onBody, what: href, bodyless: method === 'HEAD', skipBody: isNoSuccess }
    for (let fresh = false; ; fresh = true) {
      const pool = this.pool(url)
      const waited = pool.acquire(deadline, fresh)
      const connection = waited instanceof Promise ? await waited : waited
      const kept = connection.used
      try {
        await connection.exchange(head, options, deadline)
        const { status, headers } = connection.response
        return { status, headers, body: connection.response.takeBody(), url: href }
      } catch (err) {
        // The server closed a kept connection just when we used it: not this request's fault.
        const stale = kept && !connection.response.started && deadline.ended == null
        if (!stale) { throw err }
      } finally {
        this.release(url, pool, connection)
      }
    }
  }

  private pool (url: URL): ConnectionPool {
    if (this.stopped) { throw stoppedError() }
    const tls = url.protocol === 'https:'
    let pool = this.pools.get(url.origin)
    if (pool == null) {
      const host = url.hostname.replace(/^\[|\]$/g, '')
      const ip = isIP(host) > 0
      if (ip && this.allow?.(host) === false) { throw notPublic(host) }
      pool = new ConnectionPool({
        host,
        port: url.port !== '' ? Number(url.port) : tls ? 443 : 80,
        tls,
        servername: ip ? undefined : host,
        lookup: this.allow == null ? undefined : filteredLookup(this.allow)
      })
      this.pools.set(url.origin, pool)
    }
    return pool
  }

  private release (url: URL, pool: ConnectionPool, connection: Connection): void {
    pool.release(connection)
    if (pool.empty) { this.pools.delete(url.origin) }
    if (pool.hasIdle && this.sweeper == null) {
      this.sweeper = setInterval(() => { this.sweep() }, SWEEP_INTERVAL)
      this.sweeper.unref()
    }
  }

  private sweep (): void {
    const now = performance.now()
    let idle = false
    for (const [origin, pool] of this.pools) {
      pool.sweep(now)
      idle ||= pool.hasIdle
      if (pool.empty) { this.pools.delete(origin) }
    }
    if (!idle) {
      clearInterval(this.sweeper)
      this.sweeper = undefined
    }
  }
}

/** The limit holds for what comes out, too: a small body may unzip to gigabytes. */
async function decoded (response: HttpResponse, { maxBodySize, onBody }: HttpRequestInit): Promise<HttpResponse> {
  const encoding = contentEncoding(response)
  if (encoding == null || response.body.length === 0) { return response }
  if (encoding !== 'gzip' && encoding !== 'x-gzip' && encoding !== 'deflate') {
    throw new TransferFailedError(`${response.url}: unknown content encoding ${encoding}`)
  }
  const parts: Uint8Array[] = []
  let size = 0
  const unzipping = createUnzip()
  unzipping.end(response.body)
  for await (const part of unzipping) { // of 16 KiB at most
    size += part.length
    if (size > maxBodySize) { throw new BlockTooLargeError(response.url, maxBodySize) }
    onBody?.(response.body.length + size) // nobody knows before how much it is
    parts.push(part)
  }
  return { ...response, body: parts.length === 1 ? new Uint8Array(parts[0]) : concat(parts) } // copied: it may be part of a buffer
}

/** What the socket connects to is what was checked: there is no second look-up. */
function filteredLookup (allow: AllowIp): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (err, addresses) => {
      const kept = addresses?.filter(({ address }) => allow(address)) ?? []
      if (err != null) {
        callback(err, [])
      } else if (kept.length === 0) {
        callback(notPublic(hostname), [])
      } else if (options.all === true) {
        callback(null, kept)
      } else {
        callback(null, kept[0].address, kept[0].family)
      }
    })
  }
}

/** Before a given fetch, which looks the name up again: so every address of the name must do. */
async function checkAddresses (host: string, allow: AllowIp): Promise<void> {
  const addresses = isIP(host) > 0 ? [{ address: host }] : await promisify(lookup)(host, { all: true })
  if (!addresses.every(({ address }) => allow(address))) { throw notPublic(host) }
}

function notPublic (host: string): TransferFailedError {
  return new TransferFailedError(`${host} has no address that filterIPs takes`)
}

function failed (url: URL | string, cause: unknown): TransferFailedError {
  const { message, code } = cause as { message?: string, code?: string }
  return new TransferFailedError(`request of ${url} failed: ${message || code}`, { cause })
}
