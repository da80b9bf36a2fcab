/// <reference lib="esnext.disposable" preserve="true" />
import type { AbortOptions, Libp2p, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { CID } from 'multiformats/cid'
import { toCid } from '../../shared/check.ts'
import { checkNode, checkPublisher } from '../../shared/components.ts'
import { InvalidOptionError } from '../../shared/errors.ts'
import { LONGEST_TIMER, positive } from '../../shared/positive.ts'
import { makeReachable } from '../../shared/reachable.ts'
import type { LinkSystem, SelectorNode, Syncer, SyncerSyncOptions } from '../../shared/types.ts'
import { DtsyncClient } from './client.ts'
import { pullInParts } from './parts.ts'
import { LEGS_VOUCHER_TYPE, voucherToNode } from './voucher.ts'

/**
 * Go's walk keeps the path of each block: what it costs the publisher grows with the square of the depth (go-ipld-prime,
 * traversal.Progress). 10,000 blocks at once take it 1.6 GB, and longer than ten times 1,000.
 */
const GO_PART = 1_000

export interface DtsyncSyncerComponents {
  linkSystem: LinkSystem
  libp2p: Libp2p

  /** Shared with other syncers, and not stopped with this one. */
  client?: DtsyncClient
}

export interface DtsyncSyncerInit {
  peerId: PeerId

  /** The publisher's: the head is asked for by it. */
  topic: string

  /** Where the publisher is, when libp2p does not know it. */
  addrs?: Multiaddr[]

  /**
   * The limit for one head query, in milliseconds.
   *
   * @default 10_000
   */
  headTimeout?: number

  /**
   * How long a publisher that can be reached may send nothing, in milliseconds; then StalledError.
   *
   * @default 60_000
   */
  stallTimeout?: number

  /**
   * The largest block that is accepted, in bytes; a message of graphsync holds no larger one than the default.
   *
   * @default 4_194_304
   */
  maxBlockSize?: number
}

/**
 * Syncs with one publisher over libp2p: the head protocol, then graphsync with data transfer. Go: dtsync.Syncer (v0.3.2).
 * Differs: an abort goes over the wire, and what is here before the first gap is not fetched.
 */
export class DtsyncSyncer implements Syncer, AsyncDisposable {
  private readonly linkSystem: LinkSystem
  private readonly libp2p: Libp2p
  private readonly init: DtsyncSyncerInit
  private readonly client: DtsyncClient
  private readonly ownClient: boolean

  /** Kept once it is known: the peer store may be on disk. */
  private limit: number | undefined

  /** Throws InvalidOptionError. */
  constructor (components: DtsyncSyncerComponents, init: DtsyncSyncerInit) {
    const { linkSystem, libp2p, client } = components
    if (linkSystem == null) { throw new InvalidOptionError('linkSystem', 'is missing') }
    checkNode(libp2p)
    checkPublisher(init)
    if (typeof init.topic !== 'string') { throw new InvalidOptionError('topic', 'must be a string') }
    const { headTimeout, stallTimeout, maxBlockSize } = init
    for (const [field, limit] of Object.entries({ headTimeout, stallTimeout })) {
      if (limit !== undefined) { positive(field, limit, LONGEST_TIMER) }
    }
    if (maxBlockSize !== undefined) { positive('maxBlockSize', maxBlockSize) }
    this.linkSystem = linkSystem
    this.libp2p = libp2p
    this.init = init
    this.ownClient = client == null
    this.client = client ?? new DtsyncClient(libp2p, { topic: init.topic })
  }

  /**
   * The publisher's head; undefined when it has none.
   *
   * Throws HeadQueryError with its cause, TransportUnavailableError when no address is known, and what the signal was aborted with.
   */
  async head (options: AbortOptions = {}): Promise<CID | undefined> {
    await this.prepare(options)
    const { peerId, headTimeout: timeout } = this.init
    return await this.client.head(peerId, { ...options, timeout })
  }

  /**
   * Walks from root, over the store as far as it goes, then over what the publisher sends. Blocks are verified before they are
   * stored. A lost connection is waited for and resumed (dagsync/data-transfer).
   *
   * Throws ContentNotFoundError, TransferRejectedError, TransferFailedError, StalledError, BlockTooLargeError, UnknownCodecError,
   * UnknownHasherError, InvalidMessageError, InvalidSelectorError, what the store or onBlock throws, and what the signal was aborted
   * with.
   */
  async sync (root: CID, selector: SelectorNode, options: SyncerSyncOptions = {}): Promise<void> {
    toCid('root', root)
    const { signal, onBlock, onPassed } = options
    await this.prepare(options)
    const { transfers } = await this.client.node()
    const { stallTimeout, maxBlockSize, peerId } = this.init
    const { linkSystem } = this
    const metStop = await pullInParts({
      root,
      selector,
      limit: async () => await this.partLimit(options),
      unknownFor: GO_PART,
      open: (root, selector) => {
        const voucher = { type: LEGS_VOUCHER_TYPE, value: voucherToNode({ head: root }) }
        const pull = transfers.open(peerId, voucher, root, selector, { linkSystem, signal, maxBlockSize, stallTimeout })
        pull.onPassed = onPassed
        return pull
      },
      onBlock: ({ cid, bytes, local }, depth) => onBlock?.({ cid, bytes: bytes.length, local, depth }),
      onPassed
    })
    if (metStop) { options.onStopLink?.() }
  }

  /** Ends what runs when the client is the syncer's own. */
  async stop (): Promise<void> {
    if (this.ownClient) { await this.client.stop() }
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    await this.stop()
  }

  /**
   * How deep one pull may go, by what identify has told of the peer: js-libp2p peers are of this package, and take any depth. The
   * first pull over a new connection mostly begins before that.
   */
  private async partLimit (options: AbortOptions): Promise<number> {
    if (this.limit != null) { return this.limit }
    try {
      const { metadata } = await this.libp2p.peerStore.get(this.init.peerId, options)
      const agent = metadata.get('AgentVersion')
      if (agent == null) { return Infinity } // not yet
      return (this.limit = new TextDecoder().decode(agent).startsWith('js-libp2p/') ? Infinity : GO_PART)
    } catch { // the store does not know it, or fails: no sync depends on that
      options.signal?.throwIfAborted()
      return Infinity
    }
  }

  /** Streams are opened by the peer id alone: libp2p has to know where that is. Throws TransportUnavailableError. */
  private async prepare ({ signal }: AbortOptions): Promise<void> {
    signal?.throwIfAborted()
    const { libp2p, init: { peerId, addrs = [] } } = this
    await makeReachable(libp2p, peerId, addrs, 'dtsync', { signal })
  }
}

/** Syncs with one publisher over libp2p. Throws InvalidOptionError. Go: dtsync.NewSync, NewSyncer. */
export function createDtsyncSyncer (components: DtsyncSyncerComponents, init: DtsyncSyncerInit): DtsyncSyncer {
  return new DtsyncSyncer(components, init)
}
