import type { Libp2p, PeerId, Stream } from '@libp2p/interface'
import type { GraphsyncMessage } from '../../../src/shared/types/graphsync.ts'
import { decodeGraphsyncMessage, encodeGraphsyncMessage } from '../../../src/wire/graphsync/message.ts'
import { StreamReader } from '../../../src/wire/streams.ts'

const PROTOCOL = '/ipfs/graphsync/2.0.0'

export function framed (body: Uint8Array): Uint8Array {
  const prefix: number[] = []
  let rest = body.length
  for (; rest >= 0x80; rest >>>= 7) { prefix.push((rest & 0x7f) | 0x80) }
  const bytes = new Uint8Array(prefix.length + 1 + body.length)
  bytes.set([...prefix, rest])
  bytes.set(body, prefix.length + 1)
  return bytes
}

/** A peer that plays graphsync by hand: what it receives is kept, what it sends is what it is told. */
export class RawPeer {
  readonly received: Array<{ bytes: Uint8Array, message: GraphsyncMessage }> = []
  readonly inbound: Stream[] = []
  readonly node: Libp2p
  private readonly remote: PeerId
  private readonly streams = new Map<number, Stream>()
  private waiters: Array<() => void> = []

  constructor (node: Libp2p, remote: PeerId) {
    this.node = node
    this.remote = remote
  }

  async start (): Promise<void> {
    await this.node.handle(PROTOCOL, async stream => {
      this.inbound.push(stream)
      this.wake()
      const reader = new StreamReader(stream)
      try {
        for (let bytes = await reader.frame(1 << 23); bytes != null; bytes = await reader.frame(1 << 23)) {
          this.received.push({ bytes: bytes.slice(), message: decodeGraphsyncMessage(bytes) })
          this.wake()
        }
      } catch {}
      this.wake()
    }, { maxInboundStreams: 1_000 })
  }

  /** Our streams by any number; opened when first used. */
  async stream (number = 0): Promise<Stream> {
    let stream = this.streams.get(number)
    if (stream == null) {
      stream = await this.node.dialProtocol(this.remote, PROTOCOL)
      this.streams.set(number, stream)
    }
    return stream
  }

  async sendBytes (bytes: Uint8Array, stream = 0): Promise<void> {
    (await this.stream(stream)).send(bytes)
  }

  async send (message: Partial<GraphsyncMessage>, stream = 0): Promise<void> {
    await this.sendBytes(framed(encodeGraphsyncMessage({ requests: [], responses: [], blocks: [], ...message })), stream)
  }

  async until (condition: () => boolean): Promise<void> {
    while (!condition()) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.waiters.push(resolve)
      await promise
    }
  }

  /** Waits for the n-th message. */
  async message (n: number): Promise<GraphsyncMessage> {
    await this.until(() => this.received.length > n)
    return this.received[n].message
  }

  get requests (): GraphsyncMessage['requests'] {
    return this.received.flatMap(({ message }) => message.requests)
  }

  get responses (): GraphsyncMessage['responses'] {
    return this.received.flatMap(({ message }) => message.responses)
  }

  /** Until a response to this request is the last one. */
  async terminal (id: Uint8Array): Promise<number> {
    const find = (): number | undefined => this.responses.find(({ requestId, status }) => status >= 20 && same(requestId, id))?.status
    await this.until(() => find() != null)
    return find() as number
  }

  protected wake (): void {
    const { waiters } = this
    this.waiters = []
    waiters.forEach(resolve => { resolve() })
  }
}

export function same (a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
