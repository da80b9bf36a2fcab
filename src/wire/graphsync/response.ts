import { CID } from 'multiformats/cid'
import { TransferFailedError } from '../../shared/errors.ts'
import { LongLoop, turnOfEventLoop } from '../../shared/event-loop.ts'
import { isThenable } from '../../shared/thenable.ts'
import type { GraphsyncRequest, RequestDecision, RequestValidator, ResponseEnd } from '../../shared/types/graphsync.ts'
import type { LinkSystem } from '../../shared/types/store.ts'
import { readBlock } from '../../store/read.ts'
import { Traversal } from '../../traversal/traversal.ts'
import type { PendingLink } from '../../traversal/traversal.ts'
import { DEDUP_BY_KEY, DO_NOT_SEND_CIDS, DO_NOT_SEND_FIRST_BLOCKS, GraphsyncStatus } from './constants.ts'
import { fitsFrame } from './frame.ts'
import { keyOf } from './keys.ts'
import type { Key } from './keys.ts'
import type { Peer } from './peer.ts'
import type { FairSlots } from './fair-slots.ts'

export interface ResponseInit {
  slots: FairSlots
  validators: Set<RequestValidator>
  linkSystem?: LinkSystem

  /** Of the request. */
  bytes: number
}

/** What the extensions of a request say of which blocks to send. */
interface Limits {
  firstBlocks: number
  known?: Set<Key>
  dedupKey?: string
}

/** One request of a peer, from its arrival to its last status. */
export class Response {
  readonly id: string
  readonly request: GraphsyncRequest
  private readonly peer: Peer
  private readonly init: ResponseInit
  private decision: RequestDecision | undefined
  private stopped: AbortController | undefined

  /** Has what was sent for it sent again for others. */
  private leave: (() => void) | undefined
  private over = false
  private ended = false

  constructor (peer: Peer, request: GraphsyncRequest, init: ResponseInit) {
    this.peer = peer
    this.request = request
    this.init = init
    this.id = keyOf(request.id)
  }

  update (update: GraphsyncRequest): void {
    try {
      this.decision?.onUpdate?.(update)
    } catch {
      this.abort()
    }
  }

  /** Stops the walk, without a word to the peer: it drops, or has lost, what was sent. */
  end (end: ResponseEnd): void {
    this.over = true
    this.stopped?.abort()
    this.leave?.()
    this.peer.forget(this)
    this.tell(end)
  }

  /** Who took the request wants it served no more, or failed. */
  private readonly abort = (): void => {
    this.finish(GraphsyncStatus.failed)
    this.stopped?.abort()
    this.peer.wake()
  }

  get bytes (): number {
    return this.init.bytes
  }

  /** Runs in a slot, which it gives back. Does not throw. */
  async serve (): Promise<void> {
    try {
      await this.decide()
    } catch {
      this.finish(GraphsyncStatus.failed)
    } finally {
      this.init.slots.release()
    }
  }

  private async decide (): Promise<void> {
    const { peer, request } = this
    let decision: RequestDecision | undefined
    for (const validate of [...this.init.validators]) {
      const answer = validate(peer.id, request)
      decision = isThenable(answer) ? await answer : answer
      if (decision != null) { break }
    }
    if (this.over) {
      if (decision?.accept === true) { decision.onEnd?.({ error: new TransferFailedError('the request was cancelled') }) }
      return
    }
    if (decision?.accept === true) { this.decision = decision } // from here on it hears of the end
    const linkSystem = decision?.linkSystem ?? this.init.linkSystem
    if (decision?.extensions != null) { peer.builder.addExtensions(request.id, decision.extensions) }
    if (decision?.accept !== true) {
      this.finish(decision?.status ?? GraphsyncStatus.rejected)
      return
    }
    if (linkSystem == null) {
      this.finish(GraphsyncStatus.failed)
      return
    }
    const limits = readLimits(request.extensions)
    const { signal } = decision
    const user = {} // not this: links that are remembered keep it
    const visited = peer.dedup.join(limits.dedupKey, user)
    this.leave = () => { peer.dedup.leave(limits.dedupKey, user) }
    signal?.addEventListener('abort', this.abort)
    try {
      if (signal?.aborted === true) { this.abort() }
      const status = await this.walk(linkSystem, limits, visited)
      if (!this.over) { this.finish(status) }
    } finally {
      signal?.removeEventListener('abort', this.abort)
      this.leave()
    }
  }

