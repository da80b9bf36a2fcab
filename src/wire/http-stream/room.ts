/** What the answers to one peer hold that are being made, or that it has not taken, in bytes. Those that are begun may go over it. */
const MAX_BYTES = 32 * 1024 * 1024

/** For one that is being made, whose length is not known yet: a client of ours has 60 streams at most, which are made at once. */
const UNKNOWN = 512 * 1024

/** Room for the answers to one peer, over all of its streams. */
export class Room {
  streams = 0
  private used = 0
  readonly waiting = new Set<() => void>()

  /** Whether another answer may be begun. */
  get isFree (): boolean {
    return this.used < MAX_BYTES
  }

  take (bytes = UNKNOWN): void {
    this.used += bytes
  }

  give (bytes = UNKNOWN): void {
    this.used -= bytes
    if (!this.isFree) { return }
    for (const resolve of this.waiting) { resolve() }
  }

  /** As take(), when there is some. `limited` waits for what it is given, and throws when it is to end. */
  async takeLater (limited: (freed: Promise<void>) => Promise<void>): Promise<void> {
    while (!this.isFree) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.waiting.add(resolve)
      try {
        await limited(promise) // others wait too, and may be quicker
      } finally {
        this.waiting.delete(resolve)
      }
    }
    this.take()
  }
}
