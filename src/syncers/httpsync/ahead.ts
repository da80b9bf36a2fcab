import { equals } from 'multiformats/bytes'
import type { CID } from 'multiformats/cid'
import { BlockTooLargeError } from '../../shared/errors.ts'
import { latin1 } from '../../shared/latin1.ts'
import { unlessAborted } from '../../shared/unless-aborted.ts'
import type { Prefetch } from '../../shared/types.ts'
import type { KnownLink, PendingLink, Traversal } from '../../traversal/traversal.ts'

/** What a block counts beside its bytes, so that small ones count too. */
const OVERHEAD = 1024

/** What a block is taken to be before one has come, in bytes. */
const FIRST_GUESS = 64 * 1024

/** A longer CID is not fetched ahead, in bytes. */
const LONGEST_CID = 256

/** Blocks that wait for their walk, and whose links are known: so many of one walk. */
const MAX_OPEN = 64

/** What several walks may have ahead together. None can take all of it: one that stands still leaves the others half. */
export class AheadBudget implements Prefetch {
  readonly requests: number
  readonly bytes: number

  /** Requests under way. */
  inFlight = 0

  /** Bytes of the blocks that wait for their walk, and of those that are asked for as far as one can tell. */
  held = 0

  constructor ({ requests, bytes }: Prefetch) {
    this.requests = requests
    this.bytes = bytes
  }

  /** One that is a budget already is shared. */
  static of (prefetch: Prefetch): AheadBudget {
    return prefetch instanceof AheadBudget ? prefetch : new AheadBudget(prefetch)
  }
}

/** The two things that are done ahead. */
export interface AheadSource {
  has(cid: CID): boolean | Promise<boolean>

  /** A block, verified and not stored. `onBody` is told before so many bytes of it are held, and may throw. */
  fetch(link: PendingLink, options: { signal: AbortSignal, onBody: (size: number) => void }): Promise<Uint8Array>
}

/** A block on its way, or one that waits. */
interface Early {
  found: KnownLink

  /** What it counts; 0 when it is no longer held. */
  size: number

  /** undefined: the store has it, or there is no room for it. */
  bytes: Promise<Uint8Array | undefined>

  /** Its links that were not asked for yet, the nearest one last. */
  below: KnownLink[]
}

/**
 * Fetches ahead of one walk what it is going to come to, the nearest first: the links of the blocks above, then those of blocks that
 * have come ahead. Nothing is stored here, and what fails is told when the walk is there. Each level of the walk takes at most a third
 * of what is left by the others, so that there is room for a level below, whose blocks are nearer: all of them half, however many.
 */
export class Ahead {
  private readonly traversal: Traversal
  private readonly budget: AheadBudget
  private readonly source: AheadSource
  private readonly signal: AbortSignal | undefined
  private readonly controller = new AbortController()
  private readonly early = new Map<string, Early>()
  private readonly heldAt = new Map<number, number>()
  private readonly open = new Set<Early>() // those with links below, in the order that they came
  private inFlight = 0
  private held = 0
  private largest = FIRST_GUESS
  private current: Uint8Array | undefined

  constructor (traversal: Traversal, budget: AheadBudget, source: AheadSource, signal?: AbortSignal) {
    this.traversal = traversal
    this.budget = budget
    this.source = source
    this.signal = signal
  }

  /** The walk has come to this link: what was fetched for it, if anything was. It is not fetched here as long as this is the last. */
  arrive (link: PendingLink): Promise<Uint8Array | undefined> | undefined {
    this.current = link.bytes
    if (this.early.size === 0) { return undefined }
    const key = keyOf(link.bytes)
    const early = this.early.get(key)
    if (early == null) { return undefined }
    this.early.delete(key)
    this.open.delete(early)
    this.count(early, 0)
    return early.bytes
  }

  /** As much as the budget allows. To call when a block was followed; between, the requests that end call it. */
  readonly fill = (): void => {
    const { budget, traversal } = this
    try {
      while (this.inFlight < budget.requests - budget.inFlight) {
        const found = traversal.peek(this.admits) ?? this.below()
        if (found == null) { return }
        this.start(found)
      }
    } catch { /* the walk meets it, too */ }
  }

