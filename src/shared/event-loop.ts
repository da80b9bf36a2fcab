import { Queue } from './queue.ts'

const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => unknown }

/** So long work that waits for nothing may keep the event loop, in milliseconds. */
const LONGEST = 20

const waiting = new Queue<() => void>()

/**
 * Lets the event loop turn: what was written goes out, and what came in is seen. Those who wait at once go on one after the other, with
 * a turn after each: however many there are, what comes in waits for one of them. In a browser it may take some ms.
 */
export async function turnOfEventLoop (): Promise<void> {
  await new Promise<void>(resolve => {
    if (setImmediate == null) {
      setTimeout(resolve, 0)
    } else {
      waiting.push(resolve)
      if (waiting.length === 1) { setImmediate(goOn) }
    }
  })
}

function goOn (): void {
  const next = waiting.shift()
  if (waiting.length > 0) { setImmediate?.(goOn) }
  next?.()
}

/** A loop which may find all that it wants at once, and must not keep timers and signals from their turn then. */
export class LongLoop {
  private since = performance.now()

  /** To call in each round: a promise when it is time for others. */
  pause (): Promise<void> | undefined {
    return performance.now() - this.since < LONGEST ? undefined : this.turn()
  }

  private async turn (): Promise<void> {
    await turnOfEventLoop()
    this.since = performance.now()
  }
}
