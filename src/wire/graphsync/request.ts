import type { CID } from 'multiformats/cid'
import { BlockTooLargeError, ContentNotFoundError, StalledError, TransferFailedError } from '../../shared/errors.ts'
import { LongLoop } from '../../shared/event-loop.ts'
import { Queue } from '../../shared/queue.ts'
import { isThenable } from '../../shared/thenable.ts'
import type { GraphsyncBlock, RequestOptions } from '../../shared/types/graphsync.ts'
import type { SelectorNode } from '../../shared/types/selector.ts'
import type { LinkSystem } from '../../shared/types/store.ts'
import { readBlock, readIntact } from '../../store/read.ts'
import { holdsItself } from '../../store/verify.ts'
import { Traversal } from '../../traversal/traversal.ts'
import type { PendingLink } from '../../traversal/traversal.ts'
import { DEDUP_BY_KEY, DO_NOT_SEND_FIRST_BLOCKS, MAX_AHEAD, MAX_UNSETTLED, OVERFULL } from './constants.ts'
import { toFrame } from './frame.ts'
import type { Item } from './incoming.ts'
import { Inflow } from './inflow.ts'
import { keyOf, randomId } from './keys.ts'
import type { Key } from './keys.ts'
import { encodeGraphsyncMessage } from './message.ts'
import type { Peer } from './peer.ts'
import { LocalPrefix } from './prefix.ts'
import { mismatchError } from './status.ts'

/** A step that the consumer has not taken yet. The block is read from the store again. */
interface Ahead {
  cid: CID
  local: boolean
  depth?: number
}

/** A request to a peer: one walk, over the store first, then over what the responder sends. */
export class OutgoingRequest extends Inflow {
  readonly id: Uint8Array = randomId()
  readonly key = keyOf(this.id)
  readonly linkSystem: LinkSystem

  /** Whether the peer's stream has taken it. */
  sent = false
  private readonly selector: SelectorNode
  private readonly traversal: Traversal
  private readonly prefix = new LocalPrefix()
  private readonly loop = new LongLoop()

  /** Below this depth the responder does not walk: it lacks a block there. */
  private unfollowed: number | undefined
  private missing: Error | undefined
  private stepping = false
  private readonly ahead = new Queue<Ahead>()
  private running: Promise<{ error: unknown } | undefined> | undefined
  private walked = false
  private cancelled = false
  private onClose: (() => void) | undefined

  /** Called for each link that was walked before the peer was asked, when the peer has come to it as well. */
  onPassed?: () => void

  constructor (peer: Peer, root: CID, selector: SelectorNode, linkSystem: LinkSystem, options: RequestOptions) {
    super(peer, root, options)
    this.traversal = new Traversal(root, selector, { getCodec: code => linkSystem.getCodec(code), inDagCborOrder: true })
    this.selector = selector
    this.linkSystem = linkSystem
  }

  override get full (): boolean {
    return this.ahead.length > 0 || super.full
  }

  /** Whether it holds far too much, and makes room by itself: others who wait for the peer must wait for that. */
  get overfull (): boolean {
    return (this.stepping || this.running != null) && this.queue.isOver(OVERFULL)
  }

  /** Walks on without the consumer, who may be waiting for another request: the blocks go to the store, and out of memory. */
  relieve (): void {
    if (!this.full || this.stepping || this.running != null || this.walked) { return }
    const running = this.running = this.runAhead()
    void running.then(failed => {
      if (failed == null) { this.running = undefined } // it may have to run again before the consumer comes
      this.peer.changed()
    })
  }

  /** Whether the walk has come to the selector's stop link. */
  get metStop (): boolean {
    return this.traversal.metStop
  }

  /** What the selector's limit has cut off, as the walk has it. */
  get rest (): Traversal['rest'] {
    return this.traversal.rest
  }

  /** Before the first next(); close() must follow, which calls `onClose`. */
  begin (onClose: () => void): void {
    const { signal } = this.options
    signal?.throwIfAborted()
    signal?.addEventListener('abort', this.abort)
    this.peer.begun.add(this)
    this.onClose = onClose
  }

  /** The next block; undefined at the end. A promise only when something has to be waited for. One call at a time. */
  next (): GraphsyncBlock | undefined | Promise<GraphsyncBlock | undefined> {
    this.checkAborted()
    if (this.ahead.length > 0 || this.running != null) { return this.nextAhead() }
    const step = this.step()
    return step instanceof Promise ? this.unlessAborted(step) : step
  }

