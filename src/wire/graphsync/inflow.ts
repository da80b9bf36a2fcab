import type { CID } from 'multiformats/cid'
import { STALL_TIMEOUT } from '../../shared/constants.ts'
import { StalledError, TransferFailedError } from '../../shared/errors.ts'
import type { RequestOptions } from '../../shared/types/graphsync.ts'
import { GraphsyncStatus } from './constants.ts'
import { ItemQueue } from './incoming.ts'
import type { Key } from './keys.ts'
import { publicResponse } from './message.ts'
import type { ParsedResponse } from './parse.ts'
import type { Peer } from './peer.ts'
import { statusError } from './status.ts'

/** What comes in for a request: what the responder says, how it ends, and the waits for it. */
export class Inflow {
  protected readonly peer: Peer
  protected readonly root: CID
  protected readonly options: RequestOptions
  protected readonly queue = new ItemQueue()

  /** Whether the peer was asked. */
  protected online = false

  /** Whether anything has come. */
  answered = false

  /** The last status. */
  protected status: number | undefined

  /** Thrown when all that came was walked. */
  private failure: { error: unknown } | undefined

  /** Thrown at once. */
  private aborted: { error: unknown } | undefined
  private sated = false
  private waiter: (() => void) | undefined
  private interrupt: ((error: unknown) => void) | undefined

  constructor (peer: Peer, root: CID, options: RequestOptions) {
    this.peer = peer
    this.root = root
    this.options = options
  }

  /** Whether the walk waits for the responder. */
  get hungry (): boolean {
    return this.waiter != null
  }

  /** Whether it holds enough for now. */
  get full (): boolean {
    return this.queue.isOver(1)
  }

  receive (response: ParsedResponse, blocks: Map<Key, Uint8Array>): void {
    if (this.status != null || this.failure != null) { return }
    this.answered = true
    if (response.status >= GraphsyncStatus.completedFull) { this.status = response.status } // from here on there is nothing to cancel
    try {
      this.options.onResponse?.(publicResponse(response))
    } catch (error) {
      this.fail(error)
      return
    }
    if (!this.sated) { this.queue.push(response, blocks) }
    this.wake()
  }

  /** Nothing more is walked: only the last status counts. */
  protected sate (): void {
    this.sated = true
    this.queue.clear()
    this.peer.changed()
  }

  networkError (error: Error, unsent: boolean): void {
    if (!this.online || this.status != null || this.failure != null) { return }
    if (this.options.onNetworkError == null) {
      this.failure = { error: new TransferFailedError(`lost the connection to ${this.peer.id}: ${error.message}`, { cause: error }) }
      this.wake()
      return
    }
    try {
      this.options.onNetworkError(error, unsent)
    } catch (thrown) {
      this.failure = { error: thrown } // what came before it is good
      this.wake()
    }
  }

  /** Ends the request at once. */
  fail (error: unknown): void {
    this.aborted ??= this.failure = { error }
    this.queue.clear()
    this.interrupt?.(error)
    this.wake()
  }

  /** Throws what the request was ended with, or the failure that the responder told, also when the walk was over before. */
  checkEnd (): void {
    this.checkAborted()
    if (this.status != null) { this.checkStatus(this.status) }
  }

  protected checkAborted (): void {
    if (this.aborted != null) { throw this.aborted.error }
  }

  /** A store that does not answer must not hold an abort up. */
  protected async interruptible<T> (waiting: Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    this.interrupt = reject
    waiting.then(resolve, reject)
    if (this.aborted != null) { reject(this.aborted.error) }
    return await promise
  }

  /** Whether an item is there, or none will come. Throws when the responder failed or is silent. */
  protected async hasItem (): Promise<boolean> {
    while (this.queue.length === 0) {
      const { failure, status } = this
      if (failure != null) { throw failure.error }
      if (status != null) {
        this.checkStatus(status)
        return false
      }
      const { promise, resolve } = Promise.withResolvers<void>()
      const limit = this.options.stallTimeout ?? STALL_TIMEOUT
      const timer = setTimeout(() => { this.fail(new StalledError(limit)) }, limit)
      this.waiter = resolve
      this.peer.changed()
      try {
        await promise
      } finally {
        clearTimeout(timer)
        this.waiter = undefined
      }
    }
    return true
  }

  /** Throws for the status of a failure. */
  protected checkStatus (status: number): void {
    const error = statusError(status, this.peer.id, this.root)
    if (error != null) { throw error }
  }

  private wake (): void {
    this.waiter?.()
    this.peer.changed()
  }
}
