/// <reference lib="esnext.disposable" preserve="true" />
import { isPeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { toCid } from '../shared/check.ts'
import { ANNOUNCE_CACHE_SIZE, ANNOUNCE_TIMEOUT, MAX_ANNOUNCE_ADDRS, MAX_ANNOUNCE_PUBLISHERS } from '../shared/constants.ts'
import { InvalidMessageError, InvalidOptionError, ReceiverClosedError } from '../shared/errors.ts'
import { filterPublic, multiaddrFromBytes } from '../shared/multiaddrs.ts'
import { checkAddrs } from '../shared/multiaddrs/bytes.ts'
import { isStrayPromise } from '../shared/thenable.ts'
import { unlessAborted } from '../shared/unless-aborted.ts'
import { within } from '../shared/within.ts'
import { decodeAnnounce, messageAddrs } from './message.ts'
import { cidsOf, Pending } from './pending.ts'
import { Recent } from './recent.ts'
import { Seen } from './seen.ts'
import { publish } from './senders/gossip.ts'
import { subscribe } from './subscriptions.ts'
import type { Announce, PubSub, ReceiverInit } from '../shared/types.ts'
import type { AbortOptions, ComponentLogger, Logger, PeerId, PeerInfo, Startable } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { CID } from 'multiformats/cid'

export interface ReceiverComponents {
  /** Without one only direct announces are heard. */
  pubsub?: PubSub

  /** This node: what it has republished itself is not heard again. */
  peerId?: PeerId
  logger?: ComponentLogger
}

interface Waiter { resolve(announce: Announce): void, reject(err: Error): void }

const takers = new WeakMap<Receiver, (announce: Announce) => void>()

/** Gives each announcement to `take` in the call that brings it, and none to next(): whoever has room for all of them loses none. */
export function takeEach (receiver: Receiver, take: (announce: Announce) => void): void {
  takers.set(receiver, take)
}

/**
 * Hears announcements, over gossip and by direct(), and gives those that pass, one at a time. Newest wins: what nobody has
 * taken yet is replaced by the publisher's next, so a slow reader costs no memory. Go: announce.Receiver.
 */
export class Receiver implements Startable, AsyncDisposable {
  /** The gossip topic that it listens on; undefined without pubsub. */
  readonly topic: string | undefined

  private readonly components: ReceiverComponents
  private readonly init: ReceiverInit
  private readonly trustedRelays: Set<string>
  private readonly log: Logger | undefined
  private readonly seen = new Seen(MAX_ANNOUNCE_PUBLISHERS, ANNOUNCE_CACHE_SIZE)
  /** By relay and publisher, so that none can make a publisher's own announcement look like an old one. */
  private readonly seenHints = new Seen(MAX_ANNOUNCE_PUBLISHERS, ANNOUNCE_CACHE_SIZE)
  private readonly pending = new Pending(MAX_ANNOUNCE_PUBLISHERS)
  private readonly addrs = new Recent<Multiaddr>()
  private readonly peers = new Recent<PeerId>() // whose text, in base58, is dear to make
  private readonly waiting = new Set<Waiter>()
  private closing = new AbortController()
  private unsubscribe: (() => void) | undefined
  private malformedCount = 0
  private droppedCount = 0

  /** Throws InvalidOptionError. */
  constructor (components: ReceiverComponents, init: ReceiverInit & { topic?: string } = {}) {
    checkInit(init)
    if (components?.pubsub != null && typeof components.pubsub.getTopics !== 'function') {
      throw new InvalidOptionError('pubsub', 'must be a pubsub service, such as services.pubsub of a node')
    }
    this.components = components
    this.init = { ...init }
    this.topic = components.pubsub == null ? undefined : init.topic
    this.trustedRelays = new Set(init.trustedRelays?.map(relay => relay.toString()))
    this.log = components.logger?.forComponent('dagsync:receiver')
  }

  /** Gossip messages that were no announcement, since it was made. */
  get malformed (): number {
    return this.malformedCount
  }

  /** Announcements that were let in, and fell out of the full queue (1,024 publishers), since it was made. */
  get dropped (): number {
    return this.droppedCount
  }

  private get closed (): boolean {
    return this.closing.signal.aborted
  }

  /** Listens on the topic. Idempotent. Throws what the pubsub service throws, e.g. when it is not started. */
  async start (options: AbortOptions = {}): Promise<void> {
    options.signal?.throwIfAborted()
    const { pubsub } = this.components
    if (pubsub != null && this.topic != null && this.unsubscribe == null) {
      this.unsubscribe = subscribe(pubsub, this.topic)
      pubsub.addEventListener('message', this.onMessage)
    }
    if (this.closed) { this.closing = new AbortController() }
  }

  /** Ends every next() with ReceiverClosedError, and forgets what it has heard. Idempotent; start() may follow. */
  async stop (): Promise<void> {
    this.closing.abort(new ReceiverClosedError())
    this.components.pubsub?.removeEventListener('message', this.onMessage)
    const unsubscribe = this.unsubscribe
    this.unsubscribe = undefined
    this.pending.clear()
    this.seen.clear()
    this.seenHints.clear()
    for (const waiter of this.waiting) { waiter.reject(new ReceiverClosedError()) }
    this.waiting.clear()
    unsubscribe?.()
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    await this.stop()
  }

  /** The next announcement. Waits for it; throws ReceiverClosedError after and by stop(), and the signal's reason. */
  async next (options: AbortOptions = {}): Promise<Announce> {
    const { signal } = options
    signal?.throwIfAborted()
    if (this.closed) { throw new ReceiverClosedError() }
    const announce = this.pending.take()
    if (announce != null) { return announce }

    const { promise, resolve, reject } = Promise.withResolvers<Announce>()
    const waiter = { resolve, reject }
    const abort = (): void => {
      this.waiting.delete(waiter)
      reject(signal?.reason)
    }
    this.waiting.add(waiter)
    signal?.addEventListener('abort', abort)
    try {
      return await promise
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  /** Announcements until stop(). */
  async * [Symbol.asyncIterator] (): AsyncGenerator<Announce, void, undefined> {
    const { signal } = this.closing
    while (!signal.aborted) {
      let announce: Announce
      try {
        announce = await this.next()
      } catch {
        return // it was stopped
      }
      yield announce
    }
  }

  /**
   * Takes an announcement that came otherwise than by gossip, e.g. by HTTP; republishes it when `resend` is on. One that is
   * not let in, or known, is ignored. Addresses beyond 64 are left out.
   *
   * Throws InvalidOptionError, ReceiverClosedError after and by stop(), and the signal's reason.
   */
  async direct (cid: CID, publisher: PeerInfo, options: AbortOptions = {}): Promise<void> {
    options.signal?.throwIfAborted()
    const announced = toCid('cid', cid)
    if (!isPeerId(publisher?.id)) { throw new InvalidOptionError('publisher', 'must be a peer info') }
    checkAddrs('publisher', publisher.multiaddrs)
    const announce = { cid: announced, peerId: publisher.id, addrs: publisher.multiaddrs.slice(0, MAX_ANNOUNCE_ADDRS) }
    if (!this.admits(announce.peerId)) { return }
    if (this.closed) { throw new ReceiverClosedError() }
    const admitted = this.admit(announce)
    if (admitted == null) { return }
    this.deliver(admitted) // first: the pubsub service may stop us
    await this.resend(admitted, options)
  }

  /** Lets a CID in again, e.g. after a sync that failed; of one publisher, or of all. */
  uncacheCid (cid: CID, publisher?: PeerId): void {
    this.seen.remove(cid.toString(), publisher?.toString())
    this.seenHints.remove(cid.toString())
  }

  private readonly onMessage = ({ detail }: CustomEvent<any>): void => {
    if (detail?.topic !== this.topic) { return }
    let announce: Announce | undefined
    try {
      announce = this.read(detail)
    } catch (err) {
      this.malformedCount++
      this.log?.('dropped a gossip message from %s - %e', detail.from, err)
      return
    }
    try {
      if (announce == null || !this.admits(announce.peerId) || this.closed) { return } // allowPeer may have stopped it
      const admitted = this.admit(announce)
      if (admitted != null) { this.deliver(admitted) }
    } catch (err) {
      this.log?.error('allowPeer failed - %e', err) // which is not the pubsub service's business
    }
  }

  /** Undefined for what this node has republished itself. */
  private read ({ type, from: signer, data }: any): Announce | undefined {
    if (type !== 'signed' || !isPeerId(signer)) { throw new InvalidMessageError('announce message: not signed') }
    const from = this.peers.get(signer.toMultihash().bytes, () => signer)
    const message = decodeAnnounce(data)
    const first = { ...message, addrs: message.addrs.slice(0, MAX_ANNOUNCE_ADDRS) }
    const announce = { cid: message.cid, peerId: from, addrs: messageAddrs(first, bytes => this.addrs.get(bytes, multiaddrFromBytes)) }
    if (message.origPeer == null) { return announce }
    if (this.components.peerId?.equals(from) === true) { return undefined }
    const peerId = readPeerId(message.origPeer)
    const own = peerId.equals(from) || this.trustedRelays.has(from.toString())
    return { ...announce, peerId, ...(!own && { hintFrom: from }) }
  }

  private admits (peer: PeerId): boolean {
    const allowed: unknown = this.init.allowPeer == null || this.init.allowPeer(peer)
    if (isStrayPromise(allowed)) { throw new InvalidOptionError('allowPeer', 'must give true or false, not a promise') }
    if (!allowed) { this.log?.('ignored an announce of %p: not allowed', peer) }
    return Boolean(allowed)
  }

  private admit (announce: Announce): Announce | undefined {
    const { cid, peerId, addrs, hintFrom } = announce
    const seen = hintFrom == null
      ? this.seen.update(peerId.toString(), cid.toString())
      : this.seenHints.update(`${hintFrom}/${peerId}`, cid.toString())
    if (seen) {
      this.log?.('ignored an announce of %p: %c was announced before', peerId, cid)
      return undefined
    }
    // goes on without any address left: they may be known otherwise
    return this.init.filterIPs === true ? { ...announce, addrs: filterPublic(addrs) } : announce
  }

  private deliver (announce: Announce): void {
    const take = takers.get(this)
    if (take != null) { return take(announce) }
    const [waiter] = this.waiting
    if (waiter != null) {
      this.waiting.delete(waiter)
      waiter.resolve(announce)
      return
    }
    const dropped = this.pending.offer(announce)
    if (dropped != null) {
      this.droppedCount++
      for (const cid of cidsOf(dropped)) { this.uncacheCid(cid, dropped.peerId) }
    }
  }

  /** Only logs what goes wrong, as Go does. */
  private async resend ({ cid, peerId, addrs }: Announce, { signal }: AbortOptions): Promise<void> {
    const { components: { pubsub }, topic } = this
    if (this.init.resend !== true || pubsub == null || topic == null) { return }
    const closing = this.closing.signal
    const message = { cid, addrs: addrs.map(addr => addr.bytes), origPeer: peerId.toString() }
    const republish = async (ended: AbortSignal): Promise<number> =>
      unlessAborted(publish(pubsub, topic, message, () => { ended.throwIfAborted() }), ended)
    try {
      const recipients = await within('resend', ANNOUNCE_TIMEOUT, [signal, closing], republish)
      if (recipients === 0) { this.log?.('nobody on the topic has heard the republished announce of %p: %c', peerId, cid) }
    } catch (err) {
      signal?.throwIfAborted()
      closing.throwIfAborted()
      this.log?.error('could not republish an announce of %p - %e', peerId, err)
    }
  }
}

function readPeerId (text: string): PeerId {
  try {
    return peerIdFromString(text)
  } catch (cause) {
    throw new InvalidMessageError('announce message: OrigPeer is not a peer id', { cause })
  }
}

function checkInit (init: ReceiverInit & { topic?: string }): void {
  const check = (field: keyof typeof init, good: boolean, problem: string): void => {
    if (init[field] !== undefined && !good) { throw new InvalidOptionError(field, problem) }
  }
  check('topic', typeof init.topic === 'string' && init.topic !== '', 'must be a name')
  check('allowPeer', typeof init.allowPeer === 'function', 'must be a function')
  check('filterIPs', typeof init.filterIPs === 'boolean', 'must be true or false')
  check('resend', typeof init.resend === 'boolean', 'must be true or false')
  check('trustedRelays', Array.isArray(init.trustedRelays) && init.trustedRelays.every(isPeerId), 'must be a list of peer ids')
}
