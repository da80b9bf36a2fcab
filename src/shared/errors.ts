import type { PeerId } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { reason } from './reason.ts'

/** What every error of this package extends: `name` and `code` survive minifying, `cause` is kept. */
export class DagsyncError extends Error {
  static name = 'DagsyncError'
  name = 'DagsyncError'
  readonly code: string = 'ERR_DAGSYNC'

  /** AnnounceError is both a DagsyncError and an AggregateError, which one prototype chain cannot say. */
  static [Symbol.hasInstance] (value: unknown): boolean {
    return Function.prototype[Symbol.hasInstance].call(this, value) ||
      (this === DagsyncError && Function.prototype[Symbol.hasInstance].call(AnnounceError, value))
  }
}

/** An option or an argument is wrong; `field` says which. */
export class InvalidOptionError extends DagsyncError {
  static name = 'InvalidOptionError'
  name = 'InvalidOptionError'
  readonly code = 'ERR_INVALID_OPTION'
  readonly field: string

  constructor (field: string, problem: string, options?: ErrorOptions) {
    super(`${field} ${problem}`, options)
    this.field = field
  }
}

/** The subscriber is stopped, or was stopped while this ran. */
export class SubscriberStoppedError extends DagsyncError {
  static name = 'SubscriberStoppedError'
  name = 'SubscriberStoppedError'
  readonly code = 'ERR_SUBSCRIBER_STOPPED'

  constructor (message = 'the subscriber is stopped', options?: ErrorOptions) {
    super(message, options)
  }
}

/** The publisher is stopped, or was stopped while this ran. */
export class PublisherStoppedError extends DagsyncError {
  static name = 'PublisherStoppedError'
  name = 'PublisherStoppedError'
  readonly code = 'ERR_PUBLISHER_STOPPED'

  constructor (message = 'the publisher is stopped', options?: ErrorOptions) {
    super(message, options)
  }
}

/** The receiver of announcements is stopped, or was stopped while this ran. */
export class ReceiverClosedError extends DagsyncError {
  static name = 'ReceiverClosedError'
  name = 'ReceiverClosedError'
  readonly code = 'ERR_RECEIVER_CLOSED'

  constructor (message = 'the receiver is closed', options?: ErrorOptions) {
    super(message, options)
  }
}

/** announce() on a subscriber that was made without a receiver. */
export class NoReceiverError extends DagsyncError {
  static name = 'NoReceiverError'
  name = 'NoReceiverError'
  readonly code = 'ERR_NO_RECEIVER'

  constructor (message = 'the subscriber has no receiver: make it with the receiver option', options?: ErrorOptions) {
    super(message, options)
  }
}

/** No transport fits the publisher; `tried` lists what was looked at and why it did not fit. */
export class TransportUnavailableError extends DagsyncError {
  static name = 'TransportUnavailableError'
  name = 'TransportUnavailableError'
  readonly code = 'ERR_TRANSPORT_UNAVAILABLE'
  readonly peerId: PeerId
  readonly tried: string[]

  constructor (peerId: PeerId, tried: string[], options?: ErrorOptions) {
    super(`no transport to sync from ${peerId}: ${tried.join('; ')}`, options)
    this.peerId = peerId
    this.tried = tried
  }
}

/** The head could not be asked; `cause` says why. */
export class HeadQueryError extends DagsyncError {
  static name = 'HeadQueryError'
  name = 'HeadQueryError'
  readonly code = 'ERR_HEAD_QUERY'
  readonly peerId: PeerId

  constructor (peerId: PeerId, options?: ErrorOptions) {
    super(`cannot query the head of ${peerId}: ${reason(options?.cause)}`, options)
    this.peerId = peerId
  }
}

/** A signed head that does not decode, or whose signature is wrong. */
export class InvalidSignedHeadError extends DagsyncError {
  static name = 'InvalidSignedHeadError'
  name = 'InvalidSignedHeadError'
  readonly code = 'ERR_INVALID_SIGNED_HEAD'
}

/** A head with a good signature, by another peer than the publisher. */
export class UnexpectedSignerError extends DagsyncError {
  static name = 'UnexpectedSignerError'
  name = 'UnexpectedSignerError'
  readonly code = 'ERR_UNEXPECTED_SIGNER'
  readonly expected: PeerId
  readonly signer: PeerId

  constructor (expected: PeerId, signer: PeerId, options?: ErrorOptions) {
    super(`head of ${expected} is signed by ${signer}`, options)
    this.expected = expected
    this.signer = signer
  }
}

/** The publisher answered, and does not have the block. */
export class ContentNotFoundError extends DagsyncError {
  static name = 'ContentNotFoundError'
  name = 'ContentNotFoundError'
  readonly code = 'ERR_CONTENT_NOT_FOUND'
  readonly cid: CID

  constructor (cid: CID, options?: ErrorOptions) {
    super(`content not found: ${cid}`, options)
    this.cid = cid
  }
}

/** The transport gave up; `cause` says why. */
export class TransferFailedError extends DagsyncError {
  static name = 'TransferFailedError'
  name = 'TransferFailedError'
  readonly code = 'ERR_TRANSFER_FAILED'
}

/** The publisher refused the transfer. */
export class TransferRejectedError extends DagsyncError {
  static name = 'TransferRejectedError'
  name = 'TransferRejectedError'
  readonly code = 'ERR_TRANSFER_REJECTED'
}

/** Bytes that do not hash to their CID; never stored. */
export class HashMismatchError extends DagsyncError {
  static name = 'HashMismatchError'
  name = 'HashMismatchError'
  readonly code = 'ERR_HASH_MISMATCH'
  readonly cid: CID
  readonly peer: PeerId | undefined

