import { InvalidOptionError } from '../shared/errors.ts'
import type { RecursionLimit, SelectorNode } from '../shared/types.ts'
import { get, isMap, keysOf } from './map-node.ts'

/** No limit. Go: selector.RecursionLimitNone(). */
export const recursionLimitNone: RecursionLimit = Object.freeze({ none: Object.freeze({}) })

/**
 * A limit of so many passes of the recursive edge. For the default selector on a chain whose link is a top-level field: as many
 * blocks. Go: selector.RecursionLimitDepth().
 *
 * @throws {InvalidOptionError} depth is no integer
 */
export function recursionLimitDepth (depth: number): RecursionLimit {
  if (!Number.isSafeInteger(depth)) { throw new InvalidOptionError('depth', 'must be an integer') }
  return { depth }
}

/** A limit as it goes into a selector: checked, and a copy. */
export function limitNode (limit: RecursionLimit): RecursionLimit {
  if (isMap(limit) && keysOf(limit).length === 1) {
    if (get(limit, 'none') !== undefined) { return { none: {} } }
    const depth = get(limit, 'depth')
    if (Number.isSafeInteger(depth)) { return { depth: depth as number } }
  }
  throw new InvalidOptionError('limit', 'must be { none: {} } or { depth: an integer }')
}

/** The limit of a selector that is a recursion, undefined for any other. Go: getRecursionLimit, dagsync/selector.go. */
export function recursionLimit (node: SelectorNode): RecursionLimit | undefined {
  const limit = at(at(node, 'R'), 'l')
  const depth = at(limit, 'depth')
  if (depth === undefined) { return at(limit, 'none') === undefined ? undefined : recursionLimitNone }
  return typeof depth === 'bigint' || Number.isInteger(depth) ? { depth: Number(depth) } : undefined
}

/** The passes that a limit allows; Infinity where it is none, or there is none. */
export function depthOf (limit: RecursionLimit | undefined): number {
  return limit != null && 'depth' in limit ? limit.depth : Infinity
}

/**
 * The selector with another limit and all else as it is; undefined when it is no recursion.
 * Go: withRecursionLimit, dagsync/selector.go.
 */
export function withRecursionLimit (node: SelectorNode, limit: RecursionLimit): SelectorNode | undefined {
  const body = at(node, 'R')
  if (!isMap(body) || keysOf(node).length !== 1) { return undefined }
  const rest = keysOf(body).filter(key => key !== 'l').map(key => [key, get(body, key)])
  return { R: { l: limitNode(limit), ...Object.fromEntries(rest) } }
}

/** The value of a map's key, undefined also where there is no map. */
export function at (node: unknown, key: string): unknown {
  return isMap(node) ? get(node, key) : undefined
}
