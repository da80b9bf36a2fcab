import type { Stream } from '@libp2p/interface'
import { DagsyncError, InvalidMessageError, TimeoutError } from '../../shared/errors.ts'
import { WaitLimit } from '../../shared/wait-limit.ts'
import { send, StreamReader } from '../streams.ts'
import { endStream } from './end.ts'
import type { HttpAnswer, HttpHandler, HttpRequest } from './handler.ts'
import { hasConnectionOption, headBytes, writeResponseHead } from './head.ts'
import { HttpParser } from './parser.ts'
import type { Room } from './room.ts'

const IDLE_TIMEOUT = 60_000

/** Requests are small, and many streams may be open: so much may wait unread on each. */
const MAX_WINDOW = 256 * 1024

/** Whoever waits for the answer writes nothing meanwhile, and what the muxer has to say goes out with the answer. */
const HIGH_WATER = 0

/** A smaller body goes out in one piece with its head. */
const COPY_BELOW = 8 * 1024

const REASONS: Record<number, string> = {
  200: 'OK', 204: 'No Content', 304: 'Not Modified', 400: 'Bad Request', 404: 'Not Found', 414: 'URI Too Long', 500: 'Internal Server Error'
}

const BAD_REQUEST = plain(400, '400 Bad Request')
const NO_HOST = plain(400, '400 Bad Request: missing required Host header')
const INTERNAL_ERROR = plain(500, '500 Internal Server Error')

export interface ServeOptions {
  /**
   * Whether a stream is closed after each answer, unless the request says `Connection: keep-alive`. By default it is as HTTP/1.1 has
   * it: kept, unless the request says `Connection: close`.
   *
   * @default false
   */
  closeByDefault?: boolean

  /**
   * How long a request may take to come, its answer to be made, and the client to read nothing of it, in milliseconds each.
   *
   * @default 60_000
   */
  idleTimeout?: number

  /**
   * How long the client may leave its side of the stream open after the last answer, in milliseconds.
   *
   * @default 5_000
   */
  closeTimeout?: number
}

/** Answers the requests of one stream, one after another, until it is over. Bodies of requests are dropped. Does not throw. */
export async function serve (stream: Stream, handler: HttpHandler, options: ServeOptions, room: Room): Promise<void> {
  await new ServerStream(stream, handler, options, room).run()
}

class ServerStream {
  private readonly stream: Stream
  private readonly handler: HttpHandler
  private readonly options: ServeOptions
  private readonly room: Room
  private readonly timeout: number
  private readonly limit: WaitLimit
  private readonly reader: StreamReader
  private readonly request = new HttpParser('request')
  private readonly controller = new AbortController()
  private onGone: ((error: Error) => void) | undefined
  private rest: Uint8Array = new Uint8Array(0) // of the requests to come

  constructor (stream: Stream, handler: HttpHandler, options: ServeOptions, room: Room) {
    const timeout = options.idleTimeout ?? IDLE_TIMEOUT
    this.stream = stream
    this.handler = handler
    this.options = options
    this.room = room
    this.timeout = timeout
    this.limit = new WaitLimit(timeout, () => { stream.abort(new TimeoutError('idleTimeout', timeout)) })
    this.reader = new StreamReader(stream, { highWater: HIGH_WATER, maxWindow: MAX_WINDOW })
  }

  async run (): Promise<void> {
    const onClose = (): void => {
      this.onGone?.(closedError())
      this.controller.abort()
    }
    this.stream.addEventListener('close', onClose)
    try {
      for (let open = true; open;) { open = await this.next() }
      this.limit.stop()
      await endStream(this.stream, this.reader, this.options.closeTimeout)
    } catch (error: any) {
      this.stream.abort(error)
    } finally {
      this.limit.stop()
      this.stream.removeEventListener('close', onClose)
      this.reader.release()
    }
  }

