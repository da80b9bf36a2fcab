import type { AbortOptions, Connection, Libp2p, PeerId, Stream } from '@libp2p/interface'
import { delay } from '../../shared/delay.ts'
import { TransferFailedError } from '../../shared/errors.ts'
import type { TransferMessage } from '../../shared/types/data-transfer.ts'
import { within } from '../../shared/within.ts'
import { checkOpen, closeWrite, send, StreamReader } from '../streams.ts'
import type { ByteBudget } from '../streams.ts'
import {
  DATA_TRANSFER_PROTOCOL, MAX_INBOUND_STREAMS, MAX_MESSAGE, MAX_PEER_UNFINISHED, MESSAGE_TIMEOUT, SEND_DELAY, SEND_TRIES, STOP_GRACE
} from './constants.ts'
import { decodeTransferMessage, encodeTransferMessage } from './message.ts'

export interface NetworkInit {
  libp2p: Libp2p

  /** For one try to open a stream, in milliseconds. */
  openTimeout: number
  onMessage: (peer: PeerId, message: TransferMessage) => void
}

/** Messages outside of graphsync: each on a stream of its own, which ends with it. */
export class Network {
  private readonly init: NetworkInit
  private readonly sending = new Set<Promise<void>>()

  /** What comes in, by peer; of those that have streams open to us. */
  private readonly inbound = new Map<string, ByteBudget & { streams: number }>()
  private stopping = new AbortController()
  private stopped = new AbortController()

  constructor (init: NetworkInit) {
    this.init = init
  }

  async start (): Promise<void> {
    this.stopping = new AbortController()
    this.stopped = new AbortController()
    await this.init.libp2p.handle(DATA_TRANSFER_PROTOCOL, this.onStream, { maxInboundStreams: MAX_INBOUND_STREAMS })
  }

  /** What is being sent gets a moment to go out; nothing is tried again. */
  async stop (): Promise<void> {
    const reason = new TransferFailedError('data transfer was stopped')
    await this.init.libp2p.unhandle(DATA_TRANSFER_PROTOCOL)
    this.stopping.abort(reason)
    const moment = setTimeout(() => { this.stopped.abort(reason) }, STOP_GRACE)
    await Promise.allSettled(this.sending)
    clearTimeout(moment)
    this.stopped.abort(reason)
  }

  isConnected (peer: PeerId): boolean {
    return this.init.libp2p.getConnections(peer).length > 0
  }

  /** In the background, and not at any price: nobody depends on these messages alone. */
  send (peer: PeerId, message: TransferMessage): void {
    const sending = this.trySend(peer, encodeTransferMessage(message)).catch(() => {})
    this.sending.add(sending)
    void sending.then(() => { this.sending.delete(sending) })
  }

  /**
   * Whether the peer can be reached: a stream that is opened and closed, as Go does before a restart.
   *
   * @throws what opening fails with, and the signal's reason
   */
  async probe (peer: PeerId, options: AbortOptions): Promise<void> {
    const stream = await this.open(peer, options.signal)
    finish(stream)
  }

  private async trySend (peer: PeerId, bytes: Uint8Array): Promise<void> {
    const { signal } = this.stopped
    for (let tries = 1; ; tries++) {
      try {
        const stream = await this.open(peer)
        const sent = send(stream, [bytes], { timeout: MESSAGE_TIMEOUT, signal })
        if (sent != null) { await sent }
        finish(stream)
        return
      } catch (error) {
        if (tries === SEND_TRIES) { throw error }
        await delay(SEND_DELAY * tries, this.stopping.signal)
      }
    }
  }

  private async open (peer: PeerId, signal?: AbortSignal): Promise<Stream> {
    const { libp2p, openTimeout } = this.init
    const stream = await within('open timeout', openTimeout, [this.stopped.signal, signal], async signal =>
      await libp2p.dialProtocol(peer, DATA_TRANSFER_PROTOCOL, { signal }))
    checkOpen(stream)
    return stream
  }

  private readonly onStream = async (stream: Stream, { remotePeer }: Connection): Promise<void> => {
    const key = remotePeer.toString()
    const budget = this.inbound.get(key) ?? { used: 0, limit: MAX_PEER_UNFINISHED, streams: 0 }
    this.inbound.set(key, budget)
    budget.streams++
    const reader = new StreamReader(stream, { budget })
    try {
      const bytes = await within('message timeout', MESSAGE_TIMEOUT, [this.stopped.signal], async signal =>
        await reader.rest(MAX_MESSAGE, { signal }))
      if (bytes.length > 0) { this.init.onMessage(remotePeer, decodeTransferMessage(bytes)) } // empty: whether we are there
      await closeWrite(stream, MESSAGE_TIMEOUT)
    } catch (error: any) {
      stream.abort(error)
    } finally {
      reader.release()
      if (--budget.streams === 0) { this.inbound.delete(key) }
    }
  }
}

/** Closes our side, and gives the other one its time to close as well: it says nothing on this stream. */
function finish (stream: Stream): void {
  if (stream.status !== 'open') { return } // it was reset when it had taken all: no event will tell
  const timer = setTimeout(() => { stream.abort(new TransferFailedError('the peer does not close its side of the stream')) }, MESSAGE_TIMEOUT)
  stream.addEventListener('close', () => { clearTimeout(timer) })
  void closeWrite(stream, MESSAGE_TIMEOUT)
}
