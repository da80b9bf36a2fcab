import type { Announce } from '../shared/types.ts'
import type { CID } from 'multiformats/cid'

/** Replaced announcements that are remembered, the newest ones. */
const MAX_REPLACED = 16

const replaced = new WeakMap<Announce, CID[]>()

/** What the publisher had announced before, and nobody has taken: it is to be in the chain of this one, unless they came out of order. */
export function replacedBy (announce: Announce): CID[] {
  return replaced.get(announce) ?? []
}

/** What an announcement stands for: its CID, and what it has taken the place of. */
export function cidsOf (announce: Announce): CID[] {
  return [announce.cid, ...replacedBy(announce)]
}

/** Notes that an announcement takes the place of an older one. */
export function replace (older: Announce | undefined, announce: Announce): void {
  if (older == null || older.hintFrom != null) { return }
  replaced.set(announce, [...replacedBy(older), older.cid].slice(-MAX_REPLACED))
}

/**
 * Announcements that nobody has taken yet: one per publisher, the newest, for its chain holds all older ones. A hint of a
 * relay never takes the place of what a publisher says itself, comes after it, and is the first to go when it is full.
 */
export class Pending {
  private readonly own = new Map<string, Announce>()
  private readonly hints = new Map<string, Announce>()
  private readonly limit: number

  constructor (limit: number) {
    this.limit = limit
  }

  get size (): number {
    return this.own.size + this.hints.size
  }

  /** Gives what there was no room for, if anything. */
  offer (announce: Announce): Announce | undefined {
    const publisher = announce.peerId.toString()
    if (announce.hintFrom == null) {
      this.hints.delete(publisher)
      replace(this.own.get(publisher), announce)
      this.own.set(publisher, announce) // in its old place in line, when it had one
    } else if (!this.own.has(publisher)) {
      this.hints.set(publisher, announce)
    }
    return this.size > this.limit ? shift(this.hints) ?? shift(this.own) : undefined
  }

  take (): Announce | undefined {
    return shift(this.own) ?? shift(this.hints)
  }

  clear (): void {
    this.own.clear()
    this.hints.clear()
  }
}

function shift (announces: Map<string, Announce>): Announce | undefined {
  const [first] = announces
  if (first == null) { return undefined }
  announces.delete(first[0])
  return first[1]
}
