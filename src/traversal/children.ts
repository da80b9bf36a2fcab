import { InvalidSelectorError } from '../shared/errors.ts'
import { failure } from './clause.ts'
import type { Clause, Fields, Range } from './clause.ts'
import { Link } from './link.ts'
import { ListNode, MapNode } from './skeleton.ts'
import type { Child } from './skeleton.ts'

/** Clauses that are asked about children of one block, beyond which a selector is refused; the size of the block is added. */
const MAX_STEPS = 1 << 20

/** Clauses for one link that cost no more than the link. */
const FREE_SIZE = 16

const INT = /^[+-]?\d+$/

/** The links of a block that a selector wants, in the order of the walk, each with the clause for what it links to. */
export interface Wanted {
  links: Link[]
  clauses: Clause[]

  /** The size of what is kept for them beyond the usual. */
  held: number

  /** What the walk ends with after these links. */
  failure?: Error
}

/** Goes through a block without recursion: what is still to visit is on a stack, the next one on top. */
export class Explorer {
  private readonly canFail: boolean
  private readonly nodes: Child[] = []
  private readonly clauses: Clause[] = []
  private steps = 0

  constructor (canFail: boolean) {
    this.canFail = canFail
  }

  wanted (root: Child | undefined, clause: Clause, size: number): Wanted {
    const wanted: Wanted = { links: [], clauses: [], held: 0 }
    if (root == null) { return wanted }
    this.steps = MAX_STEPS + size
    this.nodes.length = this.clauses.length = 0
    if (root instanceof Link) { // not followed further
      wanted.failure = this.canFail ? failure(clause, root) : undefined
      return wanted
    }
    this.push(root, clause)
    let last = clause
    for (let node = this.nodes.pop(); node != null; node = this.nodes.pop()) {
      const next = this.clauses.pop() as Clause
      if (node instanceof Link) {
        wanted.links.push(node)
        wanted.clauses.push(next)
        if (next !== last && next.size > FREE_SIZE) { wanted.held += next.size - FREE_SIZE }
        last = next
        continue
      }
      if (this.canFail) {
        this.burn(next.size)
        wanted.failure = failure(next, node)
        if (wanted.failure != null) { break }
      }
      if (typeof node === 'object') { this.visit(node, next) }
    }
    return wanted
  }

  private push (node: Child, clause: Clause): void {
    this.nodes.push(node)
    this.clauses.push(clause)
  }

  private visit (node: MapNode | ListNode, clause: Clause): void {
    const first = this.nodes.length
    if (clause.interests === 'all') {
      const { values } = node
      for (let i = 0; i < values.length; i++) {
        if (node instanceof MapNode) {
          this.explore(node, clause, node.keys[i], -1, values[i])
        } else {
          this.explore(node, clause, undefined, node.indexes[i], values[i])
        }
      }
    } else {
      for (const interest of clause.interests) {
        if ('start' in interest) { this.range(node, clause, interest) } else { this.fields(node, clause, interest) }
      }
    }
    reverse(this.nodes, first)
    reverse(this.clauses, first)
  }

  private fields (node: MapNode | ListNode, clause: Clause, fields: Fields): void {
    for (const name of fields.next.keys()) {
      if (node instanceof MapNode) {
        this.explore(node, clause, name, -1, node.get(name))
      } else if (INT.test(name)) {
        this.explore(node, clause, name, Number(name), node.get(Number(name)))
      }
    }
  }

  private range (node: MapNode | ListNode, clause: Clause, { start, end }: Range): void {
    if (node instanceof ListNode) {
      for (let i = node.find(start); i < node.indexes.length && node.indexes[i] < end; i++) {
        this.explore(node, clause, undefined, node.indexes[i], node.values[i])
      }
      return
    }
    // within a union, the indexes are looked up as text; those below 0 are '' in Go
    const empty = node.get('')
    if (empty != null) {
      for (let i = start; i < end && i < 0; i++) { this.explore(node, clause, '', -1, empty) }
    }
    this.burn(node.keys.length)
    const indexes = node.keys.filter(key => /^(0|[1-9]\d*)$/.test(key)).map(Number).filter(index => index >= start && index < end)
    for (const index of indexes.sort((a, b) => a - b)) { this.explore(node, clause, String(index), -1, node.get(String(index))) }
  }

  private explore (node: MapNode | ListNode, clause: Clause, key: string | undefined, index: number, child: Child | undefined): void {
    this.burn(clause.size)
    if (child == null) { return }
    const next = clause.explore(node, key, index, child)
    if (next != null) { this.push(child, next) }
  }

  private burn (steps: number): void {
    this.steps -= steps
    if (this.steps < 0) { throw new InvalidSelectorError('selector: visits too much of one block') }
  }
}

function reverse (list: unknown[], from: number): void {
  for (let low = from, high = list.length - 1; low < high; low++, high--) {
    const held = list[low]
    list[low] = list[high]
    list[high] = held
  }
}
