import type { Stream } from '@libp2p/interface'
import type { Deadline } from '../../shared/deadline.ts'
import { send, StreamReader } from '../streams.ts'
import { endStream } from './end.ts'
import { HttpParser } from './parser.ts'
import type { MessageOptions } from './parser.ts'

/** One stream that carries one request after another. */
export class ClientStream {
  /** Holds the response after exchange(), until the next one begins. */
  readonly response = new HttpParser('response')

  /** Whether it has carried a request before. */
  used = false

  private readonly stream: Stream
  private readonly reader: StreamReader
  private clean = true
  private timer: ReturnType<typeof setTimeout> & { unref?: () => void } | undefined
  private onGone: (() => void) | undefined

  constructor (stream: Stream) {
    this.stream = stream
    this.reader = new StreamReader(stream)
  }

  /** Whether another request may go over it. */
  get reusable (): boolean {
    const { status, remoteWriteStatus } = this.stream
    return this.clean && (this.response.keepAlive || !this.used) && status === 'open' && remoteWriteStatus !== 'closed' && this.reader.buffered === 0
  }

  /** Sends a request and waits for the whole response, then found in `response`. Rejects with the raw error of the stream or the parser. */
  async exchange (head: Uint8Array, options: MessageOptions, deadline: Deadline, timeout: number): Promise<void> {
    const { stream, reader, response } = this
    response.begin(options)
    this.clean = false
    deadline.onEnd = reason => { this.destroy(reason) }
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

  /** Waits for its next use; `onGone` when nobody used it for `ms`, or the other side closed it or said something. */
  setIdle (ms: number, onGone: () => void): void {
    this.onGone = onGone
    this.timer = setTimeout(onGone, ms)
    this.timer.unref?.()
    for (const event of ['close', 'remoteCloseWrite', 'message'] as const) { this.stream.addEventListener(event, onGone) }
  }

  setBusy (): void {
    const { onGone } = this
    clearTimeout(this.timer)
    if (onGone == null) { return }
    for (const event of ['close', 'remoteCloseWrite', 'message'] as const) { this.stream.removeEventListener(event, onGone) }
    this.onGone = undefined
  }

  end (): void {
    void endStream(this.stream, this.reader)
  }

  destroy (reason: unknown): void {
    this.stream.abort(reason instanceof Error ? reason : new Error('the request was aborted', { cause: reason }))
    this.reader.release()
  }
}
