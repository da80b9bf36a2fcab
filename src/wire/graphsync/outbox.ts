import type { Libp2p, PeerId, Stream } from '@libp2p/interface'
import { concat } from '../../shared/concat.ts'
import { delay } from '../../shared/delay.ts'
import { TimeoutError, TransferFailedError } from '../../shared/errors.ts'
import { within } from '../../shared/within.ts'
import { checkOpen, closeWrite, isBroken, send } from '../streams.ts'
import { GRAPHSYNC_PROTOCOL, OPEN_TIMEOUT, RETRY_DELAY, SEND_TRIES, WRITE_TIMEOUT } from './constants.ts'
import type { Frame } from './frame.ts'

/** Frames that wait are written together up to this. */
const BATCH_BYTES = 64 * 1024

/** Smaller parts are put together: a write of its own costs a record of the encryption. */
const COPY_BELOW = 8 * 1024
const CLOSE_TIMEOUT = 5_000

export interface OutboxInit {
  libp2p: Pick<Libp2p, 'dialProtocol'>
  peer: PeerId
  writeTimeout?: number

  /** Bytes have gone out, or were dropped; negative. Also called with what is added. */
  onBytes: (bytes: number) => void

  /** All that waited is sent. */
  onDrained: () => void

  /** Nothing is being sent, or the stream is gone. */
  onIdle: () => void

  /** The stream was reset: what it had taken last may be lost, also in part. What waited of responses was dropped. */
  onLost: (error: Error) => void

  /** What waited could not be sent, and was dropped. */
  onFailed: (error: Error) => void
}

/** What goes to one peer: one stream, opened with the first frame and kept open; opened again, a few times, when it fails. */
export class Outbox {
  private readonly init: OutboxInit
  private readonly queue: Frame[] = []
  private readonly closed = new AbortController()
  private stream: Stream | undefined
  private pumping = false

  /** Why the stream went when it had taken all that was written to it, and more was still to come. */
  private gap: Error | undefined
  bytes = 0

  constructor (init: OutboxInit) {
    this.init = init
  }

  get idle (): boolean {
    return !this.pumping
  }

  get connected (): boolean {
    return this.stream != null
  }

  /** Opens the stream, for what is about to come. */
  connect (): void {
    if (!this.connected && this.idle) { this.push({ parts: [], bytes: 0, responses: false, done: [] }) }
  }

  push (frame: Frame): void {
    if (this.closed.signal.aborted) {
      end([frame], this.closed.signal.reason)
      return
    }
    this.queue.push(frame)
    this.account(frame.bytes)
    if (!this.pumping) { void this.pump() }
  }

  /** Drops what waits. With `reset`, the peer sees that something lacks: Go waits for ever after a mere end. */
  close (error: Error, { reset }: { reset: boolean }): void {
    this.closed.abort(error)
    this.drop(error)
    const { stream } = this
    this.stream = undefined
    if (reset) {
      stream?.abort(error)
    } else if (stream != null) {
      void closeWrite(stream, CLOSE_TIMEOUT)
    }
  }

  /** Up to the first await of a slow peer this runs at once, within push(). */
  private async pump (): Promise<void> {
    this.pumping = true
    while (this.queue.length > 0) { // also with what comes from those who hear of a failure
      try {
        const batch = this.takeBatch()
        try {
          const sent = this.write(batch)
          if (sent != null) { await sent }
        } finally {
          this.account(-bytesOf(batch))
        }
        if (this.gap != null) { this.lose([], this.gap) }
        if (this.queue.length === 0) { this.init.onDrained() }
      } catch (error: any) {
        this.drop(error)
        if (!this.closed.signal.aborted) { this.init.onFailed(error) }
      }
    }
    this.pumping = false
    this.init.onIdle()
  }

  private takeBatch (): Frame[] {
    let bytes = 0
    let count = 0
    while (count < this.queue.length && (count === 0 || bytes + this.queue[count].bytes <= BATCH_BYTES)) {
      bytes += this.queue[count++].bytes
    }
    return this.queue.splice(0, count)
  }

