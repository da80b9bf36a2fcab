import type { AbortOptions, Libp2p, PeerId } from '@libp2p/interface'
import { Deadline } from '../../shared/deadline.ts'
import { DagsyncError, TransferFailedError } from '../../shared/errors.ts'
import { ClientStream } from './client-stream.ts'
import { headBytes, writeRequestHead } from './head.ts'
import type { HttpHeaders } from './head.ts'

const IDLE_TIMEOUT = 60_000
const MAX_IDLE = 2

/** A stream that was opened ahead and not used: the requests are over. */
const AHEAD_TIMEOUT = 2_000

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

  /**
   * Names the time limit in errors.
   *
   * @default 'timeout'
   */
  limit?: string
}

/** A whole response. */
export interface StreamResponse {
  status: number
  headers: HttpHeaders
  body: Uint8Array
}

/**
 * Asks over HTTP/1.1 on streams of libp2p: one request at a time on each, and streams are kept for the requests to come, since
 * opening one costs more than a request. Needs no start.
 */
export class HttpStreamClient {
  private readonly libp2p: Pick<Libp2p, 'dialProtocol'>
  private readonly idleTimeout: number
  private readonly maxIdle: number
  private readonly openAhead: boolean
  private readonly idle = new Map<string, ClientStream[]>() // the last one is the freshest
  private readonly ahead = new Map<string, Array<Promise<ClientStream | undefined>>>()
  private readonly closers = new Set<string>() // the oldest first
  private readonly running = new Set<Deadline>()
  private ended = false

  constructor (components: { libp2p: Pick<Libp2p, 'dialProtocol'> }, init: HttpStreamClientInit = {}) {
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
    const { method = 'GET', timeout, maxBodySize, what, skipBody, limit = 'timeout' } = init
    const deadline = new Deadline(limit, timeout, init.signal)
    this.running.add(deadline)
    try {
      if (this.ended) { throw stoppedError() }
      const head = headBytes(writeRequestHead(method, init.target, this.headers(peer, init)))
      const options = { maxBodySize, what, skipBody, bodyless: method === 'HEAD' }
      const key = `${peer} ${protocols.join(' ')}`
      for (let fresh = false; ; fresh = true) {
        const waiting = fresh ? undefined : this.takeIdle(key) ?? await this.takeAhead(key, deadline)
        const kept = waiting != null
        const opening = kept ? undefined : this.open(peer, protocols, deadline)
        if (this.closers.has(key)) { this.prepareNext(key, peer, protocols, timeout) }
        const stream = waiting ?? await opening as ClientStream
        const { response } = stream
        try {
          await stream.exchange(head, options, deadline, timeout)
          return { status: response.status, headers: response.headers, body: response.takeBody() }
        } catch (err) {
          // The server closed a kept stream just when we used it: not this request's fault.
          if (!kept || response.started || deadline.ended != null) { throw err }
        } finally {
          this.release(key, stream)
        }
      }
    } catch (err) {
      deadline.check()
      throw err instanceof DagsyncError ? err : failed(peer, protocols, err)
    } finally {
      this.running.delete(deadline)
      deadline.clear()
    }
  }

  /** Ends the requests under way, and every stream. Requests fail from then on. */
  stop (): void {
    this.ended = true
    for (const deadline of this.running) { deadline.end(stoppedError()) }
    for (const stream of [...this.idle.values()].flat()) {
      stream.setBusy()
      stream.destroy(stoppedError())
    }
    this.idle.clear()
    this.closers.clear()
  }

  private headers (peer: PeerId, { headers }: StreamRequestInit): Array<[string, string]> {
    const connection = this.maxIdle > 0 ? 'keep-alive' : 'close'
    return Object.entries({ Host: String(peer), Connection: connection, ...headers })
  }

  private async open (peer: PeerId, protocols: string[], deadline: Deadline): Promise<ClientStream> {
    const controller = new AbortController()
    deadline.onEnd = reason => { controller.abort(reason) }
    try {
      deadline.check()
      const stream = new ClientStream(await this.libp2p.dialProtocol(peer, protocols, { signal: controller.signal }))
      if (deadline.ended != null) { stream.destroy(deadline.ended.reason) }
      deadline.check()
      return stream
    } finally {
      deadline.onEnd = undefined
    }
  }

  private takeIdle (key: string): ClientStream | undefined {
    const stream = this.idle.get(key)?.at(-1)
    if (stream != null) { this.forget(key, stream) }
    return stream
  }

  /** One that is being opened, when it is there; undefined: there is none, or it could not be opened. */
  private async takeAhead (key: string, deadline: Deadline): Promise<ClientStream | undefined> {
    const opening = this.ahead.get(key)?.shift()
    if (opening == null) { return undefined }
    const gone = Promise.withResolvers<never>()
    deadline.onEnd = gone.reject
    try {
      deadline.check()
      return await Promise.race([opening, gone.promise])
    } catch (err) {
      void opening.then(stream => { stream?.end() })
      throw err
    } finally {
      deadline.onEnd = undefined
    }
  }

  private prepareNext (key: string, peer: PeerId, protocols: string[], timeout: number): void {
    const others = this.ahead.get(key) ?? []
    if (others.length + (this.idle.get(key)?.length ?? 0) >= this.maxIdle) { return }
    const deadline = new Deadline('timeout', timeout)
    this.running.add(deadline)
    const opening = this.open(peer, protocols, deadline).catch(() => undefined).finally(() => {
      this.running.delete(deadline)
      deadline.clear()
    })
    this.ahead.set(key, [...others, opening])
    void opening.then(stream => {
      const left = this.ahead.get(key) ?? []
      const taken = !left.includes(opening)
      if (left.length > (taken ? 0 : 1)) {
        this.ahead.set(key, left.filter(other => other !== opening))
      } else {
        this.ahead.delete(key)
      }
      if (!taken && stream != null) { this.keep(key, stream, AHEAD_TIMEOUT) }
    })
  }

  private forget (key: string, stream: ClientStream): void {
    stream.setBusy()
    const left = this.idle.get(key)?.filter(other => other !== stream) ?? []
    if (left.length > 0) {
      this.idle.set(key, left)
    } else {
      this.idle.delete(key)
    }
  }

  private release (key: string, stream: ClientStream): void {
    if (this.openAhead && stream.response.done) { this.note(key, !stream.response.keepAlive) }
    this.keep(key, stream, this.idleTimeout)
  }

  private keep (key: string, stream: ClientStream, ms: number): void {
    const others = this.idle.get(key) ?? []
    if (this.ended || !stream.reusable || others.length >= this.maxIdle) {
      stream.end()
      return
    }
    this.idle.set(key, [...others, stream])
    stream.setIdle(ms, () => {
      this.forget(key, stream)
      stream.end()
    })
  }

  private note (key: string, closes: boolean): void {
    this.closers.delete(key)
    if (!closes) { return }
    this.closers.add(key)
    if (this.closers.size > MAX_CLOSERS) { this.closers.delete(this.closers.values().next().value as string) }
  }
}

function stoppedError (): TransferFailedError {
  return new TransferFailedError('the HTTP client is stopped')
}

function failed (peer: PeerId, protocols: string[], cause: any): TransferFailedError {
  const problem = cause?.name === 'UnsupportedProtocolError' ? `it speaks none of ${protocols.join(', ')}` : cause?.message ?? String(cause)
  return new TransferFailedError(`request to ${peer} failed: ${problem}`, { cause })
}