  constructor (cid: CID, peer?: PeerId, options?: ErrorOptions) {
    super(`bytes do not match ${cid}${peer == null ? '' : `, from ${peer}`}`, options)
    this.cid = cid
    this.peer = peer
  }
}

/** A block or a head over the limit, in bytes. */
export class BlockTooLargeError extends DagsyncError {
  static name = 'BlockTooLargeError'
  name = 'BlockTooLargeError'
  readonly code = 'ERR_BLOCK_TOO_LARGE'
  readonly limit: number

  constructor (what: string, limit: number, options?: ErrorOptions) {
    super(`${what} is larger than maxBlockSize, ${limit} bytes`, options)
    this.limit = limit
  }
}

/** Blocks further below the root of a sync than its limit, in links. */
export class DepthLimitError extends DagsyncError {
  static name = 'DepthLimitError'
  name = 'DepthLimitError'
  readonly code = 'ERR_DEPTH_LIMIT'
  readonly cid: CID
  readonly limit: number

  constructor (cid: CID, limit: number, options?: ErrorOptions) {
    super(`${cid} is more than ${limit} links below its root`, options)
    this.cid = cid
    this.limit = limit
  }
}

/** A walk that came to blocks again more often than its limit. */
export class RepeatLimitError extends DagsyncError {
  static name = 'RepeatLimitError'
  name = 'RepeatLimitError'
  readonly code = 'ERR_REPEAT_LIMIT'
  readonly cid: CID
  readonly limit: number

  constructor (cid: CID, limit: number, options?: ErrorOptions) {
    super(`more than ${limit} repeated blocks, the last one ${cid}`, options)
    this.cid = cid
    this.limit = limit
  }
}

/** A wait that took longer than its limit; `limit` names it. */
export class TimeoutError extends DagsyncError {
  static name = 'TimeoutError'
  name = 'TimeoutError'
  readonly code = 'ERR_TIMEOUT'
  readonly limit: string

  constructor (limit: string, ms: number, options?: ErrorOptions) {
    super(`${limit}: no answer within ${ms} ms`, options)
    this.limit = limit
  }
}

/** A sync without progress for as long as `stallTimeout`. */
export class StalledError extends DagsyncError {
  static name = 'StalledError'
  name = 'StalledError'
  readonly code = 'ERR_STALLED'
  readonly limit = 'stallTimeout'

  constructor (ms: number, options?: ErrorOptions) {
    super(`no progress within stallTimeout, ${ms} ms`, options)
  }
}

/** An answer with a status that is neither the block nor "not found". */
export class HttpStatusError extends DagsyncError {
  static name = 'HttpStatusError'
  name = 'HttpStatusError'
  readonly code = 'ERR_HTTP_STATUS'
  readonly status: number
  readonly url: string

  constructor (status: number, url: string, options?: ErrorOptions) {
    super(`HTTP status ${status} from ${url}`, options)
    this.status = status
    this.url = url
  }
}

/** The block hook threw; `cause` is what it threw. */
export class BlockHookError extends DagsyncError {
  static name = 'BlockHookError'
  name = 'BlockHookError'
  readonly code = 'ERR_BLOCK_HOOK'
  readonly cid: CID

  constructor (cid: CID, options?: ErrorOptions) {
    super(`the block hook failed on ${cid}: ${reason(options?.cause)}`, options)
    this.cid = cid
  }
}

/** The block hook called failSync(); `cause` is what it gave. */
export class SegmentSyncError extends DagsyncError {
  static name = 'SegmentSyncError'
  name = 'SegmentSyncError'
  readonly code = 'ERR_SEGMENT_SYNC'

  constructor (options?: ErrorOptions) {
    super(`the block hook failed the sync: ${reason(options?.cause)}`, options)
  }
}

/** A selector that does not decode or cannot be compiled. */
export class InvalidSelectorError extends DagsyncError {
  static name = 'InvalidSelectorError'
  name = 'InvalidSelectorError'
  readonly code = 'ERR_INVALID_SELECTOR'
}

/** A message of a peer that does not decode. */
export class InvalidMessageError extends DagsyncError {
  static name = 'InvalidMessageError'
  name = 'InvalidMessageError'
  readonly code = 'ERR_INVALID_MESSAGE'
}

/** A multiaddr or a URL that does not decode or does not convert. */
export class InvalidMultiaddrError extends DagsyncError {
  static name = 'InvalidMultiaddrError'
  name = 'InvalidMultiaddrError'
  readonly code = 'ERR_INVALID_MULTIADDR'
}

/** No codec is registered under this code. */
export class UnknownCodecError extends DagsyncError {
  static name = 'UnknownCodecError'
  name = 'UnknownCodecError'
  readonly code = 'ERR_UNKNOWN_CODEC'
  readonly codec: number

  constructor (codec: number, options?: ErrorOptions) {
    super(`unknown codec 0x${codec.toString(16)}`, options)
    this.codec = codec
  }
}

/** No hasher is registered under this code. */
export class UnknownHasherError extends DagsyncError {
  static name = 'UnknownHasherError'
  name = 'UnknownHasherError'
  readonly code = 'ERR_UNKNOWN_HASHER'
  readonly hasher: number

  constructor (hasher: number, options?: ErrorOptions) {
    super(`unknown hasher 0x${hasher.toString(16)}`, options)
    this.hasher = hasher
  }
}

/** Every sender of an announcement failed; `errors` has one of each. */
export class AnnounceError extends AggregateError {
  static name = 'AnnounceError'
  name = 'AnnounceError'
  readonly code = 'ERR_ANNOUNCE'

  constructor (errors: Error[], options?: ErrorOptions) {
    super(errors, `every announce sender failed: ${errors.map(reason).join('; ')}`, options)
  }
}
