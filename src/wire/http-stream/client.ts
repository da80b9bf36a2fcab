import type { AbortOptions, Libp2p, PeerId } from '@libp2p/interface'
import { Deadline } from '../../shared/deadline.ts'
import { DagsyncError, TransferFailedError } from '../../shared/errors.ts'
import { ClientStream } from './client-stream.ts'
import { headBytes, writeRequestHead } from './head.ts'
import type { HttpHeaders } from './head.ts'

const IDLE_TIMEOUT = 60_000
const MAX_IDLE = 2

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
  private readonly idle = new Map<string, ClientStream[]>() // the last one is the freshest
  private readonly running = new Set<Deadline>()
  private stopped = false

  constructor (components: { libp2p: Pick<Libp2p, 'dialProtocol'> }, init: HttpStreamClientInit = {}) {
    this.libp2p = components.libp2p
    this.idleTimeout = init.idleTimeout ?? IDLE_TIMEOUT
    this.maxIdle = init.maxIdle ?? MAX_IDLE
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
    const { method = 'GET', timeout, maxBodySize, what } = init
    const deadline = new Deadline('timeout', timeout, init.signal)
    this.running.add(deadline)
    try {
      if (this.stopped) { throw stoppedError() }
      const head = headBytes(writeRequestHead(method, init.target, this.headers(peer, init)))
      const options = { maxBodySize, what, bodyless: method === 'HEAD' }
      const key = `${peer} ${protocols.join(' ')}`
      for (let fresh = false; ; fresh = true) {
        const stream = (fresh ? undefined : this.takeIdle(key)) ?? await this.open(peer, protocols, deadline)
        const kept = stream.used
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
    this.stopped = true
    for (const deadline of this.running) { deadline.end(stoppedError()) }
    for (const stream of [...this.idle.values()].flat()) {
      stream.setBusy()
      stream.destroy(stoppedError())
    }
    this.idle.clear()
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
    const others = this.idle.get(key) ?? []
    if (this.stopped || !stream.reusable || others.length >= this.maxIdle) {
      stream.end()
      return
    }
    this.idle.set(key, [...others, stream])
    stream.setIdle(this.idleTimeout, () => {
      this.forget(key, stream)
      stream.end()
    })
  }
}

function stoppedError (): TransferFailedError {
  return new TransferFailedError('the HTTP client is stopped')
}

function failed (peer: PeerId, protocols: string[], cause: any): TransferFailedError {
  const problem = cause?.name === 'UnsupportedProtocolError' ? `it speaks none of ${protocols.join(', ')}` : cause?.message ?? String(cause)
  return new TransferFailedError(`request to ${peer} failed: ${problem}`, { cause })
}
