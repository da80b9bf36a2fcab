import type { AbortOptions } from '@libp2p/interface'
import { Queue } from '../shared/queue.ts'

/** How a reader of a Broadcast behaves. */
export interface ReaderOptions extends AbortOptions {
  /** How many values may wait for this reader; beyond it the oldest is dropped. Absent: unbounded. */
  maxPending?: number
}

/** One source, many readers: each gets every value that was emitted since it registered, in order. */
export class Broadcast<T> {
  readonly #readers = new Set<Reader<T>>()

  emit (value: T): void {
    for (const reader of this.#readers) { reader.push(value) }
  }

  /** Readers get what still waits for them, then end. */
  end (): void {
    for (const reader of this.#readers) { reader.end() }
    this.#readers.clear()
  }

  /** Registered at once, not at the first next(). Ends on abort, on end() and when the loop is left. */
  reader (options: ReaderOptions = {}): AsyncGenerator<T, void, undefined> {
    const reader = new Reader<T>(options, () => this.#readers.delete(reader))
    if (options.signal?.aborted !== true) { this.#readers.add(reader) }
    return reader
  }
}

type Waiter<T> = (result: IteratorResult<T, void>) => void

// A generator function would register only at its first next(): events in between would be lost.
class Reader<T> implements AsyncGenerator<T, void, undefined> {
  readonly #pending = new Queue<T>()
  readonly #waiting: Array<Waiter<T>> = []
  readonly #maxPending: number
  readonly #signal?: AbortSignal
  readonly #leave: () => void
  #ended = false

  constructor (options: ReaderOptions, leave: () => void) {
    this.#maxPending = options.maxPending ?? Infinity
    this.#leave = leave
    this.#signal = options.signal
    if (this.#signal?.aborted === true) { this.end() } else { this.#signal?.addEventListener('abort', this.#abort, { once: true }) }
  }

  readonly #abort = (): void => {
    this.#pending.clear()
    this.end()
    this.#leave()
  }

  push (value: T): void {
    const waiter = this.#waiting.shift()
    if (waiter != null) { return waiter({ done: false, value }) }
    this.#pending.push(value)
    if (this.#pending.length > this.#maxPending) { this.#pending.shift() }
  }

  end (): void {
    this.#ended = true
    this.#signal?.removeEventListener('abort', this.#abort)
    for (const waiter of this.#waiting.splice(0)) { waiter({ done: true, value: undefined }) }
  }

  async next (): Promise<IteratorResult<T, void>> {
    if (this.#pending.length > 0) { return { done: false, value: this.#pending.shift() as T } }
    if (this.#ended) { return { done: true, value: undefined } }
    return new Promise(resolve => { this.#waiting.push(resolve) })
  }

  async return (): Promise<IteratorResult<T, void>> {
    this.#abort()
    return { done: true, value: undefined }
  }

  async throw (error: unknown): Promise<IteratorResult<T, void>> {
    this.#abort()
    throw error
  }

  [Symbol.asyncIterator] (): this { return this }

  async [Symbol.asyncDispose] (): Promise<void> { this.#abort() }
}
