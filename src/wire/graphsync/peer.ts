import type { PeerId } from '@libp2p/interface'
import type { ByteBudget } from '../streams.ts'
import { MAX_HELD_BYTES, MAX_PEER_INBOUND, MAX_SHARE_BYTES, MAX_WAITING_BYTES, MAX_WAITING_REQUESTS, MOST_WAITING_REQUESTS } from './constants.ts'
import { Dedup } from './dedup.ts'
import { FrameBuilder } from './frame.ts'
import { Outbox } from './outbox.ts'
import type { OutboxInit } from './outbox.ts'
import type { OutgoingRequest } from './request.ts'
import type { Response } from './response.ts'
import type { FairSlots } from './fair-slots.ts'

/** Frames of responses begin small, so that the first blocks are there soon, and grow: fewer, bigger writes. */
const FIRST_FRAME = 16 * 1024
const BIGGEST_FRAME = 128 * 1024

/** Bytes of responses that wait for all peers together, and how many may. */
export interface Total {
  bytes: number
  readonly peers: Set<Peer>
  readonly limit: number
  readonly peerLimit: number
}

export interface PeerInit extends Pick<OutboxInit, 'libp2p' | 'writeTimeout'> {
  total: Total

  /** Of requests that are served at once, those of all peers. */
  slots: FairSlots

  /** Nothing keeps it any more. */
  onUnused: (peer: Peer) => void
}

/** What is known of one remote peer while there is something to know. */
export class Peer {
  readonly id: PeerId
  readonly key: string
  readonly outbox: Outbox
  readonly builder = new FrameBuilder()
  readonly dedup = new Dedup()
  readonly inbound: ByteBudget = { used: 0, limit: MAX_PEER_INBOUND }

  /** Own requests to the peer, by id. */
  readonly requests = new Map<string, OutgoingRequest>()

  /** Own requests that ended before the peer said so; a few of them. It may still hold back what it sent for those. */
  readonly unsettled = new Set<string>()

  /** Requests of the peer, by id. */
  readonly responses = new Map<string, Response>()

  streams = 0

  /** Own requests that are not closed: also those that have not asked the peer yet, and may never do. */
  readonly begun = new Set<OutgoingRequest>()

  /** Requests of the peer that were not begun yet. */
  private readonly waiting = new Set<Response>()
  private waitingBytes = 0

  /** Of those and of the ones that are being served, also when they were cancelled: a store or a validator may still be at work. */
  private heldBytes = 0
  private beginning = false

  private readonly init: PeerInit
  private frameSize = FIRST_FRAME
  private flushTimer: ReturnType<typeof setTimeout> | undefined
  private roomWaiters: Array<() => void> = []
  private changeWaiters: Array<() => void> = []

  constructor (id: PeerId, init: PeerInit) {
    this.id = id
    this.key = id.toString()
    this.init = init
    const { libp2p, writeTimeout, total } = init
    total.peers.add(this)
    this.outbox = new Outbox({
      libp2p,
      writeTimeout,
      peer: id,
      onBytes: bytes => { this.onBytes(bytes) },
      onDrained: () => { this.flush() },
      onIdle: () => { this.checkUse() },
      onLost: error => {
        this.loseResponses(error)
        for (const request of this.requests.values()) {
          if (request.sent && !request.answered) { request.networkError(error, false) }
        }
      },
      onFailed: error => { this.fail(error) }
    })
  }

  /** Something that was sent may be lost, or nothing can be sent: requests are told, responses end. */
  fail (error: Error): void {
    for (const response of this.responses.values()) { response.end({ error }) }
    for (const request of this.requests.values()) { request.networkError(error, true) }
    this.dropBuilt()
    this.checkUse()
  }

  /** Responses cannot go on behind a gap. Those that were not begun can. */
  private loseResponses (error: Error): void {
    for (const response of this.responses.values()) {
      if (!this.waiting.has(response)) { response.end({ error }) }
    }
    this.dropBuilt()
  }

  /** Nobody waits for it: the last status of a response goes to the outbox at once. */
  private dropBuilt (): void {
    this.builder.build()
  }

  /** What the peer sent may be lost. */
  lost (error: Error): void {
    for (const request of this.requests.values()) { request.networkError(error, false) }
  }

  close (error: Error): void {
    clearTimeout(this.flushTimer)
    const unfinished = this.responses.size > 0 || !this.outbox.idle
    for (const response of this.responses.values()) { response.end({ error }) }
    for (const request of this.begun) {
      request.cancel()
      request.fail(error)
    }
    this.dropBuilt()
    this.outbox.close(error, { reset: unfinished })
    this.checkUse()
  }

  // ---- requests of the peer

  /** Serves the response when there is room and a slot for it, after those before it. */
  enqueue (response: Response): void {
    this.responses.set(response.id, response)
    this.heldBytes += response.bytes
    this.waiting.add(response)
    this.waitingBytes += response.bytes
    if (!this.beginning) { void this.begin() }
  }