  /** Gives the last status. Throws when the selector or a block does not decode. */
  private async walk (linkSystem: LinkSystem, { firstBlocks, known }: Limits, visited: (key: Key) => boolean): Promise<number> {
    const { peer, request } = this
    if (request.root == null || request.selector == null) { return GraphsyncStatus.failed }
    const traversal = new Traversal(request.root, request.selector, { getCodec: code => linkSystem.getCodec(code) })
    const { signal } = this.stopped = new AbortController()
    const loop = new LongLoop() // what is known there already makes no message full, and a selector may take long over each block
    let missing = 0
    for (let position = 1; !this.over; position++) {
      const pause = loop.pause()
      if (pause != null) { await pause }
      if (!peer.hasRoom) { await this.waitForRoom() }
      const link = traversal.next()
      if (link == null) { return missing === 0 ? GraphsyncStatus.completedFull : GraphsyncStatus.completedPartial }
      const key = keyOf(link.bytes)
      const loaded = this.load(linkSystem, link, signal)
      const bytes = loaded instanceof Promise ? await this.patiently(loaded) : loaded
      if (this.over) { break }
      if (bytes == null) {
        missing++
        peer.builder.addLink(request.id, key, 'm')
        if (position === 1) { return GraphsyncStatus.notFound }
        if (peer.flushWhenFull()) { await turnOfEventLoop() }
        continue
      }
      const before = visited(key)
      const flushed = this.add(key, bytes, before || position <= firstBlocks || known?.has(key) === true)
      traversal.follow(bytes)
      if (flushed) { await turnOfEventLoop() } // or nothing goes out before the walk waits for something
    }
    return GraphsyncStatus.cancelled
  }

  /** Whether a message went out. */
  private add (key: Key, bytes: Uint8Array, known: boolean): boolean {
    const { peer, request: { id } } = this
    if (known) {
      peer.builder.addLink(id, key, 'p')
    } else {
      if (!fitsFrame(bytes)) { throw new TransferFailedError('a block is too large for a frame') }
      if (peer.builder.isFullFor(bytes.length)) { peer.flush() }
      peer.builder.addLink(id, key, 'p', bytes)
    }
    return peer.flushWhenFull()
  }

  /** A block; undefined when the store does not give it, whatever the reason. */
  private load (
    { blockstore }: LinkSystem, link: PendingLink, signal: AbortSignal
  ): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    try {
      const loaded = readBlock(blockstore, link.cid, { signal })
      return loaded instanceof Promise ? loaded.catch(() => undefined) : loaded
    } catch {
      return undefined
    }
  }

  private async patiently<T> (loading: Promise<T>): Promise<T> {
    this.peer.flushSoon()
    return await loading
  }

  /** A walk that waits for its peer leaves its slot to others. */
  private async waitForRoom (): Promise<void> {
    const { peer, init: { slots } } = this
    slots.release()
    while (!peer.hasRoom && !this.over) { await peer.room() }
    const slot = slots.acquire(peer.key)
    if (slot != null) { await slot }
  }

  private finish (status: number): void {
    if (this.over) { return }
    this.over = true
    const { peer, request } = this
    peer.responses.delete(this.id)
    peer.builder.finish(request.id, status, error => { this.tell(error == null ? { status } : { status, error }) })
    peer.flush()
    peer.checkUse()
  }

  private tell (end: ResponseEnd): void {
    if (this.ended) { return }
    this.ended = true
    try {
      this.decision?.onEnd?.(end)
    } catch {}
  }
}

/** Throws for an extension of the wrong type. */
function readLimits (extensions: Record<string, any> = {}): Limits {
  // null is a value like any other, and of the wrong type
  const { [DO_NOT_SEND_FIRST_BLOCKS]: firstBlocks = 0, [DO_NOT_SEND_CIDS]: cids = [], [DEDUP_BY_KEY]: dedupKey } = extensions
  if (!Number.isSafeInteger(firstBlocks) || !Array.isArray(cids) || (dedupKey !== undefined && typeof dedupKey !== 'string')) {
    throw new TypeError('bad extension')
  }
  if (cids.length === 0) { return { firstBlocks, dedupKey } }
  const known = new Set(cids.map(cid => {
    if (CID.asCID(cid) == null) { throw new TypeError('bad extension') }
    return keyOf(cid.bytes)
  }))
  return { firstBlocks, known, dedupKey }
}
