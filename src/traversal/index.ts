/**
 * IPLD selectors: build them, compile them, and walk the blocks that they reach, in the order that Go does.
 *
 * @example
 * import { createLinkSystem } from 'dagsync'
 * import { dagsyncSelector, recursionLimitDepth, walk } from 'dagsync/selector'
 *
 * const linkSystem = createLinkSystem()
 * const load = async cid => {
 *   const bytes = new Uint8Array(await (await fetch(`https://example.com/ipni/v1/ad/${cid}`)).arrayBuffer())
 *   await linkSystem.put(cid, bytes) // checks the hash, which walk() does not
 *   return bytes
 * }
 * for await (const { cid, bytes } of walk(root, dagsyncSelector(recursionLimitDepth(10)), load)) {
 *   console.log(cid.toString(), bytes.length)
 * }
 */
export {
  exploreAll, exploreFields, exploreIndex, exploreRange, exploreRecursive, exploreRecursiveEdge, exploreUnion, matcher
} from './builders.ts'
export { recursionLimitDepth, recursionLimitNone } from './limits.ts'
export { parseSelector } from './selector.ts'
export { dagsyncSelector, exploreRecursiveWithStop } from './stop-at.ts'
export { walk } from './walk.ts'
export { DagsyncError, InvalidMessageError, InvalidOptionError, InvalidSelectorError, UnknownCodecError } from '../shared/errors.ts'
export type { LoadBlock, RecursionLimit, Selector, SelectorNode, WalkOptions } from '../shared/types/selector.ts'
