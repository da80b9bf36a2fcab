import { ConnectionClosedError } from '@libp2p/interface'
import type { AbortOptions, Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface'
import { InvalidMessageError } from '../../shared/errors.ts'
import { isBroken } from './state.ts'
import { limitWindow } from './window.ts'

/** Bytes that wait for whoever reads; beyond them the stream is paused. */
const HIGH_WATER = 256 * 1024

/** Smaller chunks are put together: a sender of single bytes must not cost an object each. */
const SMALL = 512
const SCRATCH = 4096

/** Bytes that several readers hold together; the one that takes more than the limit is reset. */
export interface ByteBudget {
  used: number
  readonly limit: number
}

export interface StreamReaderInit {
  /**
   * Bytes that may wait for whoever reads, before the sender is held back; 0: it is, whenever nobody waits.
   *
   * @default 262_144
   */
  highWater?: number

  /**
   * What the muxer may let the remote send unread, in bytes; where the window begins higher it stays so.
   *
   * @default 4_194_304
   */
  maxWindow?: number

  /** Shared with other readers. */
  budget?: ByteBudget
}

interface Waiter {
  resolve(): void
  reject(error: unknown): void
}

/**
 * Reads a stream of libp2p by chunks, by length-prefixed frames or whole. One read at a time. The sender is held back while nobody
 * reads: at most `highWater`, the frame that is asked for and the muxer's window are held.
 */
export class StreamReader {
  private readonly stream: Stream
  private readonly highWater: number
  private readonly budget: ByteBudget | undefined
  private chunks: Uint8Array[] = []
  private head = 0
  private offset = 0
  private size = 0
  private wanted = 0
  private scratch = new Uint8Array(0)
  private scratchFrom = 0
  private scratchTo = 0
  private scratchIsLast = false
  private ended = false
  private cleanEnd = false
  private failure: { error: unknown } | undefined
  private paused = false
  private resuming = false
  private waiter: Waiter | undefined

  constructor (stream: Stream, init: StreamReaderInit = {}) {
    this.stream = stream
    this.highWater = init.highWater ?? HIGH_WATER
    this.budget = init.budget
    limitWindow(stream, init.maxWindow)
    if (isBroken(stream)) {
      this.failure = { error: new ConnectionClosedError(`the stream was ${stream.status}`) }
      return
    }
    this.cleanEnd = stream.remoteWriteStatus === 'closed'
    stream.addEventListener('message', this.onMessage)
    stream.addEventListener('remoteCloseWrite', this.onRemoteCloseWrite)
    stream.addEventListener('close', this.onClose)
    this.checkEnd() // the remote may have closed before: no event tells
  }

  /** Bytes that have come and were not read. */
  get buffered (): number {
    return this.size
  }

  /** The next bytes, as they came; undefined at the end. Answers at once, without a promise, when they are there. */
  read (options?: AbortOptions): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    if (options?.signal != null || this.failure != null) { return this.waitRead(options) }
    if (this.size > 0 || this.ended) { return this.takeChunk() }
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array | undefined>()
    this.wanted = 1
    this.waiter = {
      resolve: () => {
        this.wanted = 0
        this.waiter = undefined
        resolve(this.takeChunk())
      },
      reject
    }
    this.resume()
    return promise
  }

  /**
   * The next frame: a varint length and so many bytes; undefined at the end. Answers at once, without a promise, when it is there.
   *
   * @throws {InvalidMessageError} a frame over the limit, before anything is allocated for it; an end within a frame
   * @throws what the stream failed with, and the signal's reason
   */
  frame (limit: number, options?: AbortOptions): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    const length = this.peekLength(limit)
    if (length != null && this.size >= prefixSize(length) + length) { return this.takeFrame(length) }
    return this.waitFrame(limit, options)
  }

  /**
   * Everything up to the end.
   *
   * @throws {InvalidMessageError} more than `limit` bytes
   */
  async rest (limit: number, options?: AbortOptions): Promise<Uint8Array> {
    for (let more = true; more;) {
      more = await this.fill(this.size + 1, options)
      if (this.size > limit) { throw new InvalidMessageError(`more than ${limit} bytes in a message`) }
    }
    return this.take(this.size)
  }

  /** Lets go of the stream: nothing more is read. */
  release (): void {
    const { stream } = this
    stream.removeEventListener('message', this.onMessage)
    stream.removeEventListener('remoteCloseWrite', this.onRemoteCloseWrite)
    stream.removeEventListener('close', this.onClose)
    if (!this.ended) { this.fail(new ConnectionClosedError('the reader was released')) } // or no error, with its stack, is needed
    this.account(-this.size)
    this.chunks = []
  }

  private async waitRead (options?: AbortOptions): Promise<Uint8Array | undefined> {
    return await this.fill(1, options) ? this.takeChunk() : undefined
  }

  /** undefined at the end. */
  private takeChunk (): Uint8Array | undefined {
    return this.size > 0 ? this.take(Math.min(this.size, this.chunks[this.head].length - this.offset)) : undefined
  }

  private async waitFrame (limit: number, options?: AbortOptions): Promise<Uint8Array | undefined> {
    for (let need = 1; await this.fill(need, options);) {
      const length = this.peekLength(limit)
      need = length == null ? this.size + 1 : prefixSize(length) + length
      if (length != null && this.size >= need) { return this.takeFrame(length) }
    }
    if (this.size > 0) { throw new InvalidMessageError('the stream ended within a frame') }
    return undefined
  }

  private takeFrame (length: number): Uint8Array {
    const prefix = prefixSize(length)
    return this.take(prefix + length).subarray(prefix)
  }

  /** The length that the bytes in hand begin with; undefined when it is not whole. */
  private peekLength (limit: number): number | undefined {
    let value = 0
    let at = this.head
    let offset = this.offset
    for (let i = 0; i < this.size; i++, offset++) {
      while (offset === this.chunks[at].length) {
        at++
        offset = 0
      }
      const byte = this.chunks[at][offset]
      if (i > 4 || (i > 0 && byte === 0)) { throw new InvalidMessageError('the length of a frame is no varint') }
      value += (byte & 0x7f) * 2 ** (7 * i)
      if (value > limit) { throw new InvalidMessageError(`a frame over ${limit} bytes`) }
      if (byte < 0x80) { return value }
    }
    return undefined
  }

  /** Whether so many bytes are there, or the end came first. */
  private async fill (need: number, options?: AbortOptions): Promise<boolean> {
    const signal = options?.signal
    signal?.throwIfAborted()
    this.wanted = need
    const abort = (): void => { this.waiter?.reject(signal?.reason) }
    try {
      while (this.size < need && !this.ended) {
        if (this.failure != null) { throw this.failure.error }
        const { promise, resolve, reject } = Promise.withResolvers<void>()
        this.waiter = { resolve, reject }
        signal?.addEventListener('abort', abort, { once: true })
        this.resume()
        await promise
        signal?.removeEventListener('abort', abort)
      }
    } finally {
      this.wanted = 0
      this.waiter = undefined
      signal?.removeEventListener('abort', abort)
    }
    return this.size >= need
  }

  private take (length: number): Uint8Array {
    const first = this.chunks[this.head]
    let taken: Uint8Array
    if (length === 0) { return new Uint8Array(0) }
    if (first.length - this.offset >= length) {
      taken = first.subarray(this.offset, this.offset + length)
      this.advance(length)
    } else {
      taken = new Uint8Array(length)
      for (let at = 0; at < length;) {
        const chunk = this.chunks[this.head]
        const part = chunk.subarray(this.offset, Math.min(chunk.length, this.offset + length - at))
        taken.set(part, at)
        at += part.length
        this.advance(part.length)
      }
    }
    this.account(-length)
    if (this.paused && this.size < this.highWater / 2) { this.resume() }
    return taken
  }

  private advance (length: number): void {
    this.offset += length
    if (this.offset < this.chunks[this.head].length) { return }
    this.offset = 0
    this.head++
    if (this.head === this.chunks.length) {
      this.chunks.length = this.head = 0
      this.scratchIsLast = false
    } else if (this.head > 256) {
      this.chunks.splice(0, this.head)
      this.head = 0
    }
  }

  private readonly onMessage = (event: StreamMessageEvent): void => {
    const { data } = event
    if (data instanceof Uint8Array) {
      this.push(data)
    } else {
      for (const part of data) { this.push(part) }
    }
    const { budget } = this
    if (budget != null && budget.used > budget.limit) {
      this.stream.abort(new InvalidMessageError(`more than ${budget.limit} bytes of unfinished frames`))
      return
    }
    this.checkEnd()
    if (this.size >= Math.max(this.wanted, 1)) { this.waiter?.resolve() }
    // pause() within a message that resume() dispatches is undone
    if (!this.resuming) { this.pauseWhenFull() }
  }

  private push (bytes: Uint8Array): void {
    if (bytes.length === 0 || this.failure != null) { return }
    this.account(bytes.length)
    if (bytes.length >= SMALL) {
      // what is made of a chunk goes to users: no Buffers
      this.chunks.push(bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length))
      this.scratchIsLast = false
      return
    }
    const full = this.scratchTo + bytes.length > this.scratch.length
    if (full) {
      this.scratch = new Uint8Array(SCRATCH)
      this.scratchTo = 0
    }
    if (full || !this.scratchIsLast) {
      this.scratchFrom = this.scratchTo
      this.chunks.push(bytes)
      this.scratchIsLast = true
    }
    this.scratch.set(bytes, this.scratchTo)
    this.scratchTo += bytes.length
    this.chunks[this.chunks.length - 1] = this.scratch.subarray(this.scratchFrom, this.scratchTo)
  }

  private account (bytes: number): void {
    this.size += bytes
    if (this.budget != null) { this.budget.used += bytes }
  }

  private pauseWhenFull (): void {
    if (this.paused || this.size < Math.max(this.highWater, this.wanted) || !readable(this.stream)) { return }
    this.paused = true
    this.stream.pause()
  }

  /** Lets bytes come, up to `highWater`, though nobody waits for them. */
  resume (): void {
    if (!this.paused || this.resuming) { return }
    this.paused = false
    if (!readable(this.stream)) { return }
    this.resuming = true
    try {
      this.stream.resume()
    } finally {
      this.resuming = false
    }
    this.checkEnd()
    this.pauseWhenFull()
  }

  private checkEnd (): void {
    if (this.cleanEnd && this.stream.readBufferLength === 0) {
      this.ended = true
      this.waiter?.resolve()
    }
  }

  private readonly onRemoteCloseWrite = (): void => {
    this.cleanEnd = true
    this.checkEnd()
  }

  private readonly onClose = (event: StreamCloseEvent): void => {
    if (event.error == null && this.cleanEnd) {
      this.checkEnd()
      return
    }
    this.fail(event.error ?? new ConnectionClosedError('the connection was closed'))
  }

  private fail (error: unknown): void {
    if (this.ended) { return }
    this.failure ??= { error }
    this.waiter?.reject(error)
  }
}

function readable (stream: Stream): boolean {
  return stream.readStatus === 'readable' || stream.readStatus === 'paused'
}

function prefixSize (length: number): number {
  let size = 1
  for (let rest = length; rest >= 0x80; rest = Math.floor(rest / 128)) { size++ }
  return size
}
