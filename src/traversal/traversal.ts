import type { CID } from 'multiformats/cid'
import type { BlockCodec } from 'multiformats/codecs/interface'
import { toCid } from '../shared/check.ts'
import { InvalidMessageError, InvalidSelectorError, UnknownCodecError } from '../shared/errors.ts'
import type { Selector, SelectorNode } from '../shared/types.ts'
import { Explorer } from './children.ts'
import { Recursion } from './clause.ts'
import type { Clause, Sequence } from './clause.ts'
import { Link } from './link.ts'
import { Scanners, type CodecLookup } from './links.ts'
import { compile } from './selector.ts'

/** How far peek() looks: blocks above, and links of each. It is called for each block of a walk. */
const PEEK_BLOCKS = 8
const PEEK_LINKS = 256

/** What the clauses that wait may be in size, beyond the usual, before a selector is refused; in Go it takes the memory. */
const MAX_HELD = 1 << 18

/** Links that may wait, over all blocks above, some 200 bytes each: a hostile block holds 500,000 of 8 bytes. */
const MAX_WAITING = 1 << 22

/** A link that a walk has come to. */
export interface PendingLink {
  /** The binary CID. */
  readonly bytes: Uint8Array

  /** Made when it is asked for, as the text is. */
  readonly cid: CID

  /** The CID as it was published, when the block that has it is dag-json. */
  readonly text?: string

  /** The name of the map field that it is the value of. */
  readonly field?: string
}

/** A link that a walk is going to come to, how many links there are from the root to it, and what is wanted below it. */
export interface KnownLink {
  readonly link: PendingLink
  readonly depth: number
  readonly clause: unknown
}

/** The one link that a walk ends before because of its limit. */
export interface Rest {
  cid: CID

  /** Links from the root to it. */
  depth: number

  /** Passes of the edge that it is beyond the first one that is too many. */
  over: number
}

/** Where codecs beyond the four come from. */
export interface TraversalOptions {
  codecs?: Array<BlockCodec<number, any>>
  getCodec?: CodecLookup

  /** Fields in the order of dag-cbor, which another peer gets them in, and not in that of the selector in hand. */
  inDagCborOrder?: boolean
}

/** The links of one block that are still to visit. */
interface Frame {
  links: Link[]

  /** For each link; or one for the block, which a link takes with it as often less as it is deep in the block. */
  clauses: Clause[] | Recursion
  next: number

  /** Those before it were given by peek(), or are behind. */
  peeked: number

  /** Links from the root of the walk to these. */
  depth: number

  /** What its clauses are in size beyond the usual. */
  held: number
  failure?: Error
}

/**
 * A walk as a machine that its owner drives: next() says which block is to load, follow() takes its bytes. Without promises and
 * without recursion. What it keeps are the links still to visit of each block above the current one; a block's list goes when its
 * last link is taken, so a chain keeps nothing. Go: traversal.Progress.WalkAdv.
 */
export class Traversal {
  private readonly scanners: Scanners
  private readonly explorer: Explorer
  private readonly canFail: boolean
  private readonly stack: Frame[]
  private readonly top: Sequence | undefined
  private link: Link | undefined
  private clause: Clause

  /** Of all frames; and their links. */
  private held = 0
  private waiting = 1 // the root

  /** How many links there are from the root to what next() gave; 0 for the root itself. */
  depth = 0

  /**
   * What the limit of a recursion at the top has cut off: undefined as long as that is nothing; a link, when all of the walk is before
   * it, as in a chain; 'branches' when it is more, or is amid the rest.
   */
  rest: Rest | 'branches' | undefined

  /** @throws {InvalidSelectorError} */
  constructor (root: CID, selector: Selector | SelectorNode, options: TraversalOptions = {}) {
    const { clause, canFail } = compile(selector, options.inDagCborOrder)
    this.clause = clause
    this.top = clause instanceof Recursion ? clause.sequence : undefined
    this.top?.reset()
    this.canFail = canFail
    this.explorer = new Explorer(canFail)
    this.scanners = new Scanners(options.codecs, options.getCodec)
    this.stack = [{ links: [Link.fromCID(toCid('root', root))], clauses: [clause], next: 0, peeked: 0, depth: 0, held: 0 }]
  }

  /**
   * The next link to load in walk order, undefined at the end. A link before it that was not followed counts as missing.
   *
   * @throws {UnknownCodecError} before the load, as Go does; the walk is over then
   * @throws {InvalidSelectorError} where the selector wants what cannot be done
   */
  next (): PendingLink | undefined {
    const { stack } = this
    this.link = undefined
    if (stack.length === 0) { return undefined } // looking at -1 would make all later looks slow
    const frame = stack[stack.length - 1]
    if (frame.next === frame.links.length) {
      stack.length = 0
      throw frame.failure
    }
    this.depth = frame.depth
    const at = frame.next++
    if (frame.next === frame.links.length && frame.failure == null) {
      stack.pop()
      this.held -= frame.held
      this.waiting -= frame.links.length
    }
    const link = frame.links[at]
    if (this.scanners.get(link.codec) == null) {
      stack.length = 0
      throw new UnknownCodecError(link.codec)
    }
    this.clause = clauseOf(frame, at)
    return (this.link = link)
  }

