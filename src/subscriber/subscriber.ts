/// <reference lib="esnext.disposable" preserve="true" />
import type { AbortOptions, PeerId, PeerInfo, Startable } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { Broadcast } from '../events/broadcast.ts'
import { createAddressBook } from '../shared/address-book.ts'
import { ENTRIES_CONCURRENCY, HAMT_DEPTH_LIMIT, HAMT_REPEAT_LIMIT } from '../shared/constants.ts'
import { checkObject, checkPeerId, toCid } from '../shared/check.ts'
import { checkComponents } from '../shared/components.ts'
import { InvalidOptionError, NoReceiverError, SubscriberStoppedError } from '../shared/errors.ts'
import { positive } from '../shared/positive.ts'
import type {
  AddressBook, SelectorNode, SubscriberComponents, SubscriberInit, SyncAdChainOptions, SyncEntriesOptions, SyncEntryOptions, SyncFinished,
  SyncFinishedOptions, SyncHamtEntriesOptions, SyncOptions, SyncTarget
} from '../shared/types.ts'
import { Turns } from '../shared/turns.ts'
import { LatestSync } from './latest-sync.ts'
import {
  checkPullOptions, checkSyncOptions, subscriberConfig, toCids, type SubscriberConfig
} from './options.ts'
import { entriesSelector, HAMT_ENTRIES, ONE_ENTRY } from './selectors.ts'
import { Session, type EntriesInit } from './session.ts'
import { parseTarget } from './target.ts'

/**
 * Keeps copies of publishers' chains in step: on demand by sync(), and by itself when announcements come in.
 *
 * Behaves as Subscriber (go-libipni v0.3.2, dagsync/subscriber.go); docs/PARITY.md lists the differences. Nothing is opened
 * before start(), and start() may follow stop().
 */
export class Subscriber implements Startable, AsyncDisposable {
  /** HTTP addresses of publishers, from good syncs and announcements. */
  readonly httpPeerStore: AddressBook

  readonly #components: SubscriberComponents
  readonly #config: SubscriberConfig
  readonly #latest: LatestSync
  readonly #events = new Broadcast<SyncFinished>()
  #session?: Session
  readonly #turns = new Turns()
  #stopped = false

  /** Throws InvalidOptionError. */
  constructor (components: SubscriberComponents, init: SubscriberInit = {}) {
    checkComponents(components)
    this.#components = components
    this.#config = subscriberConfig(init)
    this.#latest = new LatestSync({ datastore: components.datastore, ...this.#config })
    this.httpPeerStore = createAddressBook()
  }

