import type { AbortOptions, PeerId, Startable } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import type { GraphExchange, GraphsyncBlock } from './graphsync.ts'
import type { SelectorNode } from './selector.ts'
import type { LinkSystem } from './store.ts'

/** What an initiator sends: to open a channel, to restart or to cancel it. */
export interface TransferRequest {
  /** The root. */
  baseCid?: CID

  /** One of TransferType. */
  type: number
  pause: boolean
  partial: boolean

  /** Whether the initiator is the one who receives. */
  pull: boolean
  selector?: SelectorNode
  voucher?: any

  /** Empty: there is no voucher. */
  voucherType: string

  /** Unique for the initiator, and above 2^53 as a rule. */
  transferId: bigint

  /** Initiator, responder and id of the channel that is to be restarted; the peers as text, or empty. */
  restartChannel: [string, string, bigint]
}

/** What a responder sends. */
export interface TransferResponse {
  /** One of TransferType. */
  type: number
  accepted: boolean
  paused: boolean
  transferId: bigint
  voucherResult?: any

  /** Of the result; empty: there is none. */
  voucherType: string
}

export type TransferMessage = { request: TransferRequest } | { response: TransferResponse }

/** What entitles to a transfer: the responder has a validator for its type. */
export interface Voucher {
  type: string

  /** In the IPLD data model. */
  value: any
}

/** What a peer says to a voucher. */
export interface VoucherResult {
  /** Empty: it has none. */
  type: string

  /** In the IPLD data model. */
  value: any
}

/** A validator's answer. */
export interface VoucherDecision {
  accept: boolean

  /**
   * Where the blocks are read from.
   *
   * @default that of the exchange
   */
  linkSystem?: LinkSystem

  /** Ends what is being sent when it is aborted: the peer hears that the transfer failed. */
  signal?: AbortSignal

  /** Sent with the acceptance, in the IPLD data model. Whoever pulls hears it by PullOptions.onResult. */
  result?: any

  /** The type of the result. */
  resultType?: string
}

/** Decides over a pull. undefined leaves it to the next validator of the type. */
export type VoucherValidator = (peer: PeerId, voucher: any, root: CID, selector: SelectorNode) =>
  VoucherDecision | undefined | Promise<VoucherDecision | undefined>

export interface PullOptions extends AbortOptions {
  /**
   * Where blocks are read from and stored to.
   *
   * @default that of the exchange
   */
  linkSystem?: LinkSystem

  /**
   * How long a peer that can be reached may send nothing, in milliseconds; then StalledError.
   *
   * @default that of DataTransferInit
   */
  stallTimeout?: number

  /** Called with each result that the peer sends: with its acceptance, once more after a restart. What it throws ends the pull. */
  onResult?: (result: VoucherResult) => void

  /**
   * The largest block that is taken from the peer, in bytes; frames have a limit of their own, 4 MiB.
   *
   * @default none
   */
  maxBlockSize?: number
}

/** Data transfer of one node: pulls with vouchers over graphsync. */
export interface DataTransfer extends Startable, AsyncDisposable {
  readonly graphsync: GraphExchange

  /**
   * Pulls what the selector reaches from root, as GraphExchange.request() does, with a voucher that the peer's validators look at.
   * A pull whose connection is lost is resumed when the peer can be reached again within `restartTimeout`; each block is given once
   * all the same. Leaving the loop cancels the transfer, also at the peer.
   *
   * @throws {TransferRejectedError} the peer refused the voucher
   * @throws {TransferFailedError} the peer failed, lied, cancelled, or went away and did not come back in time
   * @throws {ContentNotFoundError} the peer does not have a block; what it has was given before
   * @throws {StalledError} the peer is there, and sends nothing
   * @throws what GraphExchange.request() throws, and the signal's reason
   */
  pull(peer: PeerId, voucher: Voucher, root: CID, selector: SelectorNode, options?: PullOptions):
  AsyncGenerator<GraphsyncBlock, void, undefined>

  /** Several may be registered for one type; asked in order, the first answer counts. No answer: rejected. Returns how to remove it. */
  addVoucherType(type: string, validate: VoucherValidator): () => void
}

/** Times are milliseconds. */
export interface DataTransferInit {
  /**
   * How long the peer may take for its first answer to a pull. Go: AcceptTimeout, 30 s.
   *
   * @default 20_000
   */
  acceptTimeout?: number

  /**
   * How long to wait, when all blocks are stored, for the peer to say that it has ended; then the pull has succeeded without it.
   * Go waits 60 s (CompleteTimeout) and fails.
   *
   * @default 2_000
   */
  completeTimeout?: number

  /**
   * How long a peer that is waited for may be silent before it is tried whether it can be reached.
   *
   * @default 10_000
   */
  silenceTimeout?: number

  /**
   * How long a peer that can be reached may send nothing; then StalledError.
   *
   * @default 60_000
   */
  stallTimeout?: number

  /**
   * How long after a lost connection the pull is restarted, when the peer has not gone on by itself. Go: RestartDebounce, 10 s.
   *
   * @default 1_000
   */
  restartDebounce?: number

  /**
   * How long a peer that was lost is tried for, since it was last heard; then TransferFailedError. Go takes 148 to 306 s.
   *
   * @default 20_000
   */
  restartTimeout?: number

  /**
   * Between two tries to reach a peer that was lost; doubled each time up to 4 s.
   *
   * @default 250
   */
  restartDelay?: number

  /**
   * Restarts in a row after which no block has come. Go: MaxConsecutiveRestarts, 1.
   *
   * @default 3
   */
  maxRestarts?: number

  /**
   * For opening a stream to send one message, or to see whether the peer is there.
   *
   * @default 5_000
   */
  openTimeout?: number
}
