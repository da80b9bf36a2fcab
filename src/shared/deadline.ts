import { TimeoutError } from './errors.ts'

/** One time limit and one listener on the signal for all the waits of a request, which come one after another. */
export class Deadline {
  /** What the wait of the moment does when there is nothing left to wait for. */
  onEnd: ((reason: unknown) => void) | undefined

  /** Why it ended, in a box: a signal may be aborted with anything. */
  ended: { reason: unknown } | undefined

  private readonly signal: AbortSignal | undefined
  private readonly timer: ReturnType<typeof setTimeout>

  /** Throws the signal's reason when it is aborted already. */
  constructor (limit: string, ms: number, signal?: AbortSignal) {
    signal?.throwIfAborted()
    this.signal = signal
    this.timer = setTimeout(() => { this.end(new TimeoutError(limit, ms)) }, ms)
    signal?.addEventListener('abort', this)
  }

  handleEvent (): void {
    this.end(this.signal?.reason)
  }

  /** Throws why it ended, if it did. */
  check (): void {
    if (this.ended != null) { throw this.ended.reason }
  }

  /** Always to be called at the end: takes the timer and the listener away. */
  clear (): void {
    clearTimeout(this.timer)
    this.signal?.removeEventListener('abort', this)
    this.onEnd = undefined
  }

  /** Ends it early. */
  end (reason: unknown): void {
    this.ended ??= { reason }
    this.onEnd?.(reason)
  }
}
