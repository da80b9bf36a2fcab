/// <reference lib="esnext.disposable" preserve="true" />

import { createHttpClient } from '#http-client'
import type { AbortOptions, ComponentLogger, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { CID } from 'multiformats/cid'
import { HTTP_RETRY, HTTP_TIMEOUT, MAX_BLOCK_SIZE, PREFETCH } from '../../shared/constants.ts'
import { checkPublisher } from '../../shared/components.ts'
import { HeadQueryError, InvalidOptionError, UnexpectedSignerError } from '../../shared/errors.ts'
import { LongLoop } from '../../shared/event-loop.ts'
import { isThenable } from '../../shared/thenable.ts'
import { unlessAborted } from '../../shared/unless-aborted.ts'
import type { HttpRetry, LinkSystem, Prefetch, SelectorNode, Syncer, SyncerSyncOptions } from '../../shared/types.ts'
import { readIntact } from '../../store/read.ts'
import { holdsItself, verifyBlock } from '../../store/verify.ts'
import { Traversal } from '../../traversal/traversal.ts'
import type { PendingLink } from '../../traversal/traversal.ts'
import { Ahead, AheadBudget } from './ahead.ts'
import type { AheadSource } from './ahead.ts'
import { httpBases } from './bases.ts'
import type { Bases } from './bases.ts'
import { Fetcher } from './fetcher.ts'
import type { BlockOptions, SchemaType } from './fetcher.ts'
import type { HttpClient } from './http-client.ts'
import { checkHttpLimits, type HttpLimits } from './limits.ts'
import { openSignedHead } from './signed-head.ts'

export interface HttpSyncerComponents {
  linkSystem: LinkSystem

  /** Shared, and not stopped with the syncer. Without one the syncer makes its own, from `fetch` if there is one. */
  client?: HttpClient
  fetch?: typeof globalThis.fetch
  logger?: ComponentLogger
}

export interface HttpSyncerInit {
  /** Who must have signed the head. */
  peerId: PeerId

  /** Where to ask, preferred first; those that are not HTTP are left out. */
  addrs: Multiaddr[]

  /**
   * The limit for one HTTP request, in milliseconds.
   *
   * @default 10_000
   */
  httpTimeout?: number

  /**
   * Retries after transport errors, 429 and 5xx; false: none.
   *
   * @default { retries: 3, minDelay: 200, maxDelay: 10_000 }
   */
  httpRetry?: HttpRetry | false

  /**
   * The largest block or head that is accepted, in bytes.
   *
   * @default 4_194_304
   */
  maxBlockSize?: number

  /**
   * What the syncs of this syncer may fetch ahead where a block has several links, all of them together (SubscriberInit.prefetch);
   * an AheadBudget is shared with others. false: nothing.
   *
   * @default { requests: 32, bytes: 16_777_216 }
   */
  prefetch?: Prefetch | false

  /**
   * Connect to public addresses only; for a client of the syncer's own.
   *
   * @default false
   */
  filterIPs?: boolean
}

/** Another way to ask than HTTP addresses: a client, which is not stopped with the syncer, and where it asks. */
export interface Carrier {
  client: HttpClient
  bases: Bases
}

/**
 * Syncs with one publisher over HTTP, of either generation. Go: httpsync.Syncer (v0.3.2), ipnisync.Syncer (v0.7.8).
 * Differs: onBlock is called as blocks come, not after the walk; a 204 is "no head", not an error.
 */
export class HttpSyncer implements Syncer, AsyncDisposable {
  private readonly linkSystem: LinkSystem
  private readonly peerId: PeerId
  private readonly fetcher: Fetcher
  private readonly ownClient: HttpClient | undefined
  private readonly budget: AheadBudget | undefined
  private lastHead: { bytes: Uint8Array, cid: CID } | undefined

  /**
   * With a carrier it asks over that one, and `addrs` are the carrier's to use.
   *
   * Throws InvalidOptionError, and TransportUnavailableError when none of the addresses is an HTTP one.
   */
  constructor (components: HttpSyncerComponents, init: HttpSyncerInit, carrier?: Carrier) {
    const limits = checkInit(components, init)
    const { peerId, addrs, filterIPs } = init
    const bases = carrier?.bases ?? httpBases(peerId, addrs)
    const given = carrier?.client ?? components.client
    this.linkSystem = components.linkSystem
    this.peerId = peerId
    this.budget = limits.prefetch === false ? undefined : AheadBudget.of(limits.prefetch)
    this.ownClient = given == null ? createHttpClient({ fetch: components.fetch, filterIPs }) : undefined
    this.fetcher = new Fetcher(given ?? this.ownClient as HttpClient, bases, limits, components.logger?.forComponent('dagsync:http'))
  }

  /** The address that answered last, as it was given; undefined before the first answer. */
  get workingAddr (): Multiaddr | undefined {
    return this.fetcher.workingAddr
  }

  /**
   * The publisher's head; undefined when it has none. Asked with If-None-Match when it gave an ETag before.
   *
   * Throws HeadQueryError with its cause (HttpStatusError, also for 404; TransferFailedError; TimeoutError; BlockTooLargeError),
   * InvalidSignedHeadError, UnexpectedSignerError, and what the signal was aborted with.
   */
  async head (options: AbortOptions = {}): Promise<CID | undefined> {
    const bytes = await this.askHead(options)
    if (bytes == null) { return undefined }
    if (bytes === this.lastHead?.bytes) { return this.lastHead.cid }
    const cid = await this.openHead(bytes)
    options.signal?.throwIfAborted()
    this.lastHead = { bytes, cid }
    return cid
  }

  /**
   * Walks from root, one block after the other, and fetches what the store lacks; where links are known, ahead of the walk. Blocks
   * are verified before they are stored, and stored when the walk is there. One that does not decode is stored, but not given to
   * onBlock, and ends the sync.
   *
   * Throws InvalidOptionError, ContentNotFoundError, HashMismatchError, BlockTooLargeError, HttpStatusError, TransferFailedError,
   * TimeoutError, UnknownCodecError, UnknownHasherError, InvalidMessageError, InvalidSelectorError, what the
   * store or onBlock throws, and what the signal was aborted with.
   */
  async sync (root: CID, selector: SelectorNode, options: SyncerSyncOptions = {}): Promise<void> {
    const { signal, onBlock, schemaType } = options
    signal?.throwIfAborted()
    if (schemaType != null && schemaType !== 'Advertisement' && schemaType !== 'EntryChunk') {
      throw new InvalidOptionError('schemaType', 'must be Advertisement or EntryChunk')
    }
    const io = { signal }
    const traversal = new Traversal(root, selector, { getCodec: code => this.linkSystem.getCodec(code) })
    const below = schemaType === 'EntryChunk' ? schemaType : undefined // entries lead to nothing else
    const ahead = this.budget == null ? undefined : new Ahead(traversal, this.budget, this.ahead(below), signal)
    const loop = new LongLoop()
    let kind = schemaType
    try {
      for (let link = traversal.next(); link != null; link = traversal.next()) {
        const early = ahead?.arrive(link)
        let bytes = this.loadLocal(link.cid, io)
        if (bytes instanceof Promise) { bytes = await unlessAborted(bytes, signal) } // stores may not look at it
        const local = bytes != null
        if (bytes == null) {
          if (early != null) { bytes = await unlessAborted(early, signal) }
          bytes ??= await this.fetch(link, kind ?? schemaTypeOf(link.field) ?? below, io)
          signal?.throwIfAborted()
          const stored = this.linkSystem.blockstore.put(link.cid, bytes, io)
          if (isThenable(stored)) { await unlessAborted(Promise.resolve(stored), signal) }
        }
        kind = undefined
        traversal.follow(bytes)
        ahead?.fill()
        const called = onBlock?.({ cid: link.cid, bytes: bytes.length, local, depth: traversal.depth })
        if (called != null) { await called }
        const pause = local ? loop.pause() : undefined
        if (pause != null) { await pause }
        signal?.throwIfAborted()
      }
    } finally {
      ahead?.stop()
    }
    if (traversal.metStop) { options.onStopLink?.() }
  }

  /** Ends the waits between retries, and the requests when the client is the syncer's own. */
  async stop (): Promise<void> {
    this.fetcher.stop()
    await this.ownClient?.stop()
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    await this.stop()
  }

  private async openHead (bytes: Uint8Array): Promise<CID> {
    try {
      const { head, signer } = await openSignedHead(bytes)
      if (!signer.equals(this.peerId)) { throw new UnexpectedSignerError(this.peerId, signer) }
      return head
    } catch (error) {
      this.fetcher.forgetHead()
      throw error
    }
  }

  private async askHead (options: AbortOptions): Promise<Uint8Array | undefined> {
    try {
      return await this.fetcher.head(options)
    } catch (cause) {
      options.signal?.throwIfAborted()
      throw new HeadQueryError(this.peerId, { cause })
    }
  }

  private ahead (below?: SchemaType): AheadSource {
    return {
      has: cid => holdsItself(cid) || this.linkSystem.blockstore.has(cid),
      fetch: async (link, options) => this.fetch(link, schemaTypeOf(link.field) ?? below, options)
    }
  }

  /** Verified, and not stored. */
  private async fetch (link: PendingLink, schemaType: SchemaType | undefined, io: Pick<BlockOptions, 'signal' | 'onBody'>): Promise<Uint8Array> {
    const { cid, text } = link
    const bytes = await this.fetcher.block(cid, { text, schemaType, signal: io.signal, onBody: io.onBody })
    const verified = verifyBlock(this.linkSystem, cid, bytes, this.peerId)
    if (verified != null) { await verified }
    return bytes
  }

  /** Without a promise where the store answers at once. */
  private loadLocal (cid: CID, io: AbortOptions): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    if (holdsItself(cid)) { return cid.multihash.digest }
    const has = this.linkSystem.blockstore.has(cid, io)
    if (typeof has === 'boolean') { return has ? readIntact(this.linkSystem, cid, io) : undefined }
    return Promise.resolve(has).then(has => has ? readIntact(this.linkSystem, cid, io) : undefined)
  }
}

