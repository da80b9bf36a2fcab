import type { Libp2p, PeerId, Stream } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import type { TransferMessage, TransferRequest, TransferResponse } from '../../../src/shared/types/data-transfer.ts'
import type { GraphsyncResponse, LinkAction } from '../../../src/shared/types/graphsync.ts'
import type { LinkSystem } from '../../../src/shared/types.ts'
import { DATA_TRANSFER_EXTENSION, DATA_TRANSFER_PROTOCOL, TransferType } from '../../../src/wire/data-transfer/constants.ts'
import { decodeTransferMessage, encodeTransferMessage, messageFromNode, messageToNode } from '../../../src/wire/data-transfer/message.ts'
import { StreamReader } from '../../../src/wire/streams.ts'
import { RawPeer } from '../graphsync/raw-peer.ts'

/** Sends a body on a stream of its own; done when the other side has taken it, or has reset the stream. */
export async function sendBody (node: Libp2p, peer: PeerId, body: Uint8Array): Promise<Stream> {
  const stream = await node.dialProtocol(peer, DATA_TRANSFER_PROTOCOL)
  const { promise, resolve } = Promise.withResolvers<void>()
  stream.addEventListener('close', () => { resolve() })
  for (let at = 0; at < body.length && stream.status === 'open'; at += 1 << 16) {
    if (!stream.send(body.subarray(at, at + (1 << 16)))) { await stream.onDrain().catch(() => {}) }
  }
  await stream.close().catch(() => {})
  await promise
  return stream
}

export async function sendMessage (node: Libp2p, peer: PeerId, message: TransferMessage): Promise<void> {
  await sendBody(node, peer, encodeTransferMessage(message))
}

export function responseOf (init: Partial<TransferResponse>): { response: TransferResponse } {
  return { response: { type: TransferType.new, accepted: true, paused: false, transferId: 0n, voucherType: '', ...init } }
}

export function requestOf (init: Partial<TransferRequest>): { request: TransferRequest } {
  return {
    request: {
      type: TransferType.new, pause: false, partial: false, pull: true, voucherType: '', transferId: 0n, restartChannel: ['', '', 0n], ...init
    }
  }
}

/** Graphsync and data transfer by hand. */
export class RawTransferPeer extends RawPeer {
  readonly messages: TransferMessage[] = []
  readonly peer: PeerId

  /** Streams of data transfer that were opened to us. */
  opened = 0

  constructor (node: Libp2p, remote: PeerId) {
    super(node, remote)
    this.peer = remote
  }

  override async start (): Promise<void> {
    await super.start()
    await this.node.handle(DATA_TRANSFER_PROTOCOL, async stream => {
      this.opened++
      const bytes = await new StreamReader(stream).rest(1 << 23)
      if (bytes.length > 0) { this.messages.push(decodeTransferMessage(bytes)) }
      await stream.close()
      this.wake()
    }, { maxInboundStreams: 1_000, maxOutboundStreams: 1_000 })
  }

  async say (message: TransferMessage): Promise<void> {
    await sendMessage(this.node, this.peer, message)
  }

  /** The n-th new request for a pull, and what it says of the transfer. */
  async pullRequest (n = 0): Promise<{ id: Uint8Array, transfer: TransferRequest, extensions: Record<string, any> }> {
    await this.until(() => this.requests.filter(({ type }) => type === 'new').length > n)
    const { id, extensions = {} } = this.requests.filter(({ type }) => type === 'new')[n]
    const message = messageFromNode(extensions[DATA_TRANSFER_EXTENSION])
    if (!('request' in message)) { throw new Error('no request') }
    return { id, transfer: message.request, extensions }
  }

  /** Asks for a pull. */
  async ask (init: Partial<TransferRequest>, root: CID, selector: any): Promise<Uint8Array> {
    const id = crypto.getRandomValues(new Uint8Array(16))
    const extensions = { [DATA_TRANSFER_EXTENSION]: messageToNode(requestOf({ baseCid: root, selector, ...init })) }
    await this.send({ requests: [{ id, type: 'new', root, selector, extensions }] })
    return id
  }

  /** Answers a pull: with a transfer response, and blocks. */
  async answer (
    requestId: Uint8Array, status: number, { transfer, store, cids = [] }: { transfer?: TransferMessage, store?: LinkSystem, cids?: CID[] },
    stream = 0
  ): Promise<void> {
    const blocks = []
    for (const cid of cids) {
      const { blockstore } = store as LinkSystem
      const data: Uint8Array[] = []
      for await (const chunk of blockstore.get(cid)) { data.push(chunk) }
      const prefix = cid.bytes.subarray(0, cid.bytes.length - cid.multihash.digest.length)
      blocks.push({ prefix, data: new Uint8Array(Buffer.concat(data)) })
    }
    const metadata = cids.map((cid): [CID, LinkAction] => [cid, 'present'])
    const extensions = transfer == null ? undefined : { [DATA_TRANSFER_EXTENSION]: messageToNode(transfer) }
    await this.send({ responses: [{ requestId, status, metadata, extensions }], blocks }, stream)
  }

  /** What the answers to a request say of the transfer. */
  transfers (id: Uint8Array): TransferResponse[] {
    const list: TransferResponse[] = []
    for (const { requestId, extensions } of this.responses as GraphsyncResponse[]) {
      const node = extensions?.[DATA_TRANSFER_EXTENSION]
      if (Buffer.compare(requestId, id) !== 0 || node === undefined) { continue }
      const message = messageFromNode(node)
      if ('response' in message) { list.push(message.response) }
    }
    return list
  }
}
