import { buildGo, GO_TRANSFER } from './go-build.ts'
import { Peer, type Command, type DagJson, type GateCommands, type PublisherAddress } from './go-peer.ts'

/** A voucher or the result of one. */
export interface TypedVoucher { type: string, value: DagJson }
export interface Block { cid: string, bytes: string }
/** A channel: `blocks` are those that came, in order; `results` are voucher results; `mine`: it was opened here. */
export interface Channel {
  channel: string
  status: string
  message: string
  root: string
  pull: boolean
  mine: boolean
  peerId: string
  blocks: string[]
  results: TypedVoucher[]
  received: number
  sent: number
  queued: number
}

/** What a Go peer of plain graphsync and data transfer can be asked. */
export interface TransferCommands extends GateCommands {
  start: Command<{}, PublisherAddress & { pid: number }>
  connect: Command<PublisherAddress>
  disconnect: Command<{ peerId: string }>

  /** Unchecked. */
  put: Command<{ blocks: Block[] }>
  get: Command<{ cid: string }, string | null>
  has: Command<{ cids: string[] }, { has: boolean[], blocks: number }>
  drop: Command<{ cids: string[] }>

  /** Graphsync alone, which every peer may ask for. */
  request: Command<PublisherAddress & { root: string, selector: DagJson }, { blocks: string[], errors: string[] }>

  /** Serves pulls with such vouchers: accepts them or not, with a result, or fails with an error. Once for each type. */
  voucherType: Command<{ type: string, accept?: boolean, result?: TypedVoucher, error?: string }>
  /** Opens a channel, and answers at once. */
  pull: Command<PublisherAddress & { root: string, selector: DagJson, voucher: TypedVoucher }, { channel: string }>
  waitReceived: Command<{ channel: string, count: number }, { blocks: string[] }>
  /** Until it is Completed, Failed or Cancelled. */
  waitEnd: Command<{ channel: string }, Channel>
  /** CloseDataTransferChannel. */
  cancel: Command<{ channel: string }>
  /** All that there were. */
  channels: Command<{}, Channel[]>
}

export interface TransferEvents {
  held: {}
  /** A request with a voucher of a registered type is decided on. */
  validated: { how: 'pull' | 'push' | 'restart', channel: string, voucher: TypedVoucher, root: string }
  ended: Channel
}

/** A started Go peer of graphsync and data transfer: `await using go = await GoTransfer.start()`. */
export class GoTransfer extends Peer<TransferCommands, TransferEvents> {
  peerId = ''
  /** Without /p2p. */
  addrs: string[] = []

  static async start (): Promise<GoTransfer> {
    const peer = new GoTransfer('Go data transfer', await buildGo(GO_TRANSFER.dir, GO_TRANSFER.toolchain))
    try {
      Object.assign(peer, await peer.call('start', {}))
      return peer
    } catch (error) {
      await peer.stop()
      throw error
    }
  }

  get address (): PublisherAddress {
    return { peerId: this.peerId, addrs: this.addrs }
  }
}
