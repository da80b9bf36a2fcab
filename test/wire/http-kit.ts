import { ok } from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { Libp2p, PeerId, Stream } from '@libp2p/interface'
import { StreamReader } from '../../src/wire/streams.ts'

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'))
const text = (chunk: Uint8Array): string => Buffer.from(chunk).toString('latin1')

/** How many streams of the protocol the node has open. */
export function openStreams (node: Libp2p, protocol: string): number {
  return node.getConnections().flatMap(connection => connection.streams).filter(stream => stream.protocol === protocol).length
}

/** Waits until the node has so many streams of the protocol. */
export async function untilStreams (node: Libp2p, protocol: string, count: number): Promise<void> {
  for (let i = 0; i < 1_000 && openStreams(node, protocol) !== count; i++) { await delay(10) }
  ok(openStreams(node, protocol) === count, `${openStreams(node, protocol)} streams of ${protocol}, not ${count}`)
}

/** A stream that is written and read by hand. */
export class RawStream {
  readonly stream: Stream
  private readonly reader: StreamReader
  private rest = ''

  constructor (stream: Stream) {
    this.stream = stream
    this.reader = new StreamReader(stream)
  }

  static async open (node: Libp2p, peer: PeerId, protocol: string): Promise<RawStream> {
    return new RawStream(await node.dialProtocol(peer, protocol, { maxOutboundStreams: 1_000 }))
  }

  write (message: string): void {
    this.stream.send(bytes(message))
  }

  /** Up to and with the end; all that came before the other side closed when the end does not come. */
  async readUntil (end: string): Promise<string> {
    for (;;) {
      const at = this.rest.indexOf(end)
      if (at !== -1) { return this.take(at + end.length) }
      const chunk = await this.reader.read()
      if (chunk == null) { return this.take(this.rest.length) }
      this.rest += text(chunk)
    }
  }

  /** All there is, until the other side closes. */
  async readAll (): Promise<string> {
    return this.readUntil('\0no such bytes\0')
  }

  /** A response with Content-Length. */
  async readResponse (): Promise<string> {
    const head = await this.readUntil('\r\n\r\n')
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)
    while (this.rest.length < length) {
      const chunk = await this.reader.read()
      if (chunk == null) { break }
      this.rest += text(chunk)
    }
    return head + this.take(length)
  }

  private take (length: number): string {
    const taken = this.rest.slice(0, length)
    this.rest = this.rest.slice(length)
    return taken
  }
}

/** A server that plays HTTP by hand: what comes is kept, and each request is answered as it is told. */
export class RawServer {
  readonly requests: string[] = []
  readonly streams: RawStream[] = []

  /** Called with a stream on which a request has come; `count` is how many there were. */
  answer: (stream: RawStream, count: number) => void | Promise<void> = () => {}

  static async start (node: Libp2p, protocol: string, answer: RawServer['answer']): Promise<RawServer> {
    const server = new RawServer()
    server.answer = answer
    await node.handle(protocol, stream => { void server.serve(new RawStream(stream)) }, { maxInboundStreams: 1_000 })
    return server
  }

  private async serve (stream: RawStream): Promise<void> {
    this.streams.push(stream)
    try {
      for (let request = await stream.readUntil('\r\n\r\n'); request !== ''; request = await stream.readUntil('\r\n\r\n')) {
        this.requests.push(request)
        await this.answer(stream, this.requests.length)
      }
      await stream.stream.close()
    } catch {} // the client has reset it
  }
}

export function response (body: string, headers = ''): string {
  return `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${headers}\r\n${body}`
}