  /** Ends the request, also at the responder, when it may still be at work. */
  close (): void {
    const { onClose } = this
    if (onClose == null) { return }
    this.onClose = undefined
    this.options.signal?.removeEventListener('abort', this.abort)
    this.peer.begun.delete(this)
    this.fail(new TransferFailedError('the request is over'))
    this.ahead.clear()
    this.peer.requests.delete(this.key)
    if (this.online && this.status == null && this.peer.unsettled.size < MAX_UNSETTLED) { this.peer.unsettled.add(this.key) }
    this.cancel()
    this.peer.checkUse()
    onClose()
  }

  private readonly abort = (): void => { this.fail(this.options.signal?.reason) }

  private async unlessAborted (step: Promise<GraphsyncBlock | undefined>): Promise<GraphsyncBlock | undefined> {
    const block = await step
    this.checkAborted()
    return block
  }

  private async nextAhead (): Promise<GraphsyncBlock | undefined> {
    while (this.ahead.length > 0 || this.running != null) {
      const block = await (this.ahead.length > 0 ? this.again() : this.ranAhead())
      this.checkAborted()
      if (block != null) { return block }
    }
    return await this.next()
  }

  /** Tells the responder, when it may still be at work. */
  cancel (): void {
    if (!this.online || this.status != null || this.cancelled || (this.walked && this.missing == null)) { return }
    this.cancelled = true
    this.peer.outbox.push(toFrame([encodeGraphsyncMessage({ requests: [{ id: this.id, type: 'cancel' }], responses: [], blocks: [] })]))
  }

  private async again (): Promise<GraphsyncBlock> {
    const { cid, local, depth } = this.ahead.shift() as Ahead
    this.peer.changed()
    await this.loop.pause()
    const bytes = readBlock(this.linkSystem.blockstore, cid, this.options)
    return { cid, local, depth, bytes: bytes instanceof Promise ? await this.interruptible(bytes) : bytes }
  }

  private async runAhead (): Promise<{ error: unknown } | undefined> {
    try {
      while (this.queue.length > 0 && !this.walked) {
        const step = this.step()
        const block = step instanceof Promise ? await step : step
        if (block == null) { break }
        if (this.ahead.length === MAX_AHEAD) { throw new TransferFailedError('too much of the response is not read') }
        this.ahead.push({ cid: block.cid, local: block.local, depth: block.depth })
      }
      return undefined
    } catch (error) {
      this.sate()
      return { error }
    }
  }

  /** All that was walked ahead is read. */
  private async ranAhead (): Promise<undefined> {
    const failed = await this.running
    if (failed != null && this.ahead.length === 0) {
      this.running = undefined
      throw failed.error
    }
    return undefined
  }

  /** The next block, or undefined at the end. A promise only when something has to be waited for. */
  private step (): GraphsyncBlock | undefined | Promise<GraphsyncBlock | undefined> {
    if (this.walked) { return undefined }
    const link = this.traversal.next()
    if (link == null) { return this.finish() }
    const pause = this.loop.pause()
    if (pause != null) { return this.slowStep(link, undefined, pause) }
    if (!this.online) { return this.localStep(link) }
    if (!this.prefix.done || this.queue.length === 0 || this.isUnfollowed()) { return this.slowStep(link) }
    const item = this.take(keyOf(link.bytes))
    if (item.block == null) { return this.slowStep(link, item) }
    const { cid } = link
    const put = this.put(cid, item.block)
    if (put != null) { return this.slowStep(link, item, put) }
    this.traversal.follow(item.block)
    return { cid, bytes: item.block, local: false, depth: this.traversal.depth }
  }

  /** A step before the peer was asked. */
  private localStep (link: PendingLink): GraphsyncBlock | Promise<GraphsyncBlock | undefined> {
    const { cid } = link
    const bytes = this.local(cid)
    if (bytes == null || bytes instanceof Promise) { return this.slowStep(link, undefined, undefined, bytes ?? Promise.resolve(undefined)) }
    this.prefix.add(keyOf(link.bytes), this.traversal.depth)
    this.traversal.follow(bytes)
    return { cid, bytes, local: true, depth: this.traversal.depth }
  }

  /** A step that waits, first for `before`: a block that is put, or a pause. */
  private async slowStep (
    link: PendingLink, item?: Item, before?: Promise<unknown>, read?: Promise<Uint8Array | undefined>
  ): Promise<GraphsyncBlock | undefined> {
    this.stepping = true
    try {
      let next: PendingLink | undefined = link
      while (next != null) {
        const { cid } = next
        if (before != null) { await this.interruptible(before) }
        const block = item?.block == null ? await this.load(next, item, read) : { cid, bytes: item.block, local: false }
        if (block != null) {
          this.traversal.follow(block.bytes)
          return { ...block, depth: this.traversal.depth }
        }
        item = read = undefined
        before = this.loop.pause()
        next = this.traversal.next()
      }
      return await this.finish()
    } finally {
      this.stepping = false
      if (super.full) { this.peer.changed() } // who makes room has changed
    }
  }

