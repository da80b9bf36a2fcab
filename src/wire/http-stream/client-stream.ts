import type { Stream } from '@libp2p/interface'
import type { Deadline } from '../../shared/deadline.ts'
import { turnOfEventLoop } from '../../shared/event-loop.ts'
import { isBroken, send, StreamReader } from '../streams.ts'
import { endStream } from './end.ts'
import { HttpParser } from './parser.ts'
import type { MessageOptions } from './parser.ts'

/** One stream that carries one request after another. */
export class ClientStream {
  /** Holds the response after exchange(), until the next one begins. */
  readonly response = new HttpParser('response')

  /** Whether it has carried a request before. */
  used = false

  /** Until when it waits for its next use, on performance.now(). */
  idleUntil = 0

  private readonly stream: Stream
  private readonly reader: StreamReader
  private clean = true

  /** `onEnd` is called when the other side closes or resets it, and with `gone` when nothing is left of it. */
  constructor (stream: Stream, onEnd: (stream: ClientStream, gone: boolean) => void) {
    this.stream = stream
    // Held while nobody waits: what the muxer tells the other side then goes out with the next request, and not alone before it.
    this.reader = new StreamReader(stream, { highWater: 0 })
    stream.addEventListener('remoteCloseWrite', () => { onEnd(this, false) })
    stream.addEventListener('close', () => { onEnd(this, true) })
  }

  /** Whether it was gone already when it came here: no event tells. */
  get gone (): boolean {
    return this.stream.status === 'closed' || isBroken(this.stream)
  }

  /** Whether another request may go over it. */
  get reusable (): boolean {
    const { status, remoteWriteStatus, readBufferLength } = this.stream
    return this.clean && (this.response.keepAlive || !this.used) && status === 'open' && remoteWriteStatus !== 'closed' &&
      readBufferLength === 0 && this.reader.buffered === 0
  }

  /** Sends a request and waits for the whole response, then found in `response`. Rejects with the raw error of the stream or the parser. */
  async exchange (head: Uint8Array, options: MessageOptions, deadline: Deadline, timeout: number): Promise<void> {
    const { stream, reader, response } = this
    response.begin(options)
    this.clean = false
    deadline.onEnd = this.destroy
    try {
      deadline.check()
      const sent = send(stream, [head], { timeout })
      if (sent != null) { await sent }
      while (!response.done) {
        const chunk = await reader.read()
        if (chunk == null) { return response.end() }
        this.clean = response.push(chunk) === chunk.length
      }
    } catch (err) {
      this.destroy(err)
      throw err
    } finally {
      deadline.onEnd = undefined
      this.used = true
    }
  }

  /** While it waits for its next use: lets come what nobody asked for, so that `reusable` sees it. */
  listen (): void {
    this.reader.resume()
  }

  /** Closes it, after what is more urgent: the next request. */
  end (): void {
    void turnOfEventLoop().then(async () => endStream(this.stream, this.reader))
  }

  readonly destroy = (reason: unknown): void => {
    this.stream.abort(reason instanceof Error ? reason : new Error('the request was aborted', { cause: reason }))
    this.reader.release()
  }
}
