import { Duplex } from 'node:stream'
import type { Stream } from '@libp2p/interface'
import { endStream } from '../wire/http-stream/end.ts'
import { send, StreamReader } from '../wire/streams.ts'

const WRITE_TIMEOUT = 60_000

/** A stream of libp2p as a server of node:http takes it, in place of a socket. */
export class StreamSocket extends Duplex {
  readonly #stream: Stream
  readonly #reader: StreamReader

  constructor (stream: Stream) {
    super()
    this.#stream = stream
    this.#reader = new StreamReader(stream)
  }

  /** As that of a socket. */
  resetAndDestroy (): this {
    return this.destroy(new Error('reset'))
  }

  override _read (): void {
    Promise.resolve(this.#reader.read()).then(chunk => { this.push(chunk ?? null) }, error => { this.destroy(error) })
  }

  override _write (chunk: Uint8Array, _encoding: string, done: (error?: Error) => void): void {
    this.#send(chunk).then(() => { done() }, done)
  }

  override _final (done: (error?: Error) => void): void {
    this.#stream.close().then(() => { done() }, done)
  }

  override _destroy (error: Error | null, done: (error: Error | null) => void): void {
    if (error == null) { void endStream(this.#stream, this.#reader) } else { this.#stream.abort(error) }
    done(null)
  }

  async #send (chunk: Uint8Array): Promise<void> {
    await send(this.#stream, [chunk], { timeout: WRITE_TIMEOUT })
  }
}
