import type { AbortOptions, Libp2p, PeerId, Stream } from '@libp2p/interface'
import { Deadline } from '../../shared/deadline.ts'
import { DagsyncError, TransferFailedError } from '../../shared/errors.ts'
import { tuneConnection } from '../streams.ts'
import { headBytes, writeRequestHead } from './head.ts'
import type { HttpHeaders } from './head.ts'
import { StreamPool } from './pool.ts'

const IDLE_TIMEOUT = 60_000
const MAX_IDLE = 2

/** How often idle streams are looked at, in milliseconds. */
const SWEEP_INTERVAL = 1_000

/** Servers that close their streams, as far as we remember. */
const MAX_CLOSERS = 1_024

export interface HttpStreamClientInit {
  /**
   * How long a stream is kept for the next request, in milliseconds.
   *
   * @default 60_000
   */
  idleTimeout?: number

  /**
   * Streams that are kept for one peer and its protocols. With 0 every request is sent as the last one of its stream.
   *
   * @default 2
   */
  maxIdle?: number

  /**
   * Whether the next stream is opened while a request is under way, where the server is known to close each one after its answer, as
   * Go's does: opening one costs a round trip.
   *
   * @default false
   */
  openAhead?: boolean
}

export interface StreamRequestInit extends AbortOptions {
  /** @default 'GET' */
  method?: string

  /** As it stands on the request line. */
  target: string

  /** A Host other than the peer id, and what else is to be sent. */
  headers?: Record<string, string>

  /** From the call to the last byte of the body, connecting included; milliseconds. */
  timeout: number

  /** In bytes. */
  maxBodySize: number

  /** Names the body in errors. */
  what?: string

  /** Statuses whose body is dropped, and the stream given up where it is long: the body stays empty. Absent: none. */
  skipBody?: (status: number) => boolean

  /** Told before so many bytes of the body, in all, are held; what it throws ends the request. */
  onBody?: (size: number) => void

  /**
   * Names the time limit in errors.
   *
   * @default 'timeout'
   */
  limit?: string
}

/** What is used of a node. */
export type Dialer = Pick<Libp2p, 'dialProtocol'> & Partial<Pick<Libp2p, 'getConnections'>>

/** A whole response. */
export interface StreamResponse {
  status: number
  headers: HttpHeaders
  body: Uint8Array
}

/**
 * Asks over HTTP/1.1 on streams of libp2p: one request at a time on each, and streams are kept for the requests to come, since
 * opening one costs more than a request. As many requests as one likes may be under way: those beyond the streams that libp2p gives
 * wait for one, in order. Needs no start.
 */
export class HttpStreamClient {
  private readonly libp2p: Dialer
  private readonly idleTimeout: number
  private readonly maxIdle: number
  private readonly openAhead: boolean
  private readonly pools = new Map<string, StreamPool>()
  private readonly closers = new Set<string>() // the oldest first
  private readonly running = new Set<Deadline>()
  private sweeper: ReturnType<typeof setTimeout> & { unref?: () => void } | undefined
  private ended = false

  constructor (components: { libp2p: Dialer }, init: HttpStreamClientInit = {}) {
    this.libp2p = components.libp2p
    this.idleTimeout = init.idleTimeout ?? IDLE_TIMEOUT
    this.maxIdle = init.maxIdle ?? MAX_IDLE
    this.openAhead = init.openAhead === true && this.maxIdle > 0
  }

  /** After stop(): requests fail, and trying again is of no use. */
  get stopped (): boolean {
    return this.ended
  }

