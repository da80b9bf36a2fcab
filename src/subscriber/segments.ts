import type { CID } from 'multiformats/cid'
import type { SelectorNode } from '../shared/types.ts'
import { depthOf, recursionLimit, recursionLimitDepth, withRecursionLimit } from '../traversal/limits.ts'

/** One part of a sync. */
export interface Segment {
  cid: CID
  selector: SelectorNode

  /** How deep this segment goes; undefined: the sync is not segmented. */
  depth?: number
}

/**
 * Splits a sync into segments of a depth: next() takes the CID that the block hook gave for the next one, until there is
 * none, it is the stop link, or the depths add up to the selector's own limit.
 *
 * Behaves as handler.handle (go-libipni v0.3.2, dagsync/subscriber.go): only a selector with a recursion limit at its top
 * that is deeper than one segment is split.
 */
export function * segments (
  cid: CID, selector: SelectorNode, limit: number | false, stop?: CID
): Generator<Segment, void, CID | undefined> {
  const whole = recursionLimit(selector)
  let left = depthOf(whole)
  if (limit === false || whole == null || left <= limit) {
    yield { cid, selector }
    return
  }
  for (let next: CID | undefined = cid; next != null && left > 0 && stop?.equals(next) !== true;) {
    const depth = Math.min(limit, left)
    next = yield { cid: next, selector: withRecursionLimit(selector, recursionLimitDepth(depth)) ?? selector, depth }
    left -= depth
  }
}
