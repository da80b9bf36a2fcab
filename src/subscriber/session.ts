import type { AbortOptions, Libp2p, Logger, PeerId, PeerInfo } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { CustomProgressEvent } from 'progress-events'
import { Receiver } from '../announce/index.ts'
import { cidsOf, replacedBy } from '../announce/pending.ts'
import { takeEach } from '../announce/receiver.ts'
import { subscribeAgain } from '../announce/subscriptions.ts'
import type { Broadcast } from '../events/broadcast.ts'
import { pubsubOf } from '../shared/components.ts'
import { ContentNotFoundError, SubscriberStoppedError, TransferRejectedError } from '../shared/errors.ts'
import { stripPeerId } from '../shared/multiaddrs.ts'
import type {
  AddressBook, Announce, BlockHook, EntriesHook, PubSub, SelectorNode, SubscriberComponents, SyncFinished, SyncOptions
} from '../shared/types.ts'
import { AheadBudget } from '../syncers/httpsync/ahead.ts'
import { stopNode } from '../traversal/stop-at.ts'
import { tuneConnections } from '../wire/streams.ts'
import { announceError, lacking, pullAbove } from './announced.ts'
import { each } from './each.ts'
import type { Handler } from './handler.ts'
import { Handlers } from './handlers.ts'
import type { LatestSync } from './latest-sync.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import type { SubscriberConfig } from './options.ts'
import { pull, type PullInit, type Pulled } from './pull.ts'
import type { RepeatLimit } from './repeats.ts'
import { Router, type Destination, type Route } from './route.ts'
import { Run } from './run.ts'
import { adsSelector } from './selectors.ts'
import { Slots } from './slots.ts'

/** In milliseconds: libp2p's peer store forgets an address after an hour. */
const REFRESH_AT_LEAST = 30 * 60_000

/** What outlives a stop() and a start(). */
export interface Kept {
  latest: LatestSync
  events: Broadcast<SyncFinished>
  addressBook: AddressBook
}

/** What syncEntries() and its kind pull. */
export interface EntriesInit extends AbortOptions, Pick<SyncOptions, 'onProgress'> {
  cids: CID[]
  selector: SelectorNode
  concurrency: number
  hook?: EntriesHook
  segmentDepthLimit: number | false
  maxDepth?: number | false
  repeats?: RepeatLimit
}

/** A sync on its way to one publisher. */
interface Place {
  to: Destination
  route: Route
  run: Run
}

/** What #pull() does; without a selector of its own, the default one of the subscriber. */
type PullOrder = Omit<PullInit, 'selector' | 'metrics'> & Pick<SyncOptions, 'selector' | 'depthLimit'> & { ads?: boolean }

/** A Subscriber between start() and stop(): everything that has to be ended. */
export class Session {
  readonly #components: SubscriberComponents
  readonly #config: SubscriberConfig
  readonly #kept: Kept
  readonly #handlers: Handlers
  readonly #router: Router
  readonly #receiver?: Receiver
  readonly #metrics?: Metrics
  readonly #log?: Logger
  readonly #controller = new AbortController()
  readonly #pubsub?: PubSub
  readonly #running = new Map<Run, Promise<unknown>>()
  #untune?: () => void