  /**
   * Asks once, over the first of the protocols that the peer speaks; a second time, on a new stream, when a kept one turns out to be
   * closed. A status is not an error.
   *
   * @throws {TransferFailedError} no connection, none of the protocols, a stream that broke; after stop()
   * @throws {InvalidMessageError} the answer is not HTTP, or not whole
   * @throws {BlockTooLargeError} the body is larger than `maxBodySize`
   * @throws {TimeoutError} and the signal's reason
   */
  async request (peer: PeerId, protocols: string[], init: StreamRequestInit): Promise<StreamResponse> {
    const { method = 'GET', timeout, maxBodySize, what, skipBody, onBody, limit = 'timeout' } = init
    const deadline = new Deadline(limit, timeout, init.signal)
    this.running.add(deadline)
    let pool: StreamPool | undefined
    try {
      if (this.ended) { throw stoppedError() }
      const head = headBytes(writeRequestHead(method, init.target, this.headers(peer, init)))
      const options = { maxBodySize, what, skipBody, onBody, bodyless: method === 'HEAD' }
      const key = keyOf(peer, protocols)
      pool = this.pool(key, peer, protocols)
      pool.enter()
      for (let fresh = false; ; fresh = true) {
        const waiting = pool.acquire(deadline, fresh)
        const stream = waiting instanceof Promise ? await waiting : waiting
        const { response, used } = stream
        try {
          const exchanged = stream.exchange(head, options, deadline, timeout)
          if (this.closers.has(key)) { pool.prepare(timeout) } // the request is on its way
          await exchanged
          if (this.openAhead) { this.note(key, !response.keepAlive) }
          return { status: response.status, headers: response.headers, body: response.takeBody() }
        } catch (err) {
          // The server closed a kept stream just when we used it: not this request's fault.
          if (!used || response.started || deadline.ended != null) { throw err }
        } finally {
          pool.release(stream)
        }
      }
    } catch (err) {
      deadline.check()
      throw err instanceof DagsyncError ? err : failed(peer, protocols, err)
    } finally {
      pool?.exit()
      this.running.delete(deadline)
      deadline.clear()
    }
  }

  /** Takes a stream that is open and was not used, for a request that comes soon. */
  adopt (peer: PeerId, protocols: string[], stream: Stream): void {
    if (this.ended) { return stream.abort(stoppedError()) }
    this.tune(peer)
    this.pool(keyOf(peer, protocols), peer, protocols).adopt(stream)
  }

  /** Ends the requests under way, and every stream. Requests fail from then on. */
  stop (): void {
    this.ended = true
    clearTimeout(this.sweeper)
    for (const deadline of this.running) { deadline.end(stoppedError()) }
    for (const pool of this.pools.values()) { pool.stop(stoppedError()) }
    this.pools.clear()
  }

  /** Names and values in turn. */
  private headers (peer: PeerId, { headers = {} }: StreamRequestInit): string[] {
    const lines = ['Host', headers.Host ?? String(peer), 'Connection', this.maxIdle > 0 ? 'keep-alive' : 'close']
    for (const name of Object.keys(headers)) {
      if (name !== 'Host') { lines.push(name, headers[name]) }
    }
    return lines
  }

  private pool (key: string, peer: PeerId, protocols: string[]): StreamPool {
    const kept = this.pools.get(key)
    if (kept != null) { return kept }
    const pool: StreamPool = new StreamPool({
      open: async signal => {
        const { libp2p } = this
        const connection = libp2p.getConnections?.(peer).find(({ status, limits }) => status === 'open' && limits == null)
        const stream = await (connection?.newStream(protocols, { signal }) ?? libp2p.dialProtocol(peer, protocols, { signal }))
        this.tune(peer)
        return stream
      },
      idleTimeout: this.idleTimeout,
      maxIdle: this.maxIdle,
      onIdle: () => { this.sweepLater() },
      onEmpty: () => { this.pools.delete(key) }
    })
    this.pools.set(key, pool)
    return pool
  }

  private tune (peer: PeerId): void {
    this.libp2p.getConnections?.(peer).forEach(tuneConnection)
  }

  /** One timer for all that idles: streams come and go with every request. */
  private sweepLater (): void {
    if (this.sweeper != null) { return }
    this.sweeper = setTimeout(() => {
      this.sweeper = undefined
      const now = performance.now()
      for (const pool of this.pools.values()) {
        pool.sweep(now)
        if (pool.hasIdle) { this.sweepLater() }
      }
    }, Math.min(SWEEP_INTERVAL, this.idleTimeout))
    this.sweeper.unref?.()
  }

  private note (key: string, closes: boolean): void {
    this.closers.delete(key)
    if (!closes) { return }
    this.closers.add(key)
    if (this.closers.size > MAX_CLOSERS) { this.closers.delete(this.closers.values().next().value as string) }
  }
}

function keyOf (peer: PeerId, protocols: string[]): string {
  return `${peer} ${protocols.join(' ')}`
}

function stoppedError (): TransferFailedError {
  return new TransferFailedError('the HTTP client is stopped')
}

function failed (peer: PeerId, protocols: string[], cause: any): TransferFailedError {
  const problem = cause?.name === 'UnsupportedProtocolError' ? `it speaks none of ${protocols.join(', ')}` : cause?.message ?? String(cause)
  return new TransferFailedError(`request to ${peer} failed: ${problem}`, { cause })
}