  /** Listens, with a receiver. Throws what the pubsub service throws, e.g. when it is not started. */
  async start (options?: AbortOptions): Promise<void> {
    return this.#turns.take(async () => {
      options?.signal?.throwIfAborted()
      if (this.#session != null) { return }
      const session = new Session(this.#components, this.#config, {
        latest: this.#latest, events: this.#events, addressBook: this.httpPeerStore
      })
      try {
        await session.start(options)
      } catch (error) {
        await session.stop()
        throw error
      }
      this.#stopped = false
      this.#session = session
    })
  }

  /** Aborts what runs (SubscriberStoppedError), waits for it and frees everything. Idempotent, safe at any moment. */
  async stop (): Promise<void> {
    return this.#turns.take(async () => {
      const session = this.#session
      this.#session = undefined
      this.#stopped = true
      try {
        await session?.stop()
      } finally {
        this.#events.end()
      }
    })
  }

  /**
   * Brings the store in step with a publisher, and gives the CID that was synced to: the publisher's head, or
   * `options.cid`. undefined: the publisher has no head.
   *
   * Syncs that move latest are serial per publisher; others (a `cid` or a `selector`, and no `forceUpdateLatest`) run beside
   * them, so a block hook may await one of the publisher that it is called for.
   *
   * Throws InvalidOptionError, SubscriberStoppedError, TransportUnavailableError, HeadQueryError, InvalidSignedHeadError,
   * UnexpectedSignerError, ContentNotFoundError, HttpStatusError, TransferFailedError, TransferRejectedError, HashMismatchError,
   * BlockTooLargeError, TimeoutError, StalledError, BlockHookError, RepeatLimitError, SegmentSyncError, InvalidSelectorError,
   * InvalidMessageError, UnknownCodecError, UnknownHasherError, what a store throws, and the signal's reason.
   */
  async sync (target: SyncTarget, options: SyncOptions = {}): Promise<CID | undefined> {
    const publisher = parseTarget(target)
    const checked = checkSyncOptions(options)
    return this.#running().sync(publisher, checked)
  }

  /**
   * sync() for a chain of advertisements: follows PreviousID only, unless `strictAdsSelector` is false. Moves latest and emits
   * SyncFinished unless a `cid` or `resync` is given.
   *
   * Throws as sync() does. Go: SyncAdChain (go-libipni v0.7.8, dagsync/subscriber.go).
   */
  async syncAdChain (target: SyncTarget, options: SyncAdChainOptions = {}): Promise<CID | undefined> {
    const publisher = parseTarget(target)
    const checked = checkSyncOptions(options)
    if (checked.selector != null) { throw new InvalidOptionError('selector', 'is an option of sync()') }
    return this.#running().sync(publisher, checked, true)
  }

  /**
   * Syncs chains of entries, each from its first block along Next: several at once, and beside the other syncs of the publisher, so
   * that a block hook may await it. Latest stays where it is, and there is no SyncFinished. A CID that comes twice is synced once.
   *
   * The first failure ends all of it. Throws as sync() does. Go: SyncEntries (go-libipni v0.7.8, dagsync/subscriber.go), one chain.
   */
  async syncEntries (target: SyncTarget, entries: CID | CID[], options: SyncEntriesOptions = {}): Promise<void> {
    checkPullOptions(options)
    const { depthLimit = this.#config.entriesDepthLimit, segmentDepthLimit = this.#config.segmentDepthLimit } = options
    return this.#syncEntries(target, entries, options, entriesSelector(depthLimit), segmentDepthLimit)
  }

  /**
   * Syncs one block of entries, and nothing that it links to; as syncEntries() else.
   * Go: SyncOneEntry (go-libipni v0.7.8, dagsync/subscriber.go).
   */
  async syncOneEntry (target: SyncTarget, entry: CID, options: SyncEntryOptions = {}): Promise<void> {
    checkPullOptions(options)
    return this.#syncEntries(target, toCid('entry', entry), options, ONE_ENTRY, false)
  }

  /**
   * Syncs all that a block of entries leads to: a HAMT. As syncEntries() else; throws DepthLimitError and RepeatLimitError too.
   * Go: SyncHAMTEntries (go-libipni v0.7.8, dagsync/subscriber.go).
   */
  async syncHamtEntries (target: SyncTarget, root: CID, options: SyncHamtEntriesOptions = {}): Promise<void> {
    checkPullOptions(options)
    const { depthLimit: maxDepth = HAMT_DEPTH_LIMIT, repeatLimit = HAMT_REPEAT_LIMIT } = options
    const repeats = repeatLimit === false ? undefined : { limit: repeatLimit, beyondNew: false }
    return this.#syncEntries(target, toCid('root', root), options, HAMT_ENTRIES, false, { maxDepth, repeats })
  }

  /**
   * Every SyncFinished from now on, to this reader. Registered at the call. Ends on stop(), on abort and on leaving the loop.
   * Unbounded unless `maxPending` is given. Throws InvalidOptionError.
   */
  onSyncFinished (options: SyncFinishedOptions = {}): AsyncGenerator<SyncFinished, void, undefined> {
    checkObject('options', options)
    if (options.maxPending != null) { positive('maxPending', options.maxPending) }
    return this.#events.reader(this.#stopped ? { signal: AbortSignal.abort() } : options)
  }

  /**
   * A direct announcement: publisher has a new head. Resolves when it is taken, not when it is synced.
   *
   * Throws NoReceiverError without a receiver, InvalidOptionError, SubscriberStoppedError.
   */
  async announce (cid: CID, publisher: PeerInfo, options?: AbortOptions): Promise<void> {
    const announced = toCid('cid', cid)
    const info = parseTarget(publisher, 'publisher')
    options?.signal?.throwIfAborted()
    if (this.#config.receiver == null) { throw new NoReceiverError() }
    return this.#running().announce(announced, info, options)
  }

  /** The newest CID that is synced from the publisher; where none is recorded, what lastKnownSync says. Throws InvalidOptionError. */
  async getLatestSync (publisher: PeerId, options?: AbortOptions): Promise<CID | undefined> {
    checkPeerId('publisher', publisher)
    options?.signal?.throwIfAborted()
    return this.#latest.get(publisher, options)
  }

  /** Sets where the next sync stops. Emits no SyncFinished, and does not look whether the block is here. Throws InvalidOptionError. */
  async setLatestSync (publisher: PeerId, cid: CID, options?: AbortOptions): Promise<void> {
    checkPeerId('publisher', publisher)
    const latest = toCid('cid', cid)
    options?.signal?.throwIfAborted()
    return this.#latest.set(publisher, latest, options)
  }

  /** False when there is none. A running sync finishes, a pending announce is dropped. */
  removeHandler (publisher: PeerId): boolean {
    checkPeerId('publisher', publisher)
    return this.#session?.removeHandler(publisher) ?? false
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    return this.stop()
  }

  /** The options are checked. */
  async #syncEntries (
    target: SyncTarget, entries: CID | CID[], options: SyncEntriesOptions, selector: SelectorNode, segmentDepthLimit: number | false,
    limits?: Pick<EntriesInit, 'maxDepth' | 'repeats'>
  ): Promise<void> {
    const publisher = parseTarget(target)
    const cids = toCids('entries', entries)
    const { blockHook: hook = this.#config.blockHook, concurrency = ENTRIES_CONCURRENCY, signal, onProgress } = options
    const session = this.#running()
    if (cids.length === 0) { return }
    const init = { cids, selector, concurrency, hook, segmentDepthLimit, ...limits, signal, onProgress }
    return session.syncEntries(publisher, init)
  }

  #running (): Session {
    if (this.#session == null) {
      throw new SubscriberStoppedError(this.#stopped ? undefined : 'the subscriber is not started')
    }
    return this.#session
  }
}