  /** From the responder, or from the store; undefined when the block is missing. */
  private async load (link: PendingLink, item?: Item, read?: Promise<Uint8Array | undefined>): Promise<GraphsyncBlock | undefined> {
    const { cid } = link
    if (!this.online) {
      const bytes = await (read ?? this.local(cid))
      if (bytes != null) {
        this.prefix.add(keyOf(link.bytes), this.traversal.depth)
        return { cid, bytes, local: true }
      }
      this.checkAborted() // by the store, say: nobody would cancel what is asked for now
      this.goOnline()
    }
    item ??= await this.remote(keyOf(link.bytes))
    if (item?.block != null) {
      const put = this.put(cid, item.block)
      if (put != null) { await this.interruptible(put) }
      return { cid, bytes: item.block, local: false }
    }
    const bytes = await this.local(cid)
    if (bytes != null) { return { cid, bytes, local: true } }
    if (item?.action === 'p' || item?.action === 'd') {
      this.linkSystem.getHasher(cid.multihash.code) // without one it may have come all the same: UnknownHasherError
      this.missing ??= new TransferFailedError(`the peer says that it has ${cid}, and did not send it, or it is gone from the store`)
    }
    this.missing ??= new ContentNotFoundError(cid)
    return undefined
  }

  /** What the responder says of a link; undefined when it does not walk there. */
  private async remote (key: Key): Promise<Item | undefined> {
    while (!this.prefix.done) {
      if (!await this.hasItem()) { return undefined }
      const item = this.queue.shift() as Item
      const { depth } = this.prefix
      const followed = item.action === 'p' || item.action === 'd'
      if (!this.prefix.take(item.key, followed)) { throw mismatchError(item.key) }
      this.unfollowed = followed ? undefined : depth
      this.onPassed?.()
    }
    if (this.isUnfollowed()) { return undefined }
    return await this.hasItem() ? this.take(key) : undefined
  }

  /** The item that the queue begins with, which must be of this link. */
  private take (key: Key): Item {
    const item = this.queue.shift() as Item
    if (!super.full) { this.peer.changed() }
    if (item.key !== key) { throw mismatchError(item.key, key) }
    if (item.action === 'm' || item.action === 's') { this.unfollowed = this.traversal.depth }
    return item
  }

  private isUnfollowed (): boolean {
    if (this.unfollowed == null) { return false }
    if (this.traversal.depth > this.unfollowed) { return true }
    this.unfollowed = undefined
    return false
  }

  /** The end of the walk. A missing block is told after the last status, which may say more. */
  private finish (): undefined | Promise<undefined> {
    if (this.missing == null) {
      if (this.status != null) { this.checkStatus(this.status) }
      this.walked = true
      this.sate()
      return undefined
    }
    return this.finishMissing(this.missing)
  }

  private async finishMissing (missing: Error): Promise<undefined> {
    this.walked = true
    this.sate()
    try {
      await this.hasItem()
    } catch (error) {
      throw error instanceof StalledError ? missing : error
    }
    throw missing
  }

  private goOnline (): void {
    const { peer, id, root, selector, prefix, options: { extensions: given } } = this
    this.options.onAsk?.()
    this.checkAborted()
    this.online = true // from here on it is to be cancelled
    const skip = Math.max(prefix.length, Number(given?.[DO_NOT_SEND_FIRST_BLOCKS] ?? 0))
    const extensions = {
      // what was sent for another request need not be in our store
      ...(peer.requests.size + peer.unsettled.size > 0 ? { [DEDUP_BY_KEY]: crypto.randomUUID() } : {}),
      ...given,
      ...(skip > 0 ? { [DO_NOT_SEND_FIRST_BLOCKS]: skip } : {})
    }
    const message = encodeGraphsyncMessage({ requests: [{ id, type: 'new', root, selector, extensions }], responses: [], blocks: [] })
    peer.requests.set(this.key, this)
    peer.outbox.push({ ...toFrame([message]), done: [error => { this.sent = error == null }] })
  }

  /** A block of the store; undefined when it has none. A promise only when the store or the hasher gives one. */
  private local (cid: CID): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    const read = readIntact(this.linkSystem, cid, this.options)
    return read instanceof Promise ? this.interruptible(read) : read
  }

  /** A promise only when the store gives one. */
  private put (cid: CID, bytes: Uint8Array): Promise<unknown> | undefined {
    const { maxBlockSize } = this.options
    if (maxBlockSize != null && bytes.length > maxBlockSize) { throw new BlockTooLargeError(`block ${cid}`, maxBlockSize) }
    const put = holdsItself(cid) ? undefined : this.linkSystem.blockstore.put(cid, bytes, this.options)
    return isThenable(put) ? Promise.resolve(put) : undefined
  }
}
