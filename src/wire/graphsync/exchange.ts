import type { Libp2p, PeerId } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { checkNode } from '../../shared/components.ts'
import { checkPeerId } from '../../shared/check.ts'
import { InvalidOptionError, TransferFailedError } from '../../shared/errors.ts'
import type {
  GraphExchange, GraphsyncBlock, GraphsyncInit, GraphsyncRequest, RequestOptions, RequestValidator
} from '../../shared/types/graphsync.ts'
import type { SelectorNode } from '../../shared/types/selector.ts'
import type { LinkSystem } from '../../shared/types/store.ts'
import { positive } from '../../shared/positive.ts'
import { Turns } from '../../shared/turns.ts'
import { unlessAborted } from '../../shared/unless-aborted.ts'
import { blocksOf } from './blocks.ts'
import { MAX_PEER_BYTES, MAX_REQUESTS, MAX_TOTAL_BYTES } from './constants.ts'
import { keyOf } from './keys.ts'
import { Network } from './network.ts'
import type { ParsedRequest } from './parse.ts'
import type { Peer } from './peer.ts'
import { OutgoingRequest } from './request.ts'
import { Response } from './response.ts'
import { FairSlots } from './fair-slots.ts'

export interface GraphsyncComponents {
  libp2p: Libp2p

  /** For requests and responses that name no other. */
  linkSystem?: LinkSystem
}

/**
 * Makes the graphsync exchange of a node; start() registers it. One node has one: libp2p takes one handler for a protocol.
 *
 * Speaks with go-graphsync v0.14.7 and everything else that has /ipfs/graphsync/2.0.0.
 *
 * @throws {InvalidOptionError}
 */
export function createGraphsync (components: GraphsyncComponents, init: GraphsyncInit = {}): GraphExchange {
  return new Exchange(components, init)
}

/** For tests: times that nobody wants to wait for. */
export interface ExchangeInit extends GraphsyncInit {
  writeTimeout?: number
}

export class Exchange implements GraphExchange {
  readonly limits: Readonly<{ inbound: number, outbound: number }>
  readonly memory: Readonly<{ perPeer: number, total: number }>
  private readonly linkSystem: LinkSystem | undefined
  private readonly network: Network
  private readonly validators = new Set<RequestValidator>()
  private readonly inbound: FairSlots
  private readonly outbound: FairSlots
  private readonly turns = new Turns()

  constructor ({ libp2p, linkSystem }: GraphsyncComponents, init: ExchangeInit = {}) {
    checkNode(libp2p)
    this.linkSystem = linkSystem
    this.limits = {
      inbound: checked('maxInboundRequests', init.maxInboundRequests, MAX_REQUESTS),
      outbound: checked('maxOutboundRequests', init.maxOutboundRequests, MAX_REQUESTS)
    }
    this.memory = {
      perPeer: checked('maxPeerBytes', init.maxPeerBytes, MAX_PEER_BYTES), total: checked('maxTotalBytes', init.maxTotalBytes, MAX_TOTAL_BYTES)
    }
    this.inbound = new FairSlots(this.limits.inbound)
    this.outbound = new FairSlots(this.limits.outbound)
    this.network = new Network({
      libp2p, slots: this.inbound, limits: this.memory, writeTimeout: init.writeTimeout, onRequests: this.onRequests
    })
  }

  async start (): Promise<void> {
    return this.turns.take(async () => this.network.start())
  }

  async stop (): Promise<void> {
    return this.turns.take(async () => this.network.stop(new TransferFailedError('the graphsync exchange was stopped')))
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    await this.stop()
  }

  addValidator (validator: RequestValidator): () => void {
    const own: RequestValidator = (peer, request) => validator(peer, request) // so that one may be added twice
    this.validators.add(own)
    return () => { this.validators.delete(own) }
  }

  async * request (
    peerId: PeerId, root: CID, selector: SelectorNode, options: RequestOptions = {}
  ): AsyncGenerator<GraphsyncBlock, void, undefined> {
    yield * blocksOf(await this.open(peerId, root, selector, options))
  }

  /** request() without a generator: for loops that want no promise where there is nothing to wait for. */
  async open (peerId: PeerId, root: CID, selector: SelectorNode, options: RequestOptions = {}): Promise<OutgoingRequest> {
    const { signal, linkSystem = this.linkSystem } = options
    signal?.throwIfAborted()
    checkPeerId('peer', peerId)
    if (linkSystem == null) { throw new InvalidOptionError('linkSystem', 'must be given, here or to the exchange') }
    const slot = this.outbound.acquire(peerId.toString())
    if (slot != null) { await this.untilFree(slot, signal) }
    let peer: Peer | undefined
    try {
      if (!this.network.isStarted) { throw new TransferFailedError('the graphsync exchange is not started') }
      peer = this.network.peer(peerId)
      const request = new OutgoingRequest(peer, root, selector, linkSystem, options)
      request.begin(() => { this.outbound.release() })
      return request
    } catch (error) {
      this.outbound.release()
      peer?.checkUse()
      throw error
    }
  }

  /** Opens the stream to a peer, in the background, for a request that is about to come. */
  connect (peerId: PeerId): void {
    if (this.network.isStarted) { this.network.peer(peerId).outbox.connect() }
  }

  private async untilFree (slot: Promise<void>, signal?: AbortSignal): Promise<void> {
    try {
      await unlessAborted(slot, signal)
    } catch (error) {
      void slot.then(() => { this.outbound.release() })
      throw error
    }
  }

  private readonly onRequests = (peer: Peer, requests: ParsedRequest[]): void => {
    for (const { request, bytes } of requests) {
      const response = peer.responses.get(keyOf(request.id))
      if (request.type === 'cancel') {
        response?.end({ error: new TransferFailedError('the request was cancelled by the peer') })
      } else if (request.type === 'update') {
        response?.update(request)
      } else if (response == null) {
        this.respond(peer, request, bytes)
      }
    }
  }

  private respond (peer: Peer, request: GraphsyncRequest, bytes: number): void {
    const { inbound: slots, validators, linkSystem } = this
    const response = new Response(peer, request, { slots, validators, linkSystem, bytes })
    peer.enqueue(response)
  }
}

function checked (field: string, value: number | undefined, byDefault: number): number {
  value ??= byDefault
  positive(field, value)
  return value
}
