// HTTP/1.1 over any stream of bytes, as far as dagsync needs it; strict where a lenient reader would let two
// readers see two different messages (RFC 9112). No node: modules: it also runs over libp2p streams.

import { BlockTooLargeError, InvalidMessageError } from '../../shared/errors.ts'
import { latin1 } from '../../shared/latin1.ts'
import { ChunkedBody, Collector, EofBody, LengthBody, NO_BODY } from './body.ts'
import { hasConnectionOption, parseRequestHead, parseResponseHead } from './head.ts'
import type { BodyReader } from './body.ts'
import type { HttpHeaders, RequestHead, ResponseHead } from './head.ts'

/** Node's own limit for a head. */
const MAX_HEAD_SIZE = 16 * 1024

// Of a body that nobody reads so much is drained to keep the connection; more costs more than a new one.
const MAX_SKIPPED = 64 * 1024

// 100 Continue, 103 Early Hints: a few before each response.
const MAX_INTERIM = 8

const TAB = 9
const LF = 10
const CR = 13
const DEL = 127

/** How one message is read. */
export interface MessageOptions {
  /** The largest body, in bytes, after chunking and before any content encoding. */
  maxBodySize: number

  /** Names the body in errors. @default 'the HTTP body' */
  what?: string

  /** The response to HEAD: without body, whatever its headers say. */
  bodyless?: boolean

  /** Statuses whose body is dropped, and the connection given up where it is long: the body stays empty. */
  skipBody?: (status: number) => boolean

  /** Told before so many bytes of the body, in all, are held; what it throws ends the message. */
  onBody?: (size: number) => void
}

/**
 * Reads one message after another from chunks of any size. begin(), push() until `done`, then read the fields.
 * Chunks are copied from, never kept.
 */
export class HttpParser {
  /** The message is whole. */
  done = false

  /** Whether the connection can carry another message after this one. */
  keepAlive = false

  /** Whether a byte of this message has come. */
  started = false

  private readonly role: 'request' | 'response'
  private options: MessageOptions = { maxBodySize: 0 }
  private head: (ResponseHead & RequestHead) | undefined
  private headText = ''
  private matched = 0 // bytes of CR LF CR LF seen so far
  private interim = 0
  private skipping = false
  private body: BodyReader | undefined

  constructor (role: 'request' | 'response') {
    this.role = role
  }

  get status (): number { return this.whole().status }
  get minor (): number { return this.whole().minor }
  get method (): string { return this.whole().method }
  get target (): string { return this.whole().target }
  get headers (): HttpHeaders { return this.whole().headers }

  begin (options: MessageOptions): void {
    this.options = options
    this.done = this.keepAlive = this.started = false
    this.head = this.body = undefined
    this.headText = ''
    this.matched = this.interim = 0
  }

  /** Reads chunk[0, to) and returns how many bytes belong to the message. Throws InvalidMessageError, BlockTooLargeError. */
  push (chunk: Uint8Array, to = chunk.length): number {
    let at = 0
    this.started ||= to > 0
    while (at < to && !this.done) {
      at = this.body == null ? this.pushHead(chunk, at, to) : this.pushBody(this.body, chunk, at, to)
    }
    return at
  }

  /** The other side has closed. Throws InvalidMessageError when the message is not whole. */
  end (): void {
    if (this.done) { return }
    if (this.body == null) {
      throw new InvalidMessageError(this.started ? 'connection closed inside the HTTP head' : 'connection closed before the HTTP head')
    }
    this.body.end()
    this.done = true
  }

  /** The body; once. */
  takeBody (): Uint8Array {
    const body = this.body ?? NO_BODY
    this.body = NO_BODY
    return body.take()
  }

  private whole (): ResponseHead & RequestHead {
    if (this.head == null) {
      throw new InvalidMessageError('no HTTP head yet')
    }
    return this.head
  }

  private pushHead (chunk: Uint8Array, at: number, to: number): number {
    const stop = Math.min(to, at + MAX_HEAD_SIZE - this.headText.length)
    const i = this.findEnd(chunk, at, stop)
    this.headText += latin1(chunk, at, i)
    if (this.matched === 4) {
      this.endHead()
    } else if (this.headText.length >= MAX_HEAD_SIZE) {
      throw new InvalidMessageError(`HTTP head is longer than ${MAX_HEAD_SIZE} bytes`)
    }
    return i
  }

  /** Where the head ends, or `to`. No control characters, and CR and LF as a pair only: request smuggling begins there. */
  private findEnd (chunk: Uint8Array, at: number, to: number): number {
    let matched = this.matched
    while (at < to && matched < 4) {
      const byte = chunk[at++]
      const afterCR = (matched & 1) === 1
      if (byte === (afterCR ? LF : CR)) {
        matched++
      } else if (afterCR || (byte < 32 && byte !== TAB) || byte === DEL) {
        throw new InvalidMessageError('HTTP head with a control character')
      } else {
        matched = 0
      }
    }
    this.matched = matched
    return at
  }

  private endHead (): void {
    const head = (this.role === 'response' ? parseResponseHead : parseRequestHead)(this.headText) as ResponseHead & RequestHead
    this.headText = ''
    this.matched = 0
    if (head.status < 200) {
      if (head.status === 101 || ++this.interim > MAX_INTERIM) {
        throw new InvalidMessageError(`HTTP status ${head.status} that was not asked for`)
      }
      return
    }
    this.head = head
    this.keepAlive = persists(head)
    this.body = this.frame(head)
    this.done = this.body.done
  }

  /** Which bytes are the body: RFC 9112 6.3. */
  private frame (head: ResponseHead & RequestHead): BodyReader {
    const { status, headers, minor } = head
    const encoding = headers.get('transfer-encoding')
    const length = headers.get('content-length')
    if (encoding != null && (encoding.toLowerCase() !== 'chunked' || minor === 0 || length != null)) {
      throw new InvalidMessageError('HTTP transfer encoding other than chunked alone')
    }
    if (length != null && !/^[0-9]+$/.test(length)) {
      throw new InvalidMessageError('HTTP content-length is not a number')
    }
    if (this.options.bodyless === true || status === 204 || status === 304) { return NO_BODY }

    const { what = 'the HTTP body', maxBodySize, skipBody, onBody } = this.options
    this.skipping = skipBody?.(status) === true
    const into = new Collector(what, this.skipping ? MAX_SKIPPED : maxBodySize, !this.skipping, onBody)
    if (encoding != null) { return new ChunkedBody(into) }
    if (length != null) { return this.lengthBody(Number(length), into) }
    if (this.role === 'request') { return NO_BODY }
    this.keepAlive = false
    return new EofBody(into)
  }

  private lengthBody (length: number, into: Collector): BodyReader {
    try {
      return new LengthBody(length, into)
    } catch (err) {
      this.giveUp(err)
      return NO_BODY
    }
  }

  /** An error over the limit of a body that nobody wants is not one: the connection is given up instead. */
  private pushBody (body: BodyReader, chunk: Uint8Array, at: number, to: number): number {
    try {
      at = body.push(chunk, at, to)
      this.done = body.done
      return at
    } catch (err) {
      this.giveUp(err)
      return to
    }
  }

  private giveUp (err: unknown): void {
    if (!this.skipping || !(err instanceof BlockTooLargeError)) { throw err }
    this.keepAlive = false
    this.done = true
    this.body = NO_BODY
  }
}

function persists ({ minor, headers }: ResponseHead): boolean {
  return minor === 1 ? !hasConnectionOption(headers, 'close') : hasConnectionOption(headers, 'keep-alive')
}
