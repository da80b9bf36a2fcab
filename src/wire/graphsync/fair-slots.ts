/** A number of things that may run at once. Those that wait go on in turn, one of each peer after the other. */
export class FairSlots {
  private free: number
  private readonly waiting = new Map<string, Array<() => void>>()

  constructor (count: number) {
    this.free = count
  }

  /** A promise only when there is none free. */
  acquire (peer: string): undefined | Promise<void> {
    if (this.free > 0) {
      this.free--
      return undefined
    }
    const { promise, resolve } = Promise.withResolvers<void>()
    const queue = this.waiting.get(peer)
    if (queue == null) { this.waiting.set(peer, [resolve]) } else { queue.push(resolve) }
    return promise
  }

  release (): void {
    for (const [peer, queue] of this.waiting) {
      const next = queue.shift()
      this.waiting.delete(peer)
      if (queue.length > 0) { this.waiting.set(peer, queue) } // behind the others
      if (next != null) {
        next()
        return
      }
    }
    this.free++
  }
}
