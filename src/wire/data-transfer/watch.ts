import { delay } from '../../shared/delay.ts'
import { TimeoutError, TransferFailedError } from '../../shared/errors.ts'
import type { DataTransferInit } from '../../shared/types/data-transfer.ts'
import { within } from '../../shared/within.ts'
import { MAX_RESTART_DELAY } from './constants.ts'

export interface WatchInit {
  /** Whether the peer is waited for. */
  waits: () => boolean

  /** Whether the peer can be reached. Rejects when it cannot. */
  probe: (signal: AbortSignal) => Promise<void>

  /** The request is to be made again. */
  restart: (reason: TransferFailedError) => void

  /** The pull is to be given up. */
  fail: (error: Error) => void
}

type Timer = ReturnType<typeof setTimeout>

/**
 * Sees when the other side of a pull is lost, and when it is back. Go: channelmonitor. Differs: a silent peer is noticed too, and
 * all of it ends within `restartTimeout`.
 */
export class Watch {
  private readonly config: Required<DataTransferInit>
  private readonly init: WatchInit
  private readonly stopped = new AbortController()
  private acceptTimer: Timer | undefined
  private silenceTimer: Timer | undefined
  private lostTimer: Timer | undefined
  private askedAt = 0
  private heardAt = 0
  private lostAt = 0
  private reason: TransferFailedError | undefined

  constructor (config: Required<DataTransferInit>, init: WatchInit) {
    this.config = config
    this.init = init
  }

  /** Whether something of the peer's may be lost since the last request. */
  get isLost (): boolean {
    return this.reason != null
  }

  /** A request goes out. */
  asked (): void {
    this.reason = undefined
    this.askedAt = performance.now()
    if (this.heardAt === 0) { this.heardAt = this.askedAt }
    this.clear()
    const { acceptTimeout, silenceTimeout } = this.config
    this.acceptTimer = setTimeout(() => {
      const cause = new TimeoutError('accept timeout', acceptTimeout)
      this.init.fail(new TransferFailedError(`the peer did not answer within ${acceptTimeout} ms`, { cause }))
    }, acceptTimeout)
    this.silenceTimer = setTimeout(this.look, silenceTimeout)
  }

  /** Something has come. */
  heard (): void {
    clearTimeout(this.acceptTimer)
    this.heardAt = performance.now()
  }

  /** Something of the peer's may be lost. It may go on by itself: Go connects again. */
  lost (cause: Error): void {
    clearTimeout(this.acceptTimer)
    clearTimeout(this.lostTimer)
    this.reason = new TransferFailedError(`lost the connection: ${cause.message}`, { cause })
    this.lostAt = performance.now()
    this.lostTimer = setTimeout(() => { this.restart() }, this.config.restartDebounce)
  }

  /**
   * Waits until the peer can be reached.
   *
   * @throws {TransferFailedError} it cannot within `restartTimeout` since it was last heard
   * @throws the signal's reason
   */
  async reach (signal: AbortSignal): Promise<void> {
    const { restartTimeout, restartDelay, silenceTimeout, openTimeout } = this.config
    const end = Math.max(this.heardAt, this.lostAt - silenceTimeout - openTimeout) + restartTimeout
    for (let wait = restartDelay; ; wait = Math.min(2 * wait, MAX_RESTART_DELAY)) {
      const left = Math.max(Math.ceil(end - performance.now()), 1)
      try {
        await within('restart timeout', left, [signal], this.init.probe)
        return
      } catch (cause) {
        signal.throwIfAborted()
        if (performance.now() + wait >= end) {
          throw new TransferFailedError(`the peer did not come back: ${this.reason?.message}`, { cause })
        }
      }
      await delay(wait, signal)
    }
  }

  stop (): void {
    this.clear()
    this.stopped.abort()
  }

  private clear (): void {
    clearTimeout(this.acceptTimer)
    clearTimeout(this.silenceTimer)
    clearTimeout(this.lostTimer)
  }

  private readonly look = (): void => {
    const { silenceTimeout } = this.config
    const left = Math.max(this.askedAt, this.heardAt) + silenceTimeout - performance.now()
    this.silenceTimer = setTimeout(this.look, left > 0 ? left : silenceTimeout)
    if (left > 0 || !this.init.waits()) { return }
    if (this.isLost) { this.restart() } else { void this.probe() }
  }

  private async probe (): Promise<void> {
    try {
      await this.init.probe(this.stopped.signal)
    } catch (error: any) {
      if (this.stopped.signal.aborted || this.isLost) { return }
      this.lost(error)
      this.restart()
    }
  }

  private restart (): void {
    clearTimeout(this.lostTimer)
    if (this.reason == null) { return }
    if (this.heardAt > this.lostAt && performance.now() - this.heardAt < this.config.silenceTimeout) { return } // it goes on
    if (this.init.waits()) {
      this.init.restart(this.reason)
    } else {
      this.lostTimer = setTimeout(() => { this.restart() }, Math.max(this.config.restartDebounce, 10))
    }
  }
}
