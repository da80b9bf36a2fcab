import type { CID } from 'multiformats/cid'
import { RepeatLimitError } from '../shared/errors.ts'

/** CIDs that are remembered for good, at most. */
const MAX_SAMPLE = 4_096

/** Places for the newest CIDs. */
const RECENT = 2 ** 16

const PRIME = 0x01000193

/** How many repeats a walk may have. */
export interface RepeatLimit {
  limit: number

  /** Only those count that are more than the blocks which are new: as much as a walk brings, so much may it repeat. */
  beyondNew: boolean
}

/** Ends a walk that comes to the same blocks again and again. */
export class RepeatGuard {
  private readonly init: RepeatLimit
  private repeats: Repeats | undefined
  private loads = 0

  constructor (init: RepeatLimit) {
    this.init = init
  }

  /** Throws RepeatLimitError. */
  add (cid: CID): void {
    const { limit, beyondNew } = this.init
    if (beyondNew && this.loads++ < limit) { return } // so few are never over it, and cost nothing
    this.repeats ??= new Repeats()
    this.repeats.add(cid)
    // the first `limit` loads count as new: once half of all are repeats, these are `limit` more than what was new since
    if (this.repeats.count > (beyondNew ? this.loads / 2 : limit)) { throw new RepeatLimitError(cid, limit) }
  }
}

/**
 * Counts the blocks that a walk comes to again, in bounded memory: those that come again soon, and the others exactly while there are
 * few, from then on by every second CID, every fourth and so on. The hashes are such that a publisher cannot know them. A block that
 * comes once is never counted.
 */
export class Repeats {
  private readonly seeds = crypto.getRandomValues(new Uint32Array(2))
  private readonly recent = new Uint32Array(RECENT)
  private readonly sample = new Set<number>()

  /** One CID of so many is in the sample; a power of two. */
  private weight = 1

  /** As far as one can tell. */
  count = 0

  add ({ bytes }: CID): void {
    let [hash, other] = this.seeds
    for (let i = 0; i < bytes.length; i++) { // FNV-1a
      hash = Math.imul(hash ^ bytes[i], PRIME)
      other = Math.imul(other ^ bytes[i], PRIME)
    }
    hash = mixed(hash)
    other = mixed(other)
    const place = other % RECENT
    if (this.recent[place] === hash) {
      this.count++
      return
    }
    this.recent[place] = hash
    if (hash % this.weight !== 0) { return }
    const key = hash * 2 ** 21 + (other >>> 11)
    if (this.sample.has(key)) {
      this.count += this.weight
      return
    }
    this.sample.add(key)
    while (this.sample.size > MAX_SAMPLE) { this.thin() }
  }

  private thin (): void {
    this.weight *= 2
    for (const key of this.sample) {
      if (Math.floor(key / 2 ** 21) % this.weight !== 0) { this.sample.delete(key) }
    }
  }
}

/** 32 bits, each of which depends on all of these (the end of MurmurHash3). */
function mixed (hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
