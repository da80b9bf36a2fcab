/** What the answers to one peer hold that are being made, or that it has not taken, in bytes. Those that are begun may go over it. */
const MAX_BYTES = 32 * 1024 * 1024

/** For one that is being made, whose length is not known yet: a client of ours has 60 streams at most, which are made at once. */
const UNKNOWN = 512 * 1024

/** Room for the answers to one peer, over all of its streams. */
export class Room {
  streams = 0
  private used = 0
  private waiting: Array<() => void> = []

  /** Whether another answer may be begun. */
  get isFree (): boolean {
    return this.used < MAX_BYTES
  }

  take (bytes = UNKNOWN): void {
    this.used += bytes
  }

  give (bytes = UNKNOWN): void {
    this.used -= bytes
    if (this.waiting.length === 0 || !this.isFree) { return }
    const { waiting } = this
    this.waiting = []
    for (const resolve of waiting) { resolve() }
  }

  /** Until there is some, perhaps: others wait too. */
  async wait (): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.waiting.push(resolve)
    await promise
  }
}
