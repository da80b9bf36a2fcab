import { ConnectionClosedError } from '@libp2p/interface'
import type { Connection, Libp2p, PeerId, Stream } from '@libp2p/interface'
import { InvalidMessageError, TransferFailedError, UnknownHasherError } from '../../shared/errors.ts'
import type { LinkSystem } from '../../shared/types/store.ts'
import { closeWrite, isBroken, StreamReader } from '../streams.ts'
import { GRAPHSYNC_PROTOCOL, GraphsyncStatus, MAX_FRAME, MAX_INBOUND_STREAMS } from './constants.ts'
import { keyOfBlock } from './hash.ts'
import type { Key } from './keys.ts'
import { parseMessage } from './parse.ts'
import type { ParsedBlock, ParsedMessage, ParsedRequest } from './parse.ts'
import { Peer } from './peer.ts'
import type { Total } from './peer.ts'
import type { OutgoingRequest } from './request.ts'
import type { FairSlots } from './fair-slots.ts'

const CLOSE_TIMEOUT = 5_000

/** In one message. */
const MAX_UNKNOWN_HASHES = 64

export interface NetworkInit {
  libp2p: Libp2p
  writeTimeout?: number

  /** Of requests that are served at once. */
  slots: FairSlots

  /** Of responses that wait, in bytes: for one peer, and for all of them. */
  limits: { perPeer: number, total: number }

  /** Requests, cancels and updates of a peer. */
  onRequests: (peer: Peer, requests: ParsedRequest[]) => void
}

/** The peers that there is something with, and the streams that they open to us. */
export class Network {
  private readonly init: NetworkInit
  private readonly peers = new Map<string, Peer>()
  private readonly total: Total
  private readonly streams = new Set<Stream>()
  private started = false

  constructor (init: NetworkInit) {
    this.init = init
    const { perPeer: peerLimit, total: limit } = init.limits
    this.total = { bytes: 0, peers: new Set(), limit, peerLimit }
  }

  get isStarted (): boolean {
    return this.started
  }

  async start (): Promise<void> {
    if (this.started) { return }
    this.started = true
    const { libp2p } = this.init
    try {
      await libp2p.handle(GRAPHSYNC_PROTOCOL, this.onStream, { maxInboundStreams: MAX_INBOUND_STREAMS })
    } catch (error) {
      this.started = false
      throw error
    }
    libp2p.addEventListener('peer:disconnect', this.onDisconnect)
  }

  async stop (error: Error): Promise<void> {
    if (!this.started) { return }
    this.started = false
    const { libp2p } = this.init
    libp2p.removeEventListener('peer:disconnect', this.onDisconnect)
    await libp2p.unhandle(GRAPHSYNC_PROTOCOL)
    for (const stream of this.streams) { stream.abort(error) }
    for (const peer of [...this.peers.values()]) { peer.close(error) }
    this.peers.clear()
  }

  peer (id: PeerId): Peer {
    const key = id.toString()
    let peer = this.peers.get(key)
    if (peer == null) {
      const { libp2p, writeTimeout, slots } = this.init
      peer = new Peer(id, {
        libp2p,
        writeTimeout,
        slots,
        total: this.total,
        onUnused: unused => {
          if (this.peers.get(unused.key) === unused) { this.peers.delete(unused.key) }
        }
      })
      this.peers.set(key, peer)
    }
    return peer
  }

  private readonly onDisconnect = ({ detail }: CustomEvent<PeerId>): void => {
    this.peers.get(detail.toString())?.lost(new TransferFailedError(`${detail} disconnected`))
  }

  private readonly onStream = async (stream: Stream, { remotePeer }: Connection): Promise<void> => {
    if (!this.started) { return stream.abort(new TransferFailedError('graphsync is stopped')) } // a middleware of the node has held it back
    const peer = this.peer(remotePeer)
    const reader = new StreamReader(stream, { budget: peer.inbound })
    peer.streams++
    this.streams.add(stream)
    peer.outbox.connect() // what is asked for on this one is answered on ours
    try {
      for (;;) {
        const next = reader.frame(MAX_FRAME)
        const frame = next instanceof Promise ? await next : next
        if (frame == null) { break }
        const { requests, received } = this.receive(peer, parseMessage(frame))
        if (received != null) { await received }
        if (requests.length > 0) {
          if (peer.crowded) { await this.untilAdmitted(peer, stream, frame.length) }
          this.init.onRequests(peer, requests)
        }
        if (peer.full) { await this.whileOpen(peer, stream, () => peer.full) }
      }
      void closeWrite(stream, CLOSE_TIMEOUT)
    } catch (error: any) {
      stream.abort(error)
      peer.lost(error)
    } finally {
      reader.release()
      this.streams.delete(stream)
      peer.streams--
      peer.checkUse()
    }
  }

