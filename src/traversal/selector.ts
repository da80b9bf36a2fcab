import { CID } from 'multiformats/cid'
import { InvalidSelectorError } from '../shared/errors.ts'
import type { Selector, SelectorNode } from '../shared/types.ts'
import { All, Edge, Fields, InterpretAs, Matcher, Range, Recursion, Sequence, Union } from './clause.ts'
import type { Clause } from './clause.ts'
import { dagCborOrder } from './dag-cbor-order.ts'
import { get, isMap, keysOf } from './map-node.ts'

/** Ours, so that hostile selectors end: clauses of one selector, and how deep they are in each other. */
const MAX_CLAUSES = 16_384
const MAX_DEPTH = 512

const MAX_INT64 = 2n ** 63n

/** A selector that parseSelector() made. */
export class CompiledSelector implements Selector {
  readonly node: SelectorNode
  readonly clause: Clause

  /** Whether values that are no links can fail the walk. */
  readonly canFail: boolean

  constructor (node: SelectorNode, clause: Clause, canFail: boolean) {
    this.node = node
    this.clause = clause
    this.canFail = canFail
  }
}

/**
 * Compiles a selector. Takes maps as objects or as Map: the order of fields is that of the node in hand, and integer-like names
 * keep theirs in a Map only. Takes and refuses what CompileSelector of go-ipld-prime takes and refuses; selectors of more than
 * 16,384 clauses, or nested deeper than 512, are refused too.
 *
 * @throws {InvalidSelectorError} which says where
 */
export function parseSelector (node: unknown): Selector {
  return compile(node)
}

/** The same, with what the walk needs; what parseSelector() made is taken too. `inDagCborOrder`: fields as whoever hears of it has them. */
export function compile (node: unknown, inDagCborOrder = false): CompiledSelector {
  if (node instanceof CompiledSelector) { return inDagCborOrder ? compile(node.node, true) : node }
  const parser = new Parser(inDagCborOrder)
  const clause = parser.clause(node, '', [])
  return new CompiledSelector(node as SelectorNode, clause, parser.canFail)
}

class Parser {
  canFail = false
  private readonly inDagCborOrder: boolean
  private clauses = 0
  private depth = 0

  constructor (inDagCborOrder: boolean) {
    this.inDagCborOrder = inDagCborOrder
  }

  clause (node: unknown, where: string, edges: number[]): Clause {
    if (++this.clauses > MAX_CLAUSES) { throw invalid('', `has more than ${MAX_CLAUSES} clauses`) }
    if (++this.depth > MAX_DEPTH) { throw invalid('', `is nested deeper than ${MAX_DEPTH}`) }
    const clause = this.kind(node, where, edges)
    this.depth--
    return clause
  }

  private kind (node: unknown, where: string, edges: number[]): Clause {
    const [kind, body] = union(node, where, 'a selector')
    const at = `${where}/${kind}`
    if (kind === '|') {
      if (!Array.isArray(body)) { throw invalid(at, 'must be a list') }
      return new Union(body.map((member, i) => this.clause(member, `${at}${i}`, edges)))
    }
    if (!isMap(body)) { throw invalid(at, 'must be a map') }
    switch (kind) {
      case '.': return this.matcher(body, at)
      case 'a': return new All(this.next(body, at, edges))
      case 'f': return this.fields(body, at, edges)
      case 'i': {
        const index = int(body, 'i', at)
        return new Range(index, index + 1, this.next(body, at, edges))
      }
      case 'r': return this.range(body, at, edges)
      case 'R': return this.recursion(body, at)
      case '@':
        if (edges.length === 0) { throw invalid(at, 'must be within R') }
        edges[0]++
        return new Edge()
      case '~': return this.interpretAs(body, at, edges)
      default: throw invalid(at, 'is not a known kind of selector')
    }
  }

  private next (body: object, at: string, edges: number[]): Clause {
    return this.clause(field(body, '>', at), `${at}/>`, edges)
  }