  /** Answers one request, and gives whether another one may come. */
  private async next (): Promise<boolean> {
    const { request, room } = this
    try {
      if (!await this.read()) { return false }
    } catch (error) {
      if (!(error instanceof InvalidMessageError)) { throw error }
      return this.write(BAD_REQUEST, false, false)
    }
    const hasHost = request.minor === 0 || request.headers.get('host') != null
    const asked = hasConnectionOption(request.headers, 'keep-alive')
    const keep = hasHost && request.keepAlive && (asked || this.options.closeByDefault !== true)
    if (room.isFree) { room.take() } else { await room.takeLater(async freed => this.limited(freed)) } // its other answers are not read
    try {
      return await this.write(hasHost ? await this.answer() : NO_HOST, keep, asked)
    } finally {
      room.give()
    }
  }

  /** False: the client has closed its side. */
  private async read (): Promise<boolean> {
    const { request, reader, limit } = this
    limit.begin()
    request.begin({ maxBodySize: 0, skipBody: () => true })
    for (let chunk: Uint8Array | undefined = this.rest; chunk != null; chunk = await reader.read()) {
      const used = request.push(chunk)
      this.rest = chunk.subarray(used)
      if (request.done) {
        limit.done()
        return true
      }
    }
    return false
  }

  private async answer (): Promise<HttpAnswer> {
    const { method, target, headers } = this.request
    const request: HttpRequest = { method, path: target, headers, signal: this.controller.signal }
    try {
      const answer = this.handler.handle(request)
      return answer instanceof Promise ? await this.limited(answer) : answer
    } catch (error) {
      if (!this.controller.signal.aborted) { this.stream.log.error('could not answer %s %s - %e', method, target, error) }
      return INTERNAL_ERROR
    }
  }

  /** Resets the stream when the promise takes too long, and does not wait for it longer than the stream lives. */
  private async limited<T> (promise: Promise<T>): Promise<T> {
    const { promise: gone, reject } = Promise.withResolvers<never>()
    this.onGone = reject
    if (this.controller.signal.aborted) { reject(closedError()) } // it was reset while we came here: no event tells
    this.limit.begin()
    try {
      return await Promise.race([promise, gone])
    } finally {
      this.limit.done()
      this.onGone = undefined
    }
  }

  private async write ({ status, headers, body }: HttpAnswer, keep: boolean, asked: boolean): Promise<boolean> {
    const lines = ['Date', date(), ...headers]
    const isHead = this.request.done && this.request.method === 'HEAD'
    const hasLength = status === 204 || status === 304 || headers.some((name, i) => i % 2 === 0 && isContentLength(name))
    if (!hasLength && (body != null || !isHead)) { lines.push('Content-Length', String(body?.length ?? 0)) }
    if (!keep || asked) { lines.push('Connection', keep ? 'keep-alive' : 'close') }
    const head = writeResponseHead(status, lines, REASONS[status])
    const sent = send(this.stream, pieces(head, isHead ? undefined : body), { timeout: this.timeout })
    if (sent != null) { await this.taken(sent, body?.length ?? 0) }
    return keep
  }

  private async taken (sent: Promise<void>, bytes: number): Promise<void> {
    this.room.take(bytes)
    try {
      await sent
    } finally {
      this.room.give(bytes)
    }
  }
}

function closedError (): DagsyncError {
  return new DagsyncError('the stream is closed')
}

function pieces (head: string, body?: Uint8Array): Uint8Array[] {
  return body != null && body.length >= COPY_BELOW ? [headBytes(head), body] : [headBytes(head, body)]
}

function isContentLength (name: string): boolean {
  return name.length === 14 && name.toLowerCase() === 'content-length'
}

let dateOf = 0
let dateText = ''

/** Now, for a Date header: to the second. */
function date (): string {
  const second = Math.floor(Date.now() / 1_000)
  if (second !== dateOf) {
    dateOf = second
    dateText = new Date(second * 1_000).toUTCString()
  }
  return dateText
}

function plain (status: number, text: string): HttpAnswer {
  return { status, headers: ['Content-Type', 'text/plain; charset=utf-8'], body: new TextEncoder().encode(text) }
}