  /** Cancels what is under way, and holds nothing more. */
  stop (reason?: unknown): void {
    this.signal?.removeEventListener('abort', this.abort)
    if (this.inFlight > 0) { this.controller.abort(reason) } // which costs as much as the rest of a short walk
    for (const early of this.early.values()) { this.count(early, 0) }
    this.early.clear()
    this.open.clear()
  }

  /** The walk may wait for ever, for a hook or a store. */
  private readonly abort = (): void => { this.stop(this.signal?.reason) }

  private readonly admits = (depth: number): boolean => {
    const { bytes, held } = this.budget
    return (this.heldAt.get(depth) ?? 0) + this.held + 2 * (this.largest + OVERHEAD) <= bytes - held
  }

  /** The nearest link of a block that waits. */
  private below (): KnownLink | undefined {
    for (const early of this.open) {
      if (this.admits(early.found.depth + 1)) {
        const next = early.below.pop()
        if (early.below.length === 0) { this.open.delete(early) }
        return next
      }
    }
    return undefined
  }

  private start (found: KnownLink): void {
    const { link } = found
    if (link.bytes.length > LONGEST_CID || (this.current != null && equals(link.bytes, this.current))) { return }
    const key = keyOf(link.bytes)
    if (this.early.has(key)) { return }
    const has = this.source.has(link.cid)
    if (has === true) { return }
    this.signal?.addEventListener('abort', this.abort) // the same one is added once
    const early: Early = { found, size: 0, bytes: Promise.resolve(undefined), below: [] }
    this.early.set(key, early)
    this.count(early, this.largest + OVERHEAD)
    this.inFlight++
    this.budget.inFlight++
    early.bytes = this.get(early, has)
    early.bytes.then(bytes => {
      if (bytes == null) { return this.forget(key, early) }
      if (this.early.get(key) === early && this.open.size < MAX_OPEN) { this.look(early, bytes) }
      this.came(early, bytes.length)
    }, () => { this.came(early, 0) })
  }

  private look (early: Early, bytes: Uint8Array): void {
    early.below = this.traversal.look(early.found, bytes).reverse()
    if (early.below.length > 0) { this.open.add(early) }
  }

  private async get (early: Early, has: boolean | Promise<boolean>): Promise<Uint8Array | undefined> {
    const { link } = early.found
    let isOver = false
    try {
      if (typeof has === 'boolean' ? has : await unlessAborted(has, this.controller.signal)) { return undefined }
    } catch {
      return undefined // the walk asks again
    }
    const onBody = (size: number): void => {
      if (this.takes(early, size)) { return }
      isOver = true
      throw new BlockTooLargeError(`${link.cid}, ahead of its turn,`, early.size)
    }
    try {
      return await this.source.fetch(link, { signal: this.controller.signal, onBody })
    } catch (error) {
      if (isOver) { return undefined } // the walk asks again
      throw error
    }
  }

  /** Whether there is room for so many bytes of a block: it may be larger than it was taken to be. One that is waited for may be so. */
  private takes (early: Early, size: number): boolean {
    const { bytes, held } = this.budget
    const more = size + OVERHEAD - early.size
    if (more <= 0 || early.size === 0) { return true }
    if (this.held + 2 * more > bytes - held) { return false } // half of what others leave
    this.count(early, size + OVERHEAD)
    return true
  }

  private came (early: Early, size: number): void {
    this.inFlight--
    this.budget.inFlight--
    if (early.size > 0) { this.count(early, size + OVERHEAD) }
    this.largest = Math.max(this.largest, size)
    if (!this.controller.signal.aborted) { this.fill() }
  }

  private forget (key: string, early: Early): void {
    if (this.early.get(key) === early) { this.early.delete(key) }
    this.count(early, 0)
    this.came(early, 0)
  }

  private count (early: Early, size: number): void {
    const { depth } = early.found
    const more = size - early.size
    const held = (this.heldAt.get(depth) ?? 0) + more
    early.size = size
    this.held += more
    this.budget.held += more
    if (held === 0) { this.heldAt.delete(depth) } else { this.heldAt.set(depth, held) }
  }
}

function keyOf (bytes: Uint8Array): string {
  return latin1(bytes, 0, Math.min(bytes.length, LONGEST_CID + 1))
}
