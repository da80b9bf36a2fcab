/** The same limit for one wait after another, with a timer that is set anew only when it has run out: waits are short, and many. */
export class WaitLimit {
  private readonly ms: number
  private readonly onEnd: () => void
  private timer: ReturnType<typeof setTimeout> | undefined
  private end = Infinity

  /** `onEnd` is called once for a wait that takes longer than `ms` milliseconds. */
  constructor (ms: number, onEnd: () => void) {
    this.ms = ms
    this.onEnd = onEnd
  }

  begin (): void {
    this.end = performance.now() + this.ms
    this.timer ??= this.set(this.ms)
  }

  done (): void {
    this.end = Infinity
  }

  /** Always to be called at the end: takes the timer away. */
  stop (): void {
    this.done()
    clearTimeout(this.timer)
    this.timer = undefined
  }

  private set (ms: number): ReturnType<typeof setTimeout> {
    return setTimeout(() => {
      this.timer = undefined
      const left = this.end - performance.now()
      if (left === Infinity) { return }
      if (left > 0) {
        this.timer = this.set(left)
      } else {
        this.done()
        this.onEnd()
      }
    }, ms)
  }
}
