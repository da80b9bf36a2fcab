/// <reference lib="esnext.disposable" preserve="true" />
import type { AbortOptions, ComponentLogger, Libp2p, Metrics, PeerId, PeerInfo } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Datastore } from 'interface-datastore'
import type { CID } from 'multiformats/cid'
import type { ProgressEvent, ProgressOptions } from 'progress-events'
import type { PubSub, ReceiverInit } from './announce.ts'
import type { DataTransfer } from './data-transfer.ts'
import type { RecursionLimit, SelectorNode } from './selector.ts'
import type { LinkSystem } from './store.ts'
import type { HttpRetry, Prefetch, SyncTransport } from './syncer.ts'

/** Who to sync from and where. An id alone is looked up; addresses alone must carry /p2p/ID. */
export type SyncTarget = PeerId | PeerInfo | Multiaddr | Multiaddr[]

export interface SubscriberComponents {
  /** Where blocks go, verified. */
  linkSystem: LinkSystem

  /** Without one only HTTP works (a browser page, a script). */
  libp2p?: Libp2p

  /** Absent: `libp2p.services.pubsub` when there is one. */
  pubsub?: PubSub

  /** Keeps latest syncs across restarts, under /dagsync/v1. Absent: in memory, as in Go. */
  datastore?: Datastore

  /** Absent: the node's logger when there is a node, else none. */
  logger?: ComponentLogger

  /** Absent: the node's metrics when there are any. */
  metrics?: Metrics
}

export interface SubscriberInit {
  /** e.g. '/indexer/ingest/mainnet'; needed for announcements over gossip, and for dtsync. */
  topic?: string

  /** Present: listen for announcements. */
  receiver?: ReceiverInit

  /**
   * How long an address of a publisher is remembered, in milliseconds.
   *
   * @default 172_800_000
   */
  addrTTL?: number

  /**
   * How long the state of a publisher without work is kept, in milliseconds.
   *
   * @default 3_600_000
   */
  idleHandlerTTL?: number

  /** Called for every block of every sync; SyncOptions.blockHook replaces it for one sync. */
  blockHook?: BlockHook

  /**
   * Depth of one segment; false, or without a block hook: not segmented. The hook has to call setNextSyncCid(): a sync whose hook
   * names no next segment ends, as a good one, and latest moves past what was not fetched.
   *
   * @default false
   */
  segmentDepthLimit?: number | false

  /**
   * How deep the default selector goes.
   *
   * @default { none: {} }
   */
  syncRecursionLimit?: RecursionLimit

  /**
   * What the default selector explores at each step; it must hold a recursive edge.
   *
   * @default explore all, recursive
   */
  defaultSelectorSequence?: SelectorNode

  /**
   * Whether a sync of advertisements follows their PreviousID only. Absent: syncAdChain() does, as in Go v0.7.8; sync() and syncs
   * that announcements start follow `defaultSelectorSequence`, as in Go v0.3.2. true: all of them; false: none. Go v0.7.8:
   * StrictAdsSelector.
   */
  strictAdsSelector?: boolean

  /**
   * How many advertisements of a chain one sync takes; false: all. A depth of the default selector, as `syncRecursionLimit` is: the
   * smaller one holds. Latest moves all the same: what is deeper is left to a sync with `resync`. Go v0.7.8: AdsDepthLimit.
   *
   * @default false
   */
  adsDepthLimit?: number | false

  /**
   * The same, in place of both, for a sync that has nowhere to stop: the first one of a publisher. Go v0.7.8: FirstSyncDepth.
   *
   * @default false
   */
  firstSyncDepth?: number | false

  /**
   * How many blocks of one chain of entries syncEntries() takes; false: all. Go v0.7.8: EntriesDepthLimit.
   *
   * @default false
   */
  entriesDepthLimit?: number | false

  /**
   * How many more blocks a sync may load again than for the first time, as an estimate. Beyond it the sync ends with a RepeatLimitError:
   * blocks that link to the same ones again and again would keep it busy for ever. false: any number.
   *
   * @default 1_048_576
   */
  repeatLimit?: number | false