  constructor (components: SubscriberComponents, config: SubscriberConfig, kept: Kept) {
    const { libp2p } = components
    const logger = components.logger ?? libp2p?.logger
    this.#components = components
    this.#config = config
    this.#kept = kept
    this.#log = logger?.forComponent('dagsync:subscriber')
    this.#metrics = createMetrics(components.metrics ?? libp2p?.metrics, this.#log)
    const prefetch = config.prefetch === false ? config.prefetch : new AheadBudget(config.prefetch)
    this.#router = new Router({ ...components, logger }, { ...config, prefetch }, kept.addressBook)
    this.#handlers = new Handlers(config.idleHandlerTTL, {
      slots: new Slots(config.maxAsyncSyncs),
      signal: this.#controller.signal,
      syncAnnounced: async (handler, announce) => this.#syncAnnounced(handler, announce),
      dropped: announce => { this.#forget(announce) }
    })
    if (config.receiver != null) {
      this.#pubsub = components.pubsub ?? pubsubOf(libp2p)
      if (config.topic != null && this.#pubsub == null) { this.#log?.('no pubsub: only what announce() is told is heard') }
      this.#receiver = new Receiver({ pubsub: this.#pubsub, peerId: libp2p?.peerId, logger }, { ...config.receiver, topic: config.topic })
      takeEach(this.#receiver, announce => {
        this.#metrics?.announce()
        this.#handlers.offer(announce)
      })
    }
  }

  async start (options?: AbortOptions): Promise<void> {
    if (this.#receiver == null) { return }
    await this.#receiver.start(options)
    const libp2p: Partial<Libp2p> | undefined = this.#components.libp2p
    if (libp2p != null) { this.#untune = tuneConnections(libp2p) }
    libp2p?.addEventListener?.('start', this.#onNodeStart)
  }

  async stop (): Promise<void> {
    const stopped = new SubscriberStoppedError()
    this.#controller.abort(stopped)
    for (const run of this.#running.keys()) { run.abort(stopped) }
    this.#untune?.()
    const libp2p: Partial<Libp2p> | undefined = this.#components.libp2p
    libp2p?.removeEventListener?.('start', this.#onNodeStart)
    await this.#receiver?.stop()
    await Promise.allSettled(this.#running.values())
    this.#handlers.clear()
    await this.#router.stop()
  }

  /** With `ads` the chain is one of advertisements: syncAdChain(). */
  async sync ({ id, multiaddrs }: PeerInfo, options: SyncOptions, ads = false): Promise<CID | undefined> {
    const handler = this.#handlers.get(id)
    const to = { peerId: id, addrs: multiaddrs }
    const { cid, selector, resync, forceUpdateLatest } = options
    const movesLatest = forceUpdateLatest === true || (cid == null && selector == null && resync !== true)
    return this.#run(options, async run => {
      // work that is left behind must not keep the turn
      const work = async (): Promise<CID | undefined> => run.orLeave(async () => {
        return this.#syncTo(handler, to, options, run, { movesLatest, ads })
      })
      return movesLatest ? handler.inTurn(run.signal, work) : handler.beside(work)
    })
  }

  /** Chains of entries, beside the syncs of their publisher: in walk order each, several at once. */
  async syncEntries ({ id, multiaddrs }: PeerInfo, { cids, concurrency, hook, ...init }: EntriesInit): Promise<void> {
    const handler = this.#handlers.get(id)
    const to = { peerId: id, addrs: multiaddrs }
    return this.#run(init, async run => handler.beside(async () => run.orLeave(async () => {
      run.watch()
      const place = await this.#place(handler, to, run)
      await each(cids, concurrency, run, async cid => {
        const ofChain: BlockHook | undefined = hook && ((peerId, block, actions) => hook(peerId, block, actions, cid))
        await this.#pull(place, { ...init, cid, hook: ofChain, schemaType: 'EntryChunk' })
      })
    })))
  }

  async announce (cid: CID, publisher: PeerInfo, options?: AbortOptions): Promise<void> {
    await this.#receiver?.direct(cid, publisher, options)
  }

  removeHandler (publisher: PeerId): boolean {
    return this.#handlers.remove(publisher)
  }

  async #run<T> (options: AbortOptions, work: (run: Run) => Promise<T>): Promise<T> {
    this.#controller.signal.throwIfAborted() // a turn may come in the very moment of stop()
    const run = new Run(this.#config.stallTimeout)
    const running = run.settle(work, options)
    this.#running.set(run, running)
    try {
      const result = await running
      this.#metrics?.sync('finished')
      return result
    } catch (error) {
      this.#metrics?.sync('failed')
      throw error
    } finally {
      this.#running.delete(run)
    }
  }

  async #syncTo (
    handler: Handler, to: Destination, options: SyncOptions, run: Run, { movesLatest, ads }: { movesLatest: boolean, ads: boolean }
  ): Promise<CID | undefined> {
    run.watch()
    const { selector, stopAt, depthLimit, onProgress } = options
    const known = stopAt ?? (options.resync === true ? undefined : await this.#latest(to.peerId, run))
    const stop = selector == null ? known : stopNode(selector)
    // what is below a stop of the caller's may not be here, so that latest does not move to it
    if (stop != null && options.cid != null && stop.equals(options.cid) && (!movesLatest || stop === stopAt)) { return options.cid }

    const place = await this.#place(handler, to, run)
    const cid = options.cid ?? await place.route.syncer.head({ signal: run.signal })
    run.progress()
    if (cid == null) { return undefined }
    if (options.cid == null) { onProgress?.(new CustomProgressEvent('dagsync:head', cid)) }
    const { count } = await this.#pull(place, {
      cid,
      stop,
      selector,
      depthLimit,
      ads,
      hook: options.blockHook ?? this.#config.blockHook,
      segmentDepthLimit: options.segmentDepthLimit ?? this.#config.segmentDepthLimit,
      repeats: this.#repeats(options.repeatLimit),
      onProgress,
      schemaType: ads || options.cid == null ? 'Advertisement' : undefined
    })
    if (!movesLatest || stopAt?.equals(cid) === true) { return cid }
    const isOwnStop = selector != null && stop?.equals(cid) === true // of the caller's selector, and may not be here itself
    if (isOwnStop && !await this.#components.linkSystem.has(cid, { signal: run.signal })) { return cid }
    await this.#finish(to.peerId, cid, count, run)
    return cid
  }

  /** Never rejects: the outcome is an event. */
  async #syncAnnounced (handler: Handler, announce: Announce): Promise<void> {
    const { peerId, hintFrom } = announce
    const to = { peerId, addrs: announce.addrs.map(stripPeerId), announced: true, doubtful: hintFrom != null }
    try {
      await this.#run({}, async run => {
        run.watch()
        const stop = await this.#latest(peerId, run)
        const isRetry = handler.failed?.equals(announce.cid) === true
        await this.#syncAnnouncedAt(await this.#place(handler, to, run), announce, { stop, isRetry })
      })
      handler.failed = undefined
    } catch (cause) {
      const error = announceError(announce, cause, this.#config.receiver?.filterIPs)
      this.#log?.('announced sync of %c from %p failed - %e', announce.cid, peerId, error)
      this.#forget(announce)
      handler.failed = announce.cid
      // as in Go: who is not allowed to sync from a publisher hears of nothing
      if (!(error instanceof TransferRejectedError)) { this.#kept.events.emit({ cid: announce.cid, peerId, count: 0, error }) }
    }
  }

  /** Was not synced: it may be announced again, and so may those that it has taken the place of. */
  #forget (announce: Announce): void {
    for (const cid of cidsOf(announce)) { this.#receiver?.uncacheCid(cid, announce.peerId) }
  }

  async #syncAnnouncedAt (place: Place, announce: Announce, { stop, isRetry }: { stop?: CID, isRetry: boolean }): Promise<void> {
    const { to: { peerId }, route, run } = place
    const { blockHook: hook, segmentDepthLimit } = this.#config
    const init = { stop, hook, segmentDepthLimit, repeats: this.#repeats(), schemaType: 'Advertisement' as const }
    const cid = await this.#announcedCid(announce, route, run, isRetry ? undefined : stop)
    const { count, metStop, unmet } = await this.#pull(place, { ...init, cid, expected: replacedBy(announce) })
    const follows = stop == null || metStop
    const missing = follows ? await lacking(this.#components.linkSystem, unmet, run) : []
    if (follows && missing.length === 0) { return this.#finish(peerId, cid, count, run) }

    // Not a successor of latest: a new chain, or an old announcement that is played again. Or one of before is not below it, since
    // announcements may come in another order.
    const head = await route.syncer.head({ signal: run.signal }).catch(error => {
      if (run.signal.aborted || !follows) { throw error }
    })
    if (head == null && follows) {
      const above = await pullAbove(cid, missing, async order => this.#pull(place, { ...init, ...order }))
      return this.#finish(peerId, above.newest, count + above.count, run)
    }
    const newest = head ?? cid
    const more = newest.equals(cid) ? 0 : (await this.#pull(place, { ...init, cid: newest, stop: follows ? cid : stop })).count
    await this.#finish(peerId, newest, count + more, run)
  }

  /**
   * The announced CID, or the publisher's head where an announcement alone is not to be believed: one by an unknown relay,
   * and one of a block that is here already, which may be an old announcement that is played again: latest must not go back. Without
   * `stop` the latter is not looked for.
   */
  async #announcedCid (announce: Announce, { syncer }: Route, run: Run, stop?: CID): Promise<CID> {
    const { cid, hintFrom } = announce
    const { signal } = run
    const known = stop != null && !stop.equals(cid) && await this.#components.linkSystem.has(cid, { signal })
    if (hintFrom == null && !known) { return cid }
    const head = await syncer.head({ signal })
    run.progress()
    if (head == null) { throw new ContentNotFoundError(cid) }
    return head
  }

  async #pull ({ to, route, run }: Place, { ads, depthLimit, ...init }: PullOrder): Promise<Pulled> {
    if (init.stop?.equals(init.cid) === true) {
      if (route.syncer.workingAddr != null) { this.#router.remember(to, route) } // its head was asked there
      return { count: 0, metStop: true, unmet: init.expected ?? [] }
    }
    const selector = init.selector ?? adsSelector(this.#config, { ads, depthLimit, stop: init.stop })
    const pulled = await pull(to.peerId, route.syncer, run, { ...init, selector, metrics: this.#metrics })
    this.#router.remember(to, route)
    return pulled
  }

  #repeats (limit = this.#config.repeatLimit): RepeatLimit | undefined {
    return limit === false ? undefined : { limit, beyondNew: true }
  }

  async #latest (peerId: PeerId, run: Run): Promise<CID | undefined> {
    return this.#kept.latest.get(peerId, { signal: run.signal })
  }

  /**
   * Where the run goes. Without an address, the way of a sync that goes on may be taken: its block hook knows no more than who the
   * publisher is. The addresses do not expire as long as the run goes on. Go v0.7.8: ipnisync.WithPeerstore.
   */
  async #place (handler: Handler, to: Destination, run: Run): Promise<Place> {
    const [shared] = to.addrs.length === 0 && this.#kept.addressBook.get(to.peerId).length === 0 ? handler.routes.values() : []
    const route = shared ?? await this.#router.route(to, handler.route, { signal: run.signal })
    run.signal.throwIfAborted() // what is left behind has no end to clear up at
    const timer = setInterval(() => { this.#refresh(to.peerId, route) }, Math.min(this.#config.addrTTL / 2, REFRESH_AT_LEAST))
    handler.route = route
    handler.routes.set(run, route)
    run.atEnd(() => {
      clearInterval(timer)
      handler.routes.delete(run)
    })
    return { to, route, run }
  }

  #refresh (peerId: PeerId, { addrs, over }: Route): void {
    const { addressBook } = this.#kept
    const { libp2p } = this.#components
    addressBook.add(peerId, addressBook.get(peerId).filter(known => addrs.some(addr => addr.equals(known))), this.#config.addrTTL)
    if (libp2p != null && over === 'libp2p' && addrs.length > 0) {
      libp2p.peerStore.merge(peerId, { multiaddrs: addrs }).catch(error => { this.#log?.('addresses of %p not refreshed - %e', peerId, error) })
    }
  }

  /** The node was stopped and started again. */
  readonly #onNodeStart = (): void => {
    try {
      if (this.#pubsub != null) { subscribeAgain(this.#pubsub) }
    } catch (error) {
      this.#log?.error('no announces are heard - %e', error)
    }
  }

  /** latest first: what the event sets off must find it moved. */
  async #finish (peerId: PeerId, cid: CID, count: number, run: Run): Promise<void> {
    await this.#kept.latest.written(peerId) // by a sync that was left behind
    run.signal.throwIfAborted()
    await this.#kept.latest.set(peerId, cid)
    if (run.left) { return }
    this.#kept.events.emit({ cid, peerId, count })
  }
}
