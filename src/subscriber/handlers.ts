import type { PeerId } from '@libp2p/interface'
import { MAX_ANNOUNCE_PUBLISHERS } from '../shared/constants.ts'
import type { Announce } from '../shared/types.ts'
import { Handler, type HandlerHost } from './handler.ts'

interface Entry {
  handler: Handler

  /** When it had its last work; it leaves a TTL later, unless it has work again. */
  idleSince: number

  /** It leaves after the work that it has, unless it is asked for again. */
  removed: boolean
}

/** The handlers of all publishers: idle ones leave after a time, busy ones never. */
export class Handlers {
  readonly #entries = new Map<string, Entry>() // the longest idle first
  readonly #ttl: number
  readonly #host: Omit<HandlerHost, 'idle'>
  #timer?: ReturnType<typeof setTimeout>

  constructor (ttl: number, host: Omit<HandlerHost, 'idle'>) {
    this.#ttl = ttl
    this.#host = host
  }

  get size (): number {
    return this.#entries.size
  }

  get (peerId: PeerId): Handler {
    const key = peerId.toString()
    const entry = this.#entries.get(key)
    if (entry != null) {
      entry.removed = false
      return entry.handler
    }
    const handler = new Handler(peerId, { ...this.#host, idle: () => { this.#idle(key) } })
    this.#entries.set(key, { handler, idleSince: performance.now(), removed: false })
    return handler
  }

  /** Hints may be of any number of publishers: those that come when many wait for a slot are dropped. */
  offer (announce: Announce): void {
    const { slots, dropped } = this.#host
    if (announce.hintFrom != null && slots.waiting >= MAX_ANNOUNCE_PUBLISHERS) { return dropped(announce) }
    this.get(announce.peerId).offer(announce)
  }

  /** A running sync finishes, under this handler, so that no second one runs beside it. */
  remove (peerId: PeerId): boolean {
    const key = peerId.toString()
    const entry = this.#entries.get(key)
    if (entry == null || entry.removed) { return false }
    entry.handler.dropPending()
    entry.handler.route = undefined
    entry.removed = true
    if (!entry.handler.busy) { this.#entries.delete(key) }
    return true
  }

  clear (): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#entries.clear()
  }

  #idle (key: string): void {
    const entry = this.#entries.get(key)
    if (entry == null) { return }
    this.#entries.delete(key)
    if (entry.removed) { return }
    entry.idleSince = performance.now()
    this.#entries.set(key, entry)
    this.#timer ??= this.#arm(this.#ttl)
  }

  #arm (ms: number): ReturnType<typeof setTimeout> {
    const timer = setTimeout(this.#sweep, Math.min(ms, 2 ** 31 - 1)) as ReturnType<typeof setTimeout> & { unref?: () => void }
    timer.unref?.()
    return timer
  }

  readonly #sweep = (): void => {
    this.#timer = undefined
    const now = performance.now()
    for (const [key, { handler, idleSince }] of this.#entries) {
      if (handler.busy) { continue }
      const left = idleSince + this.#ttl - now
      if (left > 0) {
        this.#timer = this.#arm(left)
        return
      }
      this.#entries.delete(key)
    }
  }
}