  /** The response has ended before its time. */
  forget (response: Response): void {
    this.responses.delete(response.id)
    if (this.waiting.delete(response)) {
      this.waitingBytes -= response.bytes
      this.letGo(response)
    }
    this.wake()
  }

  private async begin (): Promise<void> {
    const { slots } = this.init
    this.beginning = true
    while (this.waiting.size > 0) {
      while (!this.hasRoom) { await this.room() }
      const slot = slots.acquire(this.key)
      if (slot != null) { await slot }
      const [response] = this.waiting
      if (response == null) { // those that waited were cancelled
        slots.release()
        break
      }
      this.waiting.delete(response)
      this.waitingBytes -= response.bytes
      this.changed()
      void response.serve().then(() => { this.letGo(response) })
    }
    this.beginning = false
  }

  private letGo (response: Response): void {
    this.heldBytes -= response.bytes
    this.changed()
  }

  // ---- what goes out

  /** Sends the message that is being built when it is big enough; whether it was. */
  flushWhenFull (): boolean {
    if (this.builder.bytes < this.frameSize) { return false }
    this.frameSize = Math.min(2 * this.frameSize, BIGGEST_FRAME)
    this.flush()
    return true
  }

  /** Sends the message that is being built, if there is one. */
  flush (): void {
    clearTimeout(this.flushTimer)
    this.flushTimer = undefined
    if (!this.builder.empty) { this.outbox.push(this.builder.build()) }
  }

  /** Sends it soon: a walk waits for its store, and another block may come in a moment. */
  flushSoon (): void {
    if (this.flushTimer != null || this.builder.empty || !this.outbox.idle) { return }
    this.flushTimer = setTimeout(() => { this.flush() }, 0)
  }

  /** Whether walks for this peer may go on. */
  get hasRoom (): boolean {
    const { total } = this.init
    const bytes = this.outbox.bytes + this.builder.bytes
    if (bytes >= total.peerLimit) { return false }
    return total.bytes < total.limit / 2 || bytes < Math.min(MAX_SHARE_BYTES, total.limit / 2 / total.peers.size)
  }

  async room (): Promise<void> {
    this.flush() // or nothing might go out that makes room
    if (this.hasRoom) { return }
    const { promise, resolve } = Promise.withResolvers<void>()
    this.roomWaiters.push(resolve)
    await promise
  }

  /** Lets the walks that wait for room look again. */
  wake (): void {
    const waiters = this.roomWaiters
    this.roomWaiters = []
    for (const resolve of waiters) { resolve() }
  }

  private onBytes (bytes: number): void {
    const { total } = this.init
    const wasFull = total.bytes >= total.limit / 2
    total.bytes += bytes
    if (bytes >= 0) { return }
    if (wasFull && total.bytes < total.limit / 2) {
      for (const peer of total.peers) { peer.wake() }
    } else if (this.roomWaiters.length > 0 && this.outbox.bytes < total.peerLimit / 2) {
      this.wake()
    }
  }

  // ---- what comes in

  /**
   * Whether to take no more requests of the peer. While it is waited for some more may wait: it may do the same, and what each waits
   * for comes behind the requests.
   */
  get crowded (): boolean {
    if (this.heldBytes > MAX_HELD_BYTES || this.waiting.size > MOST_WAITING_REQUESTS) { return true }
    return (this.waiting.size > MAX_WAITING_REQUESTS || this.waitingBytes > MAX_WAITING_BYTES) && !this.isAwaited
  }

  private get isAwaited (): boolean {
    for (const request of this.requests.values()) {
      if (request.hungry) { return true }
    }
    return false
  }

  /**
   * Whether to read no more from the peer: a request has enough, and no other waits for anything. (Whoever reads one request may be
   * waiting for another one of the same peer, so a full one must not stop a hungry one, unless it makes room by itself.)
   */
  get full (): boolean {
    let full = false
    let hungry = false
    for (const request of this.requests.values()) {
      if (request.overfull) { return true }
      hungry ||= request.hungry
      full ||= request.full
    }
    return full && !hungry
  }

  async change (): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.changeWaiters.push(resolve)
    await promise
  }

  /** Something changed that `crowded` or `full` depends on. */
  changed (): void {
    if (this.changeWaiters.length === 0) { return }
    const waiters = this.changeWaiters
    this.changeWaiters = []
    for (const resolve of waiters) { resolve() }
  }

  checkUse (): void {
    this.changed()
    if (this.responses.size === 0) { this.frameSize = FIRST_FRAME }
    const { outbox, builder } = this
    if (this.streams > 0 || this.begun.size > 0 || this.requests.size > 0 || this.responses.size > 0) { return }
    if (!outbox.idle || outbox.connected || !builder.empty) { return }
    this.init.total.peers.delete(this)
    this.init.onUnused(this)
  }
}
