import { CID } from 'multiformats/cid'
import { InvalidOptionError, InvalidSelectorError } from '../shared/errors.ts'
import type { RecursionLimit, SelectorNode } from '../shared/types.ts'
import { dagCborOrder } from './dag-cbor-order.ts'
import { limitNode } from './limits.ts'
import { get, isMap, keysOf } from './map-node.ts'
import { parseSelector } from './selector.ts'

// Go: go-ipld-prime, traversal/selector/builder. All of them throw InvalidSelectorError for a member that is no selector, and
// InvalidOptionError for any other argument.

/** Matches the node; reaches nothing more. */
export function matcher (): SelectorNode {
  return { '.': {} }
}

/** Explores all fields of a map, or a whole list. */
export function exploreAll (next: SelectorNode): SelectorNode {
  return { a: { '>': selector('next', next) } }
}

/**
 * Explores fields by name, in the order of dag-cbor, so that a walk goes alike on both ends of a wire. Where an object cannot
 * keep that order, since names look like integers, `f>` is a Map.
 */
export function exploreFields (fields: Record<string, SelectorNode>): SelectorNode {
  if (!isMap(fields)) { throw new InvalidOptionError('fields', 'must be an object') }
  const names = keysOf(fields) as string[]
  const entries = dagCborOrder(names).map(name => [name, selector(`fields.${name}`, get(fields, name))] as const)
  const object = Object.fromEntries(entries)
  const kept = Object.keys(object).every((name, i) => name === entries[i][0])
  return { f: { 'f>': kept ? object : new Map(entries) } }
}

/** Explores one index of a list. */
export function exploreIndex (index: number, next: SelectorNode): SelectorNode {
  return { i: { i: integer('index', index), '>': selector('next', next) } }
}

/** Explores the indexes of a list from start up to, but without, end. */
export function exploreRange (start: number, end: number, next: SelectorNode): SelectorNode {
  if (integer('end', end) <= integer('start', start)) { throw new InvalidOptionError('end', 'must be greater than start') }
  return { r: { $: end, '>': selector('next', next), '^': start } }
}

/** Explores what any member does. */
export function exploreUnion (...members: SelectorNode[]): SelectorNode {
  return { '|': members.map((member, i) => selector(`members[${i}]`, member)) }
}

/** Explores a sequence again and again: where it has a recursive edge, it begins anew. Links equal to stopAt are not followed. */
export function exploreRecursive (limit: RecursionLimit, sequence: SelectorNode, stopAt?: CID): SelectorNode {
  const body: Record<string, unknown> = { l: limitNode(limit), ':>': selector('sequence', sequence) }
  if (stopAt != null) {
    if (CID.asCID(stopAt) == null) { throw new InvalidOptionError('stopAt', 'must be a CID') }
    body['!'] = { '/': stopAt }
  }
  const node = { R: body }
  parseSelector(node) // its own edge, and no other
  return node
}

/** Stands for the sequence of the nearest recursion around it. */
export function exploreRecursiveEdge (): SelectorNode {
  return { '@': {} }
}

function selector (name: string, node: unknown): SelectorNode {
  if (!isMap(node) || keysOf(node).length !== 1) { throw new InvalidSelectorError(`${name} must be a selector, a map of one entry`) }
  return node
}

function integer (name: string, value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) { throw new InvalidOptionError(name, 'must be an integer of 0 or more') }
  return value
}
