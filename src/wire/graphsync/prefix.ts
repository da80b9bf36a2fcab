import type { Key } from './keys.ts'

/**
 * The loads of a walk before its request was sent, which the responder goes through again. A number or two each, so that a long
 * local part costs little: this finds responders that walk otherwise, it does not prove anything.
 */
export class LocalPrefix {
  private readonly hashes: number[] = []
  private readonly depths: number[] = []
  private at = 0

  get length (): number {
    return this.hashes.length
  }

  get done (): boolean {
    return this.at === this.hashes.length
  }

  get depth (): number {
    return this.depths[this.at]
  }

  add (key: Key, depth: number): void {
    this.hashes.push(hash(key))
    this.depths.push(depth)
  }

  /** Whether this is the next link. What is below a link that the responder did not follow is passed over. */
  take (key: Key, followed: boolean): boolean {
    if (this.hashes[this.at] !== hash(key)) { return false }
    const depth = this.depths[this.at++]
    if (!followed) {
      while (!this.done && this.depths[this.at] > depth) { this.at++ }
    }
    return true
  }
}

/** FNV-1a, of 31 bits. */
function hash (key: Key): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < key.length; i++) { hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193) }
  return hash >>> 1
}
