import type { AbortOptions, PeerId, Startable } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import type { SelectorNode } from './selector.ts'
import type { LinkSystem } from './store.ts'

/** What a graphsync request is: a new one, the cancelling of one, or extensions for one that is in progress. */
export type RequestType = 'new' | 'cancel' | 'update'

/** What a responder says of a link that its walk came to. */
export type LinkAction = 'present' | 'duplicate' | 'missing' | 'skipped'

export interface GraphsyncRequest {
  /** 16 bytes, chosen by the requestor. */
  id: Uint8Array
  type: RequestType
  priority?: number
  root?: CID
  selector?: SelectorNode

  /** By name; values in the IPLD data model, a Map where a plain object would change the order of the keys. */
  extensions?: Record<string, any>
}

export interface GraphsyncResponse {
  requestId: Uint8Array

  /** One of GraphsyncStatus. */
  status: number

  /** One item for each link load of the responder's walk, in its order. */
  metadata?: Array<[CID, LinkAction]>
  extensions?: Record<string, any>
}

/** One message: requests, responses, and blocks that belong to any of the responses. */
export interface GraphsyncMessage {
  requests: GraphsyncRequest[]
  responses: GraphsyncResponse[]

  /** The prefix of a CID, and what the rest of it is the hash of. */
  blocks: Array<{ prefix: Uint8Array, data: Uint8Array }>
}

/** A block of a request, in walk order. */
export interface GraphsyncBlock {
  cid: CID
  bytes: Uint8Array

  /** Whether it came from the store. A peer that is asked sends what comes after the first gap, also what is there. */
  local: boolean

  /** How many links there are from the root to it. */
  depth?: number
}

export interface RequestOptions extends AbortOptions {
  /**
   * Where blocks are read from and stored to.
   *
   * @default that of the exchange
   */
  linkSystem?: LinkSystem

  /** Sent with the request. */
  extensions?: Record<string, any>

  /**
   * The largest block that is taken from the responder, in bytes; frames have a limit of their own, 4 MiB.
   *
   * @default none
   */
  maxBlockSize?: number

  /** Called when the peer is asked: the store alone was not enough. */
  onAsk?: () => void

  /** Called with each response as it comes, before its blocks are walked. What it throws ends the request. */
  onResponse?: (response: GraphsyncResponse) => void

  /**
   * How long the responder may say nothing while the request waits for it, in milliseconds; then StalledError.
   *
   * @default 60_000
   */
  stallTimeout?: number

  /**
   * Called when something of the responder's may have been lost: a stream of its that failed or did not decode, a disconnect, a
   * message to it that could not be sent. When it is given the request waits on, up to `stallTimeout`; a responder may
   * connect again and go on. Without it the request fails with TransferFailedError. `unsent` says that it was a message to it.
   */
  onNetworkError?: (error: Error, unsent: boolean) => void
}

/** How an accepted request ended. */
export interface ResponseEnd {
  /** The status that was sent last; undefined when none was, as after a cancel. */
  status?: number

  /** Why it ended before its time: it was cancelled, or could not be sent. */
  error?: Error
}

/** A validator's answer. */
export interface RequestDecision {
  accept: boolean

  /**
   * Where the blocks are read from.
   *
   * @default that of the exchange
   */
  linkSystem?: LinkSystem

  /** Sent with the first response, or with the refusal. */
  extensions?: Record<string, any>

  /**
   * The status of a refusal.
   *
   * @default 30 (rejected), which the requestor throws as TransferRejectedError; data transfer sends 32, as Go
   */
  status?: number

  /** Ends the response when it is aborted: the peer hears that the request failed (32). */
  signal?: AbortSignal

  /** Called when the requestor sends extensions for the request while it is in progress. */
  onUpdate?: (update: GraphsyncRequest) => void

  /** Called once for an accepted request: when the last of the response was handed to the peer's stream, or when it failed. */
  onEnd?: (end: ResponseEnd) => void
}

/** Decides over an incoming request: whether to serve it, and from which store. undefined leaves it to the next one. */
export type RequestValidator = (peer: PeerId, request: GraphsyncRequest) =>
  RequestDecision | undefined | Promise<RequestDecision | undefined>

/** Graphsync of one node: requests blocks from peers, and serves them. The store belongs to the request, not to the exchange. */
export interface GraphExchange extends Startable, AsyncDisposable {
  /**
   * Walks what the selector reaches from root: from the store as far as it goes, then from the peer. Blocks are verified, stored
   * and given one by one in walk order, repeats included; what is not read holds the peer back. Leaving the loop cancels the
   * request, also at the peer.
   *
   * @throws {ContentNotFoundError} the peer does not have a block; what it has was given before
   * @throws {TransferRejectedError} the peer refused
   * @throws {TransferFailedError} the peer failed, lied or went away
   * @throws {StalledError} the peer is silent
   * @throws {BlockTooLargeError} a block is over `maxBlockSize`
   * @throws {InvalidSelectorError} the selector cannot be compiled
   * @throws {InvalidMessageError} a block does not decode
   * @throws {UnknownCodecError} the walk came to a codec that is not known
   * @throws {UnknownHasherError} or to a hash
   * @throws the signal's reason
   */
  request(peer: PeerId, root: CID, selector: SelectorNode, options?: RequestOptions): AsyncGenerator<GraphsyncBlock, void, undefined>

  /** Asked in order; the first answer counts. No answer: refused. Returns how to remove it. */
  addValidator(validator: RequestValidator): () => void
}

export interface GraphsyncInit {
  /**
   * Requests of peers that are served at once; further ones wait.
   *
   * @default 1024
   */
  maxInboundRequests?: number

  /**
   * Own requests in progress at once; further ones wait.
   *
   * @default 1024
   */
  maxOutboundRequests?: number

  /**
   * Bytes of responses that wait for one peer before the walks for it stop. Go: MaxMemoryPerPeerResponder, 16 MiB.
   *
   * @default 2_097_152
   */
  maxPeerBytes?: number

  /**
   * The same for all peers together. When half of it is taken the rest is shared out between them, so that peers who take nothing do
   * not stop the others; a block may be over it for each peer. Go: MaxMemoryResponder.
   *
   * @default 268_435_456
   */
  maxTotalBytes?: number
}