  private write (batch: Frame[]): void | Promise<void> {
    const { stream } = this
    if (stream?.writeStatus !== 'writable') { return this.writeSlowly(batch) }
    let sent: void | Promise<void>
    try {
      sent = send(stream, joined(batch), this.limits())
    } catch (error) {
      return this.writeSlowly(this.lose(batch, error), error)
    }
    if (sent == null) {
      end(batch)
      return
    }
    return sent.then(() => { end(batch) }, async error => { await this.writeSlowly(this.lose(batch, error), error) })
  }

  /** Opens streams until one takes the batch, or what is left of it. Throws TransferFailedError. */
  private async writeSlowly (batch: Frame[], cause?: unknown): Promise<void> {
    const { signal } = this.closed
    let opened = false
    // a peer that takes nothing gets no second stream to take nothing from
    for (let tries = cause == null ? 0 : 1; batch.length > 0 && tries < SEND_TRIES && !(cause instanceof TimeoutError); tries++) {
      if (tries > 0) { await delay(RETRY_DELAY, signal).catch(() => {}) }
      this.abandon(cause)
      try {
        signal.throwIfAborted()
        opened = false
        const stream = this.stream = await this.open()
        opened = true
        await send(stream, joined(batch), this.limits())
        end(batch)
        return
      } catch (error) {
        cause = error
        if (opened) { batch = this.lose(batch, error) }
      }
    }
    this.abandon(cause)
    if (batch.length === 0) { return }
    const error = signal.aborted ? signal.reason : new TransferFailedError(`cannot send to ${this.init.peer}`, { cause })
    end(batch, error)
    throw error
  }

  private abandon (cause: unknown): void {
    const { stream } = this
    this.stream = undefined
    stream?.abort(new TransferFailedError('a write to the stream failed', { cause }))
  }

  /** A stream failed with what was written to it: gives what of it can be sent again. */
  private lose (batch: Frame[], cause: unknown): Frame[] {
    this.gap = undefined
    if (cause instanceof TimeoutError || this.closed.signal.aborted) { return batch }
    const lost = [...batch, ...this.queue].filter(({ responses }) => responses)
    const error = new TransferFailedError(`lost what was sent to ${this.init.peer}`, { cause })
    const queue = this.queue.splice(0)
    this.queue.push(...queue.filter(({ responses }) => !responses))
    this.account(bytesOf(this.queue) - bytesOf(queue))
    end(lost, error)
    this.init.onLost(error)
    return batch.filter(({ responses }) => !responses)
  }

  private async open (): Promise<Stream> {
    const { libp2p, peer } = this.init
    const stream = await within('open timeout', OPEN_TIMEOUT, [this.closed.signal], async signal =>
      await libp2p.dialProtocol(peer, GRAPHSYNC_PROTOCOL, { signal }))
    if (this.closed.signal.aborted) {
      stream.abort(this.closed.signal.reason)
      throw this.closed.signal.reason
    }
    checkOpen(stream)
    stream.addEventListener('close', () => {
      if (this.stream === stream) {
        this.stream = undefined
        if (isBroken(stream)) {
          const error = new TransferFailedError(`the stream to ${peer} was reset`)
          if (this.idle) { this.init.onLost(error) } else { this.gap = error }
        }
      }
      this.init.onIdle()
    })
    return stream
  }

  private limits (): { timeout: number, signal: AbortSignal } {
    return { timeout: this.init.writeTimeout ?? WRITE_TIMEOUT, signal: this.closed.signal }
  }

  private account (bytes: number): void {
    this.bytes += bytes
    this.init.onBytes(bytes)
  }

  private drop (error: Error): void {
    const dropped = this.queue.splice(0)
    this.account(-bytesOf(dropped))
    end(dropped, error)
  }
}

function bytesOf (frames: Frame[]): number {
  return frames.reduce((sum, { bytes }) => sum + bytes, 0)
}

function end (frames: Frame[], error?: Error): void {
  for (const { done } of frames) {
    for (const callback of done) { callback(error) }
  }
}

/** The parts of all frames, the small ones put together. */
function joined (frames: Frame[]): Uint8Array[] {
  const parts: Uint8Array[] = []
  let small: Uint8Array[] = []
  const flush = (): void => {
    if (small.length > 0) { parts.push(concat(small)) }
    small = []
  }
  for (const frame of frames) {
    for (const part of frame.parts) {
      if (part.length >= COPY_BELOW) {
        flush()
        parts.push(part)
      } else {
        small.push(part)
      }
    }
  }
  flush()
  return parts
}