  private matcher (body: object, at: string): Clause {
    const subset = get(body, 'subset')
    if (subset === undefined) { return new Matcher(false) }
    if (!isMap(subset)) { throw invalid(`${at}/subset`, 'must be a map') }
    const from = int(subset, '[', `${at}/subset`)
    const to = int(subset, ']', `${at}/subset`)
    if (from < 0 || from > to) { throw invalid(`${at}/subset`, 'must be from 0 or more, to that or more') }
    this.canFail = true
    return new Matcher(true)
  }

  private fields (body: object, at: string, edges: number[]): Clause {
    const fields = field(body, 'f>', at)
    if (!isMap(fields)) { throw invalid(`${at}/f>`, 'must be a map') }
    const names = keysOf(fields)
    if (!names.every(name => typeof name === 'string')) { throw invalid(`${at}/f>`, 'must have strings as keys') }
    const next = new Map<string, Clause>()
    for (const name of this.inDagCborOrder ? dagCborOrder(names) : names) {
      next.set(name, this.clause(get(fields, name), `${at}/f>/${name}`, edges))
    }
    return new Fields(next)
  }

  private range (body: object, at: string, edges: number[]): Clause {
    const start = int(body, '^', at)
    const end = int(body, '$', at)
    if (start >= end) { throw invalid(at, 'must end after it starts') }
    return new Range(start, end, this.next(body, at, edges))
  }

  private recursion (body: object, at: string): Clause {
    const depth = limit(field(body, 'l', at), `${at}/l`)
    const edges = [0] // an edge belongs to the nearest R
    const sequence = this.clause(field(body, ':>', at), `${at}/:>`, edges)
    if (edges[0] === 0) { throw invalid(at, 'must have an edge, @, of its own') }
    const stop = get(body, '!')
    return new Recursion(new Sequence(sequence, stop === undefined ? undefined : condition(stop, `${at}/!`)), sequence, depth)
  }

  private interpretAs (body: object, at: string, edges: number[]): Clause {
    const adl = field(body, 'as', at)
    const next = this.next(body, at, edges)
    if (typeof adl !== 'string') { throw invalid(`${at}/as`, 'must be a string') }
    this.canFail = true
    return new InterpretAs(adl, next)
  }
}

function limit (node: unknown, where: string): number {
  const [kind, depth] = union(node, where, 'a limit')
  if (kind === 'none') { return Infinity }
  if (kind !== 'depth') { throw invalid(`${where}/${kind}`, 'is not a known kind of limit') }
  return integer(depth, `${where}/depth`)
}

function condition (node: unknown, where: string): Uint8Array {
  const [kind, link] = union(node, where, 'a condition')
  if (kind !== '/') { throw invalid(`${where}/${kind}`, 'is not a known kind of condition') }
  const cid = CID.asCID(link as any)
  if (cid == null) { throw invalid(`${where}//`, 'must be a link') }
  return cid.bytes
}

/** The one entry of a keyed union. */
function union (node: unknown, where: string, what: string): [string, unknown] {
  if (!isMap(node)) { throw invalid(where, `must be ${what}, a map`) }
  const keys = keysOf(node)
  if (keys.length !== 1) { throw invalid(where, `must be ${what}, a map of one entry`) }
  return [String(keys[0]), get(node, keys[0])]
}

function field (body: object, name: string, where: string): unknown {
  const value = get(body, name)
  if (value === undefined) { throw invalid(where, `must have ${JSON.stringify(name)}`) }
  return value
}

function int (body: object, name: string, where: string): number {
  return integer(field(body, name, where), `${where}/${name}`)
}

function integer (value: unknown, where: string): number {
  const big = typeof value === 'bigint' ? value : Number.isInteger(value) ? BigInt(value as number) : undefined
  if (big == null || big >= MAX_INT64 || big < -MAX_INT64) { throw invalid(where, 'must be an int') }
  return Number(big)
}

function invalid (where: string, problem: string): InvalidSelectorError {
  return new InvalidSelectorError(`selector${where === '' ? '' : ` ${where.slice(1, 121)}`}: ${problem}`)
}
