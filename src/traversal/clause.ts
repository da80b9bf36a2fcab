import { InvalidSelectorError } from '../shared/errors.ts'
import { Link } from './link.ts'
import { ListNode, TEXT } from './skeleton.ts'
import type { Child, MapNode } from './skeleton.ts'

// Compiled selectors, as go-ipld-prime's traversal/selector has them. A clause never changes; exploring a child gives the clause
// for the child. The panics of Go are not here: an edge that is explored gives nothing.

export type Clause = Matcher | All | Fields | Range | Union | Recursion | Edge | InterpretAs

/** Where a clause looks: everywhere, or at the fields and indexes of these, one after the other. */
export type Interests = 'all' | Array<Fields | Range>

/** A selector whose unions grow in the walk beyond this many clauses is refused; in Go it takes the memory. */
const MAX_SIZE = 8_192

const NONE: Interests = []

export class Matcher {
  readonly size = 1
  readonly interests = NONE
  readonly subset: boolean

  constructor (subset: boolean) {
    this.subset = subset
  }

  explore (): undefined {
    return undefined
  }
}

/** Stands for the sequence of the recursion around it. */
export class Edge {
  readonly size = 1
  readonly interests = NONE

  explore (): undefined {
    return undefined
  }
}

export class All {
  readonly size = 1
  readonly interests = 'all'
  readonly next: Clause

  constructor (next: Clause) {
    this.next = next
  }

  explore (): Clause {
    return this.next
  }
}

export class Fields {
  readonly size = 1
  readonly interests: Interests = [this]
  readonly next: Map<string, Clause>

  constructor (next: Map<string, Clause>) {
    this.next = next
  }

  explore (_node: MapNode | ListNode, key: string | undefined, index: number): Clause | undefined {
    return this.next.get(key ?? String(index))
  }
}

/** A range of a list; an index is a range of one. */
export class Range {
  readonly size = 1
  readonly interests: Interests = [this]
  readonly start: number
  readonly end: number
  readonly next: Clause

  constructor (start: number, end: number, next: Clause) {
    this.start = start
    this.end = end
    this.next = next
  }

  explore (node: MapNode | ListNode, _key: string | undefined, index: number): Clause | undefined {
    return node instanceof ListNode && index >= this.start && index < this.end ? this.next : undefined
  }
}

/** An ADL, which no walk here has. Go fails on it only where it is not within a recursion or a union; there it is a step. */
export class InterpretAs {
  readonly size: number
  readonly interests: Interests
  readonly adl: string
  readonly next: Clause

  constructor (adl: string, next: Clause) {
    this.adl = adl
    this.next = next
    this.size = next.size + 1
    this.interests = next.interests
  }

  explore (): Clause {
    return this.next
  }
}

/** Members that are unions are dissolved in it: the walk is the same. */
export class Union {
  readonly members: Clause[]
  readonly size: number
  readonly interests: Interests
  readonly hasEdge: boolean

  constructor (members: Clause[]) {
    this.members = members.some(member => member instanceof Union)
      ? members.flatMap(member => member instanceof Union ? member.members : member)
      : members
    this.size = this.members.reduce((sum, member) => sum + member.size, 0)
    if (this.size > MAX_SIZE) { throw new InvalidSelectorError(`selector: a union grows beyond ${MAX_SIZE} clauses`) }
    const interests = this.members.map(member => member.interests)
    this.interests = interests.includes('all') ? 'all' : (interests as Array<Array<Fields | Range>>).flat()
    this.hasEdge = this.members.some(member => member instanceof Edge)
  }

  explore (node: MapNode | ListNode, key: string | undefined, index: number, child: Child): Clause | undefined {
    const found: Clause[] = []
    for (const member of this.members) {
      const next = member.explore(node, key, index, child)
      if (next != null) { found.push(next) }
    }
    if (found.length < 2) { return found[0] }
    const same = found.length === this.members.length && found.every((next, i) => next === this.members[i])
    return same ? this : new Union(found)
  }