/** Syncs with one publisher over HTTP. Throws InvalidOptionError, TransportUnavailableError. Go: httpsync.NewSync, NewSyncer. */
export function createHttpSyncer (components: HttpSyncerComponents, init: HttpSyncerInit): HttpSyncer {
  return new HttpSyncer(components, init)
}

/** Advertisements and entries say by the field which of them a link leads to (ipni/specs, Ipni-Cid-Schema-Type). */
function schemaTypeOf (field: string | undefined): SchemaType | undefined {
  switch (field) {
    case 'PreviousID': return 'Advertisement'
    case 'Entries': case 'Next': return 'EntryChunk'
    default: return undefined
  }
}

/** The limits, with their defaults. Throws InvalidOptionError. */
function checkInit ({ linkSystem }: HttpSyncerComponents, init: HttpSyncerInit): HttpLimits {
  const { httpTimeout = HTTP_TIMEOUT, httpRetry = HTTP_RETRY, maxBlockSize = MAX_BLOCK_SIZE, prefetch = PREFETCH } = init
  if (linkSystem == null) { throw new InvalidOptionError('linkSystem', 'is missing') }
  checkPublisher({ ...init, addrs: init.addrs ?? null }) // they are needed
  const limits = { httpTimeout, httpRetry, maxBlockSize, prefetch }
  checkHttpLimits(limits)
  return limits
}