  /**
   * What syncs over HTTP may fetch ahead where a block has several links, all of them together: requests at once, and bytes that are
   * held until their walk comes to them (beyond which each request may bring one block more). One sync takes at most half of what
   * the others leave. false: nothing is fetched ahead.
   *
   * @default { requests: 32, bytes: 16_777_216 }
   */
  prefetch?: Prefetch | false

  /** Asked for a publisher that nothing is known of; a value in the datastore wins. */
  lastKnownSync?: LastKnownSync

  /** Absent: in Node a keep-alive client over sockets, elsewhere globalThis.fetch; the same limits and rules either way. */
  fetch?: typeof globalThis.fetch

  /**
   * The limit for one HTTP request, in milliseconds.
   *
   * @default 10_000
   */
  httpTimeout?: number

  /**
   * How often a request is repeated after a transport error, 429 or 5xx, and the delays between, in milliseconds; false: never.
   *
   * @default { retries: 3, minDelay: 200, maxDelay: 10_000 }
   */
  httpRetry?: HttpRetry | false

  /**
   * The largest block or head that is accepted, in bytes.
   *
   * @default 4_194_304
   */
  maxBlockSize?: number

  /**
   * How many announce-started syncs run at once, fair between publishers.
   *
   * @default 64
   */
  maxAsyncSyncs?: number

  /**
   * A sync without progress for this long fails with StalledError, in milliseconds. The block hook's own time does not count.
   *
   * @default 60_000
   */
  stallTimeout?: number

  /**
   * Which transports are used, the preferred one first: `http` where an HTTP address is known; over libp2p what the publisher speaks,
   * `dtsync` (which needs a topic) and `ipnisync`, HTTP over streams. One that is left out is not used. Where libp2p addresses alone
   * are given, an HTTP address of before is asked last.
   *
   * @default ['http', 'dtsync', 'ipnisync']
   */
  transports?: SyncTransport[]

  /**
   * An existing data transfer manager for syncs over libp2p, which its owner starts and stops. Absent: one per node is made when
   * it is needed, and shared by the publishers and subscribers on it.
   */
  dataTransfer?: DataTransfer

  /**
   * Graphsync requests in progress on the node, each way; further ones wait. The same for all that share the node.
   *
   * @default { inbound: 1024, outbound: 1024 }
   */
  maxGraphsyncRequests?: { inbound?: number, outbound?: number }
}

/** The newest CID that is known to be synced from a publisher, from the caller's own records. */
export type LastKnownSync = (publisher: PeerId, options?: AbortOptions) => CID | undefined | Promise<CID | undefined>

/**
 * Called in walk order once per block load, when the block is verified, stored and its links are known; awaited, so that a
 * slow hook slows the wire. A throw fails the sync with BlockHookError. A hook may delete the block; over dtsync not one that the
 * sync comes to again, which the publisher sends once. It may await a sync of the same publisher that does not move latest (with a
 * `cid`, say); one that does waits for the sync that called the hook, for ever. A sync that is aborted, or stopped, waits 250 ms for its
 * hook; then it ends without it.
 */
export type BlockHook = (publisher: PeerId, cid: CID, actions: SegmentSyncActions) => void | Promise<void>

/** What a block hook may say of the sync that it is called by. Go: SegmentSyncActions. */
export interface SegmentSyncActions {
  /** The CID that the next segment begins at; undefined: this segment is the last one. Without segments it does nothing. */
  setNextSyncCid(cid: CID | undefined): void

  /** Fails the sync (SegmentSyncError) at the end of its segment, unless taken back until then by undefined. To end it at once, throw. */
  failSync(error: Error | undefined): void
}

/** How one Subscriber.sync() goes. */
export interface SyncOptions extends AbortOptions, ProgressOptions<SyncProgressEvents> {
  /** Absent: ask the publisher for its head. */
  cid?: CID

  /** Absent: the default sequence, wrapped with stop-at-latest. Given: used as it is. */
  selector?: SelectorNode

  /** In place of the subscriber's. */
  blockHook?: BlockHook

  /** In place of the subscriber's. */
  segmentDepthLimit?: number | false