  /** Without edges, or with the clause in their place; undefined when nothing is left. */
  replaceEdges (replacement?: Clause): Clause | undefined {
    const members: Clause[] = []
    for (const member of this.members) {
      const kept = member instanceof Edge ? replacement : member
      if (kept != null) { members.push(kept) }
    }
    return members.length < 2 ? members[0] : new Union(members)
  }
}

/** What all passes of one recursion have in common. */
export class Sequence {
  readonly clause: Clause
  readonly stopAt: Uint8Array | undefined

  /** Explores everything and begins again at each step: what dagsync walks with by default. */
  readonly flat: boolean

  /** Whether the walk has come to the stop link. */
  met = false

  /** What the limit has cut off: how many, and the last one, where that was a link, with its passes beyond the first too many. */
  cuts = 0
  cut: Link | undefined
  over = 0

  /** The last pass that was begun or gone on with, and from what. */
  private from: Clause | undefined
  private depth = 0
  private last: Clause | undefined

  constructor (clause: Clause, stopAt?: Uint8Array) {
    this.clause = clause
    this.stopAt = stopAt
    this.flat = clause instanceof All && clause.next instanceof Edge
  }

  /** A child is `over` passes beyond the first one that is too many. */
  cutOff (child: Child, over: number): void {
    this.cuts++
    this.cut = child instanceof Link ? child : undefined
    this.over = over
  }

  /** Before another walk. */
  reset (): void {
    this.met = false
    this.cuts = 0
    this.cut = undefined
  }

  /** What a recursion of this depth goes on with when its clause gives this one. */
  continue (found: Clause, depth: number): Clause | undefined {
    if (this.from !== found || this.depth !== depth) {
      this.last = this.make(found, depth)
      this.from = found
      this.depth = depth
    }
    return this.last
  }

  private make (found: Clause, depth: number): Clause | undefined {
    if (found instanceof Edge) {
      return depth < 2 ? undefined : new Recursion(this, this.clause, depth - 1)
    }
    if (!(found instanceof Union) || !found.hasEdge) { return new Recursion(this, found, depth) }
    if (depth < 2) { return found.replaceEdges() } // what remains is outside of this recursion
    return new Recursion(this, found.replaceEdges(this.clause) as Clause, depth - 1)
  }
}

export class Recursion {
  readonly sequence: Sequence
  readonly current: Clause

  /** Passes of the edge that are left; Infinity without a limit. */
  readonly depth: number
  readonly size: number
  readonly interests: Interests

  constructor (sequence: Sequence, current: Clause, depth: number) {
    this.sequence = sequence
    this.current = current
    this.depth = depth
    this.size = current.size + 1
    this.interests = current.interests
  }

  explore (node: MapNode | ListNode, key: string | undefined, index: number, child: Child): Clause | undefined {
    const { sequence, current } = this
    if (sequence.stopAt != null && child instanceof Link && child.equals(sequence.stopAt)) {
      sequence.met = true
      return undefined
    }
    const found = current.explore(node, key, index, child)
    if (found == null) { return undefined }
    if (this.depth < 2 && (found instanceof Edge || (found instanceof Union && found.hasEdge))) { sequence.cutOff(child, 0) }
    return sequence.continue(found, this.depth)
  }
}

/** Whether Go's match test of a node fails the walk: the matcher of a subset on what is no string and no bytes, an ADL. */
export function failure (clause: Clause, child: Child): InvalidSelectorError | undefined {
  if (clause instanceof InterpretAs) {
    return new InvalidSelectorError(`selector: there is no ADL ${JSON.stringify(clause.adl)}`)
  }
  return match(clause, child) === 'fails'
    ? new InvalidSelectorError('selector: a matcher with a subset reached what is neither a string nor bytes')
    : undefined
}

function match (clause: Clause, child: Child): 'matches' | 'fails' | undefined {
  if (clause instanceof Matcher) { return clause.subset && child !== TEXT ? 'fails' : 'matches' }
  if (clause instanceof Recursion) { return match(clause.current, child) }
  if (clause instanceof Union) {
    for (const member of clause.members) {
      const result = match(member, child)
      if (result != null) { return result }
    }
  }
  return undefined
}
