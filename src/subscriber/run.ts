import type { AbortOptions } from '@libp2p/interface'
import { StalledError } from '../shared/errors.ts'
import { unlessAborted } from '../shared/unless-aborted.ts'

/** How long an aborted sync may take to put things away before its caller is told. */
const GRACE = 250

/** One sync on its way: its signal, its watchdog, its end. */
export class Run {
  readonly #controller = new AbortController()
  readonly #stallTimeout: number
  #lastProgress = 0
  #paused = 0
  #timer?: ReturnType<typeof setTimeout>
  readonly #atEnd: Array<() => void> = []
  #left = false

  constructor (stallTimeout: number) {
    this.#stallTimeout = stallTimeout
  }

  get signal (): AbortSignal {
    return this.#controller.signal
  }

  /** Its caller was told that it has failed: of what still ends nobody is to hear. */
  get left (): boolean {
    return this.#left
  }

  abort (reason: unknown): void {
    this.#controller.abort(reason)
  }

  progress (): void {
    this.#lastProgress = performance.now()
  }

  /** The block hook is the user's own time: until resume() it does not count as a stall. */
  pause (): void {
    this.#paused++
  }

  resume (): void {
    this.#paused--
    this.progress()
  }

  /** From now on the run has to make progress. Without a timer per block: the watchdog looks when it is due. */
  watch (): void {
    this.progress()
    this.#arm(this.#stallTimeout)
  }

  /** Does this when the run is over, also where work is left behind. */
  atEnd (work: () => void): void {
    this.#atEnd.push(work)
  }

  unwatch (): void {
    clearTimeout(this.#timer)
  }

  #arm (ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      const idle = this.#paused > 0 ? 0 : performance.now() - this.#lastProgress
      if (idle >= this.#stallTimeout) {
        this.abort(new StalledError(this.#stallTimeout))
      } else {
        this.#arm(Math.ceil(this.#stallTimeout - idle))
      }
    }, ms)
  }

  /** Settles as the work does, and aborts it when the signal fires: see orLeave(). */
  async settle<T> (work: (run: this) => Promise<T>, options: AbortOptions = {}): Promise<T> {
    const abort = (): void => { this.abort(options.signal?.reason) }
    options.signal?.throwIfAborted()
    options.signal?.addEventListener('abort', abort, { once: true })
    try {
      return await this.orLeave(async () => work(this))
    } finally {
      this.unwatch()
      for (const end of this.#atEnd.splice(0)) { end() }
      options.signal?.removeEventListener('abort', abort)
    }
  }

  /**
   * Settles as the work does. When the run is aborted first, the work has a short grace to end; work that does not listen (a
   * hook that never returns, a store that hangs) is left behind with the reason.
   */
  async orLeave<T> (work: () => Promise<T>): Promise<T> {
    this.signal.throwIfAborted()
    const working = work()
    try {
      return await unlessAborted(working, this.signal)
    } catch (error) {
      if (!this.signal.aborted) { throw error }
      return await this.#inGrace(working)
    }
  }

  async #inGrace<T> (work: Promise<T>): Promise<T> {
    const { promise: over, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(reject, GRACE)
    try {
      return await Promise.race([work, over])
    } catch {
      this.#left = true
      throw this.signal.reason
    } finally {
      clearTimeout(timer)
    }
  }
}
