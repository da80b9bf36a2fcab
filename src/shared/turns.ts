/** Steps that must not run beside each other, such as start() and stop(): each waits for those before it, in the order of the calls. */
export class Turns {
  private last: Promise<void> = Promise.resolve()

  /** Settles as the step does. One that fails does not hold up the next. */
  async take (step: () => Promise<void>): Promise<void> {
    const done = this.last.then(step)
    this.last = done.catch(() => {})
    return done
  }
}
