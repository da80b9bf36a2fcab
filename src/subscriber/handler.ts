import type { PeerId } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { replace } from '../announce/pending.ts'
import type { Announce } from '../shared/types.ts'
import type { Route } from './route.ts'
import { Slots } from './slots.ts'

/** What a handler needs of its subscriber. */
export interface HandlerHost {
  /** Slots of announce-started syncs, shared by all publishers. */
  readonly slots: Slots

  /** Aborted by stop(). */
  readonly signal: AbortSignal

  /** Never rejects: a failure becomes an event. */
  syncAnnounced(handler: Handler, announce: Announce): Promise<void>

  /** An announce that will not be synced. */
  dropped(announce: Announce): void

  /** The handler has no work any more. */
  idle(handler: Handler): void
}

/**
 * One publisher: one sync that moves latest at a time, and one slot that holds the newest pending announce.
 *
 * Behaves as handler (go-libipni v0.4.0, dagsync/subscriber.go). Differs: one that has work does not go away.
 */
export class Handler {
  readonly peerId: PeerId

  /** Where the last sync went, for the next one to the same addresses. */
  route?: Route

  /** What was announced last of those whose sync failed: a part of it may be here. */
  failed?: CID

  /** Where the syncs that go on go. */
  readonly routes = new Map<object, Route>()

  readonly #host: HandlerHost
  readonly #turn = new Slots(1)
  #pending?: Announce
  #draining = false
  #work = 0

  constructor (peerId: PeerId, host: HandlerHost) {
    this.peerId = peerId
    this.#host = host
  }

  get busy (): boolean {
    return this.#work > 0
  }

  /** Runs work that keeps the handler alive, beside any other. */
  async beside<T> (work: () => Promise<T>): Promise<T> {
    this.#work++
    try {
      return await work()
    } finally {
      this.#work--
      if (!this.busy) { this.#host.idle(this) }
    }
  }

  /** Runs work that moves latest, when its turn has come. */
  async inTurn<T> (signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    return this.beside(async () => {
      await this.#turn.take(signal)
      try {
        return await work()
      } finally {
        this.#turn.release()
      }
    })
  }

  /**
   * Only the newest announce matters: its chain contains all older ones, and who syncs it looks whether it does. But a relay's hint
   * never takes the place of what the publisher said itself. Gives the one that is not synced.
   */
  offer (announce: Announce): Announce | undefined {
    const replaced = this.#pending
    if (announce.hintFrom != null && replaced != null && replaced.hintFrom == null) { return announce }
    this.#pending = announce
    replace(replaced, announce)
    if (!this.#draining) {
      this.#draining = true
      void this.beside(() => this.#drain())
    }
    return replaced
  }

  dropPending (): void {
    const dropped = this.#pending
    this.#pending = undefined
    if (dropped != null) { this.#host.dropped(dropped) }
  }

  async #drain (): Promise<void> {
    const { slots, signal } = this.#host
    try {
      while (this.#pending != null) {
        await this.#turn.take(signal)
        if (slots.tryTake()) {
          await this.#syncPending()
        } else {
          // Without the turn: who has a slot may wait for an explicit sync of this publisher, in a hook. And none waits for the turn: a
          // slot behind a long explicit sync would be lost to all others.
          this.#turn.release()
          await slots.take(signal)
          if (this.#turn.tryTake()) { await this.#syncPending() } else { slots.release() }
        }
      }
    } catch (error) {
      if (!signal.aborted) { throw error }
      this.#pending = undefined
    } finally {
      this.#draining = false
    }
  }

  /** With the turn and a slot, which it gives back. */
  async #syncPending (): Promise<void> {
    try {
      const announce = this.#pending
      this.#pending = undefined
      if (announce != null) { await this.#host.syncAnnounced(this, announce) }
    } finally {
      this.#turn.release()
      this.#host.slots.release()
    }
  }
}
