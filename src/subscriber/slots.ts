/** A number of slots, handed out in the order of asking; a turn that is given up while waiting takes none. */
export class Slots {
  #free: number
  readonly #waiting = new Set<() => void>()

  constructor (count: number) {
    this.#free = count
  }

  /** How many wait for one. */
  get waiting (): number {
    return this.#waiting.size
  }

  /** Takes a slot if one is free and nobody waits for it. */
  tryTake (): boolean {
    if (this.#free === 0) { return false }
    this.#free--
    return true
  }

  /** Rejects with the signal's reason. Every take() that resolves is followed by one release(). */
  async take (signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.tryTake()) { return }
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const abort = (): void => {
      this.#waiting.delete(resolve)
      reject(signal.reason)
    }
    this.#waiting.add(resolve)
    signal.addEventListener('abort', abort, { once: true })
    try {
      await promise
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  release (): void {
    const [next] = this.#waiting
    if (next == null) {
      this.#free++
    } else {
      this.#waiting.delete(next)
      next()
    }
  }
}