  /**
   * Until the requests in a frame can be taken. What came before it was; so a peer that has asked for too much can cancel it.
   *
   * @throws {InvalidMessageError} too many frames of the peer wait
   */
  private async untilAdmitted (peer: Peer, stream: Stream, bytes: number): Promise<void> {
    const { inbound } = peer
    inbound.used += bytes
    try {
      if (inbound.used > inbound.limit) { throw new InvalidMessageError(`more than ${inbound.limit} bytes of frames wait`) }
      await this.whileOpen(peer, stream, () => peer.crowded)
    } finally {
      inbound.used -= bytes
    }
    if (isBroken(stream)) { throw new ConnectionClosedError(`the stream was ${stream.status}`) }
  }

  /** A stream that is not read fills up: that is what holds the peer back. */
  private async whileOpen (peer: Peer, stream: Stream, condition: () => boolean): Promise<void> {
    const onClose = (): void => { peer.changed() }
    stream.addEventListener('close', onClose)
    try {
      while (condition() && !isBroken(stream)) { await peer.change() }
    } finally {
      stream.removeEventListener('close', onClose)
    }
  }

  /**
   * Takes all but the new requests, which it gives: while they wait nothing else of the message is kept. `received` is a promise only
   * when a hasher gives one. Throws InvalidMessageError.
   */
  private receive (peer: Peer, message: ParsedMessage): { requests: ParsedRequest[], received: void | Promise<void> } {
    return {
      received: this.receiveRest(peer, message),
      requests: message.requests.filter(({ request }) => request.type === 'new')
    }
  }

  private receiveRest (peer: Peer, message: ParsedMessage): void | Promise<void> {
    const changes = message.requests.filter(({ request }) => request.type !== 'new')
    if (changes.length > 0) { this.init.onRequests(peer, changes) }
    for (const { id, status } of message.responses) {
      if (status >= GraphsyncStatus.completedFull) { peer.unsettled.delete(id) }
    }
    const requests = message.responses.map(({ id }) => peer.requests.get(id)).filter(request => request != null)
    if (requests.length === 0) { return } // late, or never asked for: nothing is hashed
    const blocks = hashAll(message.blocks, requests)
    return blocks instanceof Promise ? blocks.then(hashed => { deliver(peer, message, hashed) }) : deliver(peer, message, blocks)
  }
}

function deliver (peer: Peer, { responses }: ParsedMessage, blocks: Map<Key, Uint8Array>): void {
  for (const response of responses) { peer.requests.get(response.id)?.receive(response, blocks) }
  let hungry = false
  for (const request of peer.requests.values()) { hungry ||= request.hungry }
  if (!hungry) { return }
  for (const request of peer.requests.values()) { request.relieve() }
}

/** The blocks of a message by the keys of their CIDs, but for those of an unknown hash: in Go these make the message undecodable. */
function hashAll (blocks: ParsedBlock[], requests: OutgoingRequest[]): Map<Key, Uint8Array> | Promise<Map<Key, Uint8Array>> {
  const hashed = new Map<Key, Uint8Array>()
  const later: Array<Promise<void>> = []
  const linkSystems = new Set(requests.map(({ linkSystem }) => linkSystem))
  const unknown = new Set<number>()
  for (const block of blocks) {
    if (unknown.has(block.prefix.hash)) { continue } // an error for each of half a million would take seconds
    const key = hashWith(linkSystems, block, unknown)
    if (key instanceof Promise) {
      const made = key.then(made => { if (made != null) { hashed.set(made, block.data) } }, cause => { throw unhashable(cause) })
      made.catch(() => {}) // a block behind it may end the message before anybody waits for it
      later.push(made)
    } else if (key != null) {
      hashed.set(key, block.data)
    }
  }
  return later.length === 0 ? hashed : Promise.all(later).then(() => hashed)
}

function hashWith (
  linkSystems: Iterable<LinkSystem>, { prefix, data }: ParsedBlock, unknown: Set<number>
): Key | undefined | Promise<Key | undefined> {
  for (const linkSystem of linkSystems) {
    try {
      return keyOfBlock(linkSystem, prefix, data)
    } catch (cause) {
      if (!(cause instanceof UnknownHasherError)) { throw unhashable(cause) }
    }
  }
  unknown.add(prefix.hash)
  if (unknown.size > MAX_UNKNOWN_HASHES) { throw new InvalidMessageError(`blocks of more than ${MAX_UNKNOWN_HASHES} unknown hashes`) }
  return undefined // who walks to it says so
}

function unhashable (cause: unknown): InvalidMessageError {
  return new InvalidMessageError('a block cannot be hashed', { cause })
}