  /** Where to stop, in place of latest. Not beside a selector. Go v0.7.8: WithStopAdCid. */
  stopAt?: CID

  /**
   * Does not stop at latest, and leaves it where it is: no SyncFinished. Not beside a selector. Go v0.7.8: WithAdsResync.
   *
   * @default false
   */
  resync?: boolean

  /**
   * In place of the subscriber's limits; false: none. Not beside a selector. Latest moves all the same: what is deeper is left to a
   * sync with `resync`. Go v0.7.8: ScopedDepthLimit.
   */
  depthLimit?: number | false

  /** In place of the subscriber's. */
  repeatLimit?: number | false

  /**
   * Moves latest and emits SyncFinished though a CID or a selector was given.
   *
   * @default false
   */
  forceUpdateLatest?: boolean
}

/** How one Subscriber.syncAdChain() goes. */
export interface SyncAdChainOptions extends Omit<SyncOptions, 'selector'> {}

/** How one Subscriber.syncOneEntry() goes. */
export interface SyncEntryOptions extends AbortOptions, ProgressOptions<SyncProgressEvents> {
  /** In place of the subscriber's. */
  blockHook?: EntriesHook
}

/** How one Subscriber.syncHamtEntries() goes. */
export interface SyncHamtEntriesOptions extends SyncEntryOptions {
  /**
   * How many links there may be from the root to a block: one that is further down ends the sync with a DepthLimitError. false: any.
   *
   * @default 128
   */
  depthLimit?: number | false

  /**
   * How many times in all there may be blocks that were there before, which no HAMT has; then the sync ends with a RepeatLimitError.
   * Of many blocks the repeats are estimated. false: any number.
   *
   * @default 65_536
   */
  repeatLimit?: number | false
}

/** How one Subscriber.syncEntries() goes. */
export interface SyncEntriesOptions extends SyncEntryOptions {
  /** In place of the subscriber's; the segments of each chain are its own. */
  segmentDepthLimit?: number | false

  /** How many blocks of each chain, in place of the subscriber's entriesDepthLimit; false: all. */
  depthLimit?: number | false

  /**
   * How many chains are synced at once. Each is one round trip for each block; 16 are far below the connections to one host (64),
   * and what a publisher that makes entries when it is asked for them can bear.
   *
   * @default 16
   */
  concurrency?: number
}

/**
 * A BlockHook that is told which entries a block belongs to: the CID that the call was given. Within one chain the calls are in walk
 * order, one after the other; calls of different chains may overlap.
 */
export type EntriesHook = (
  publisher: PeerId, cid: CID, actions: SegmentSyncActions, entries: CID
) => void | Promise<void>

/**
 * A sync that moved latest, or found the head to be latest (`count` is 0), or an announce-started one that failed, unless it was refused
 * (TransferRejectedError). Go: SyncFinished.
 */
export interface SyncFinished {
  /** Latest now; of one that failed, what was announced. */
  cid: CID
  peerId: PeerId

  /** How many block loads the sync made, local ones included; 0 of one that failed. */
  count: number
  error?: Error
}

/** The publisher's head is known; a block was loaded, from the store (`local`) or not, the count-th one; a segment begins at `next`. */
export type SyncProgressEvents =
  ProgressEvent<'dagsync:head', CID> |
  ProgressEvent<'dagsync:block', { cid: CID, bytes: number, count: number, local: boolean }> |
  ProgressEvent<'dagsync:segment', { next: CID, depth: number }>

/** Addresses per peer, each with a time to live. */
export interface AddressBook {
  get(peer: PeerId): Multiaddr[]

  /** ttl in milliseconds; a known address gets the later end of the two. Throws InvalidOptionError. */
  add(peer: PeerId, addrs: Multiaddr[], ttl: number): void

  /** Without addresses: all of the peer's. */
  delete(peer: PeerId, addrs?: Multiaddr[]): void
}

/** For onSyncFinished(). */
export interface SyncFinishedOptions extends AbortOptions {
  /** How many events may wait for this reader; the oldest is dropped beyond it. Absent: unbounded. */
  maxPending?: number
}
