import type { CID } from 'multiformats/cid'
import type { RecursionLimit, SelectorNode } from '../shared/types.ts'
import {
  exploreAll, exploreFields, exploreRecursive, exploreRecursiveEdge, exploreRecursiveWithStop, recursionLimitDepth, recursionLimitNone
} from '../traversal/index.ts'
import type { SubscriberConfig } from './options.ts'

// The selectors of go-libipni v0.7.8, dagsync/subscriber.go.

const PREVIOUS = exploreFields({ PreviousID: exploreRecursiveEdge() })
const NEXT = exploreFields({ Next: exploreRecursiveEdge() })
const ALL = exploreAll(exploreRecursiveEdge())

/** The block of the entries alone. Go: selectorOne. */
export const ONE_ENTRY = exploreRecursive(recursionLimitDepth(1), ALL)

/** The whole HAMT. Go: selectorAll. */
export const HAMT_ENTRIES = exploreRecursive(recursionLimitNone, ALL)

/** A chain of entries, so many blocks of it. Go: selectorEnts. */
export function entriesSelector (depth: number | false): SelectorNode {
  return exploreRecursive(limitOf(depth), NEXT)
}

/** The default selector of one sync. */
export interface AdsSelectorInit {
  /** The sync is of advertisements: syncAdChain(). */
  ads?: boolean
  stop?: CID
  depthLimit?: number | false
}

export function adsSelector (config: SubscriberConfig, { ads = false, stop, depthLimit }: AdsSelectorInit): SelectorNode {
  const sequence = config.strictAdsSelector ?? ads ? PREVIOUS : config.defaultSelectorSequence
  return exploreRecursiveWithStop(adsLimit(config, stop, depthLimit), sequence, stop)
}

function adsLimit (config: SubscriberConfig, stop?: CID, depthLimit?: number | false): RecursionLimit {
  const { syncRecursionLimit, adsDepthLimit, firstSyncDepth } = config
  if (depthLimit != null) { return limitOf(depthLimit) }
  if (stop == null && firstSyncDepth !== false) { return limitOf(firstSyncDepth) }
  const isSmaller = adsDepthLimit !== false && !('depth' in syncRecursionLimit && syncRecursionLimit.depth <= adsDepthLimit)
  return isSmaller ? limitOf(adsDepthLimit) : syncRecursionLimit
}

function limitOf (depth: number | false): RecursionLimit {
  return depth === false ? recursionLimitNone : recursionLimitDepth(depth)
}
