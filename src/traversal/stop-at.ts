import { CID } from 'multiformats/cid'
import type { RecursionLimit, SelectorNode } from '../shared/types.ts'
import { exploreAll, exploreRecursive, exploreRecursiveEdge } from './builders.ts'
import { at } from './limits.ts'

/**
 * The selector that dagsync syncs with: everything, up to the limit, without the stop link and what only it leads to.
 * Go: DagsyncSelector, dagsync/selector.go.
 *
 * @throws {InvalidOptionError} limit or stopAt is wrong
 */
export function dagsyncSelector (limit: RecursionLimit, stopAt?: CID): SelectorNode {
  return exploreRecursiveWithStop(limit, undefined, stopAt)
}

/**
 * Puts a limit and a stop link around a sequence, which must hold a recursive edge. Without a sequence: explore all with a
 * recursive edge. Go: ExploreRecursiveWithStop and ExploreRecursiveWithStopNode, dagsync/selector.go.
 *
 * @throws {InvalidSelectorError} the sequence is no selector, or has no edge
 * @throws {InvalidOptionError} limit or stopAt is wrong
 */
export function exploreRecursiveWithStop (limit: RecursionLimit, sequence?: SelectorNode, stopAt?: CID): SelectorNode {
  return exploreRecursive(limit, sequence ?? exploreAll(exploreRecursiveEdge()), stopAt)
}

/** The link that a selector which is a recursion stops at. Go: getStopNode, dagsync/selector.go. */
export function stopNode (node: SelectorNode): CID | undefined {
  return CID.asCID(at(at(at(node, 'R'), '!'), '/') as any) ?? undefined
}