  /**
   * The nearest link that next() is going to give, for who loads ahead; each once, with its depth. undefined: none is known within
   * the nearest links of the nearest blocks, or `admits` refuses its depth. Not given is the last link of a block that is next
   * anyway: a chain is not looked into.
   */
  peek (admits: (depth: number) => boolean): KnownLink | undefined {
    const { stack } = this
    for (let i = stack.length - 1, end = Math.max(0, stack.length - PEEK_BLOCKS); i >= end; i--) {
      const frame = stack[i]
      const { links, next, depth } = frame
      const at = Math.max(frame.peeked, next)
      const isNext = next === links.length - 1 && i === stack.length - 1
      if (at < links.length && at < next + PEEK_LINKS && !isNext && admits(depth)) {
        if (this.scanners.get(links[at].codec) == null) { return undefined } // the walk ends there
        frame.peeked = at + 1
        return { link: links[at], depth, clause: clauseOf(frame, at) }
      }
      if (frame.failure != null) { return undefined }
    }
    return undefined
  }

  /**
   * The nearest links of the block under a link that peek() gave, for who has it before the walk is there, which stays where it is.
   * None where they depend on more than the block's own links.
   */
  look ({ link, depth, clause }: KnownLink, bytes: Uint8Array): KnownLink[] {
    if (!(clause instanceof Recursion) || !clause.sequence.flat || clause.sequence.stopAt != null) { return [] }
    try {
      const scanner = this.scanners.get((link as Link).codec)
      if (scanner == null) { return [] }
      scanner.scan(bytes, 'flat')
      const near = scanner.links.slice(0, PEEK_LINKS)
      scanner.clear()
      const links = near.filter(({ level, codec }) => level < clause.depth && this.scanners.get(codec) != null)
      return links.map(link => ({ link, depth: depth + 1, clause: deeper(clause, link.level) }))
    } catch {
      return [] // bytes that do not decode, a codec that cannot be had: the walk tells
    }
  }

  /** Whether the walk has come to the stop link of a recursion at the top. A compiled selector is of one walk at a time for this. */
  get metStop (): boolean {
    return this.top?.met === true
  }

  /**
   * Takes the bytes of the block that next() said; it keeps none of them.
   *
   * @throws {InvalidMessageError} when they do not decode, or too many links wait; nothing below is walked then
   * @throws {InvalidSelectorError} when the selector grows too much, or visits too much of the block
   */
  follow (bytes: Uint8Array): void {
    const { link, clause } = this
    if (link == null) { throw new Error('follow() without a link') }
    this.link = undefined
    const flat = clause instanceof Recursion && clause.sequence.flat
    const scanner = this.scanners.get(link.codec)
    if (scanner == null) { throw new UnknownCodecError(link.codec) }
    try {
      scanner.scan(bytes, flat ? 'flat' : this.canFail ? 'all' : 'links')
    } catch (error: any) {
      throw new InvalidMessageError(`block ${link.cid} does not decode: ${error.message}`, { cause: error })
    }
    const depth = this.depth + 1
    const cuts = this.top?.cuts
    const frame: Frame = flat
      ? { links: wanted(clause, scanner.links), clauses: clause, next: 0, peeked: 0, depth, held: 0 }
      : { ...this.explorer.wanted(scanner.root, clause, bytes.length), next: 0, peeked: 0, depth }
    scanner.clear()
    const more = frame.links.length > 0 || frame.failure != null
    if (this.top?.cuts !== cuts) { this.rest = more ? 'branches' : this.cutAt(depth) }
    if (!more) { return }
    this.held += frame.held
    this.waiting += frame.links.length
    if (this.waiting > MAX_WAITING) { throw new InvalidMessageError(`block ${link.cid}: more than ${MAX_WAITING} links wait for their turn`) }
    if (this.held > MAX_HELD) { throw new InvalidSelectorError('selector: keeps too much of its clauses') }
    this.stack.push(frame)
  }

  private cutAt (depth: number): Rest | 'branches' {
    const { cuts, cut, over } = this.top as Sequence
    return cuts > 1 || cut == null || this.stack.length > 0 ? 'branches' : { cid: cut.cid, depth, over }
  }
}

/** Those links that "explore all, recursively" wants. */
function wanted ({ depth, sequence }: Recursion, links: Link[]): Link[] {
  const { stopAt } = sequence
  if (stopAt == null && depth === Infinity) { return links }
  return links.filter(link => {
    if (stopAt != null && link.equals(stopAt)) {
      sequence.met = true
      return false
    }
    if (link.level < depth) { return true }
    sequence.cutOff(link, link.level - depth)
    return false
  })
}

function clauseOf ({ clauses, links }: Frame, at: number): Clause {
  return Array.isArray(clauses) ? clauses[at] : deeper(clauses, links[at].level)
}

function deeper (clause: Recursion, levels: number): Recursion {
  return clause.depth === Infinity ? clause : new Recursion(clause.sequence, clause.current, clause.depth - levels)
}
