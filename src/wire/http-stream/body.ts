import { BlockTooLargeError, InvalidMessageError } from '../../shared/errors.ts'
import { HttpHeaders, parseHeaderLine } from './head.ts'

const CR = 13
const LF = 10

// Bytes of a line between chunks: a size and extensions that nobody uses.
const MAX_CHUNK_LINE = 256
const MAX_TRAILERS = 8192
const CHUNK_LINE = /^([0-9a-fA-F]{1,8})[ \t]*(?:;[\t -~]*)?$/

/** Takes the bytes of one body as they come. */
export interface BodyReader {
  readonly done: boolean

  /** Reads chunk[at, to) and returns where it stopped; less than `to` only when done. */
  push(chunk: Uint8Array, at: number, to: number): number

  /** The other side has closed. Throws InvalidMessageError when the body is not whole. */
  end(): void

  take(): Uint8Array
}

const EMPTY = new Uint8Array(0)

/** What a body goes into: limited, and copied, since the chunks may be overwritten by what is read next. */
export class Collector {
  private bytes = EMPTY
  private size = 0
  private readonly what: string
  private readonly limit: number
  private readonly keep: boolean
  private readonly onBody: ((size: number) => void) | undefined

  /** Without `keep` it only counts. `onBody` is told before so many bytes, in all, are allocated. */
  constructor (what: string, limit: number, keep = true, onBody?: (size: number) => void) {
    this.what = what
    this.limit = limit
    this.keep = keep
    this.onBody = onBody
  }

  /** Throws BlockTooLargeError, before anything is allocated, when so many bytes more are over the limit. */
  check (more: number): void {
    if (more > this.limit - this.size) {
      throw new BlockTooLargeError(this.what, this.limit)
    }
  }

  /** Makes room for a body of known length at once. */
  reserve (length: number): void {
    this.check(length)
    if (!this.keep) { return }
    this.onBody?.(length)
    this.bytes = new Uint8Array(length)
  }

  add (chunk: Uint8Array): void {
    this.check(chunk.length)
    const size = this.size + chunk.length
    if (this.keep) {
      if (size > this.bytes.length) { this.grow(size) }
      this.bytes.set(chunk, this.size)
    }
    this.size = size
  }

  take (): Uint8Array {
    return !this.keep || this.size === this.bytes.length ? this.bytes : this.bytes.slice(0, this.size)
  }

  private grow (size: number): void {
    const length = Math.min(this.limit, Math.max(size, 2 * this.bytes.length))
    this.onBody?.(length)
    const grown = new Uint8Array(length)
    grown.set(this.bytes.subarray(0, this.size))
    this.bytes = grown
  }
}

/** No body. */
export const NO_BODY: BodyReader = { done: true, push: (_, at) => at, end: () => {}, take: () => EMPTY }

/** A body with Content-Length: one allocation, once its first byte is there. */
export class LengthBody implements BodyReader {
  done: boolean
  private readonly length: number
  private readonly into: Collector
  private left: number

  constructor (length: number, into: Collector) {
    into.check(length)
    this.length = length
    this.into = into
    this.left = length
    this.done = length === 0
  }

  push (chunk: Uint8Array, at: number, to: number): number {
    if (this.left === this.length) { this.into.reserve(this.length) }
    const end = Math.min(to, at + this.left)
    this.into.add(chunk.subarray(at, end))
    this.left -= end - at
    this.done = this.left === 0
    return end
  }

  end (): void {
    throw new InvalidMessageError(`HTTP body ends ${this.left} bytes early`)
  }

  take (): Uint8Array {
    return this.into.take()
  }
}

/** A body that ends where the connection does. */
export class EofBody implements BodyReader {
  done = false
  private readonly into: Collector

  constructor (into: Collector) {
    this.into = into
  }

  push (chunk: Uint8Array, at: number, to: number): number {
    this.into.add(chunk.subarray(at, to))
    return to
  }

  end (): void {
    this.done = true
  }

  take (): Uint8Array {
    return this.into.take()
  }
}

/** Transfer-Encoding: chunked; trailers are read, checked and dropped. */
export class ChunkedBody implements BodyReader {
  done = false
  private readonly into: Collector
  private state: 'size' | 'data' | 'data-end' | 'trailer' = 'size'
  private line = ''
  private left = 0
  private trailers = 0

  constructor (into: Collector) {
    this.into = into
  }

  push (chunk: Uint8Array, at: number, to: number): number {
    while (at < to && !this.done) {
      if (this.state === 'data') {
        const end = Math.min(to, at + this.left)
        this.into.add(chunk.subarray(at, end))
        this.left -= end - at
        at = end
        if (this.left === 0) { this.state = 'data-end' }
      } else {
        this.character(chunk[at++])
      }
    }
    return at
  }

  end (): void {
    throw new InvalidMessageError('HTTP body ends inside its chunks')
  }

  take (): Uint8Array {
    return this.into.take()
  }

  private character (byte: number): void {
    if (byte !== LF) {
      this.line += String.fromCharCode(byte)
      if (this.line.length > (this.state === 'trailer' ? MAX_TRAILERS : MAX_CHUNK_LINE)) {
        throw new InvalidMessageError('HTTP chunk line is too long')
      }
      return
    }
    if (this.line.charCodeAt(this.line.length - 1) !== CR) {
      throw new InvalidMessageError('HTTP chunk line without CR')
    }
    const line = this.line.slice(0, -1)
    this.line = ''
    this.endLine(line)
  }

  private endLine (line: string): void {
    if (this.state === 'size') {
      const match = CHUNK_LINE.exec(line)
      if (match == null) {
        throw new InvalidMessageError('not a size of an HTTP chunk')
      }
      this.left = parseInt(match[1], 16)
      this.into.check(this.left)
      this.state = this.left === 0 ? 'trailer' : 'data'
    } else if (this.state === 'data-end') {
      if (line !== '') {
        throw new InvalidMessageError('HTTP chunk is longer than its size')
      }
      this.state = 'size'
    } else if (line === '') {
      this.done = true
    } else {
      this.trailers += line.length
      if (this.trailers > MAX_TRAILERS) {
        throw new InvalidMessageError('HTTP trailers are too long')
      }
      parseHeaderLine(line, new HttpHeaders())
    }
  }
}
