import type { AbortOptions } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import type { SelectorNode } from './selector.ts'

/** A block that a sync has reached: verified, stored, and its links known. */
export interface SyncedBlock {
  cid: CID

  /** Size in bytes. */
  bytes: number

  /** Whether it came from the store. Over dtsync all comes from the publisher after the first gap, also what is there. */
  local: boolean

  /** How many links there are from the root of the sync to it, where the syncer tells. */
  depth?: number
}

/** How one Syncer.sync() goes. */
export interface SyncerSyncOptions extends AbortOptions {
  /** Awaited for each block load, in walk order. */
  onBlock?: (block: SyncedBlock) => void | Promise<void>

  /** Called for progress that brings no block: over dtsync a publisher walks again over what is here before the first gap. */
  onPassed?: () => void

  /** Called when the walk is over, if it came to the selector's stop link. */
  onStopLink?: () => void

  /** What the root is, where that is known: a hint for the publisher (Ipni-Cid-Schema-Type). */
  schemaType?: 'Advertisement' | 'EntryChunk'
}

/** Syncs with one publisher over one transport; what a Subscriber is built on. */
export interface Syncer {
  /** The publisher's head; undefined when it has none. */
  head(options?: AbortOptions): Promise<CID | undefined>

  /** Fetches what the selector reaches from root and the store lacks. */
  sync(root: CID, selector: SelectorNode, options?: SyncerSyncOptions): Promise<void>
}

/** How blocks come from a publisher. */
export type SyncTransport = 'http' | 'dtsync' | 'ipnisync'

/** Retries of one HTTP request; delays are milliseconds. */
export interface HttpRetry {
  retries: number
  minDelay: number
  maxDelay: number
}

/** How much is fetched ahead of the walks that need it. */
export interface Prefetch {
  requests: number

  /** Of blocks that wait. */
  bytes: number
}
