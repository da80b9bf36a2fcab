import type { PeerId } from '@libp2p/interface'
import { MAX_ENDED_CHANNELS, MAX_PEER_ENDED_CHANNELS } from './constants.ts'

/** What a responder remembers of a pull: to accept its restart, and no second one with its id. */
export interface Channel {
  /** Of root, voucher and its type: a restart must have the same ones. */
  digest: string

  /** By the initiator: it cannot be restarted. */
  cancelled: boolean

  /** Requests for it so far, and those that are being served. */
  requests: number
  running: number
}

/** The pulls of peers. All that are running, and the last ones that are not. */
export class Channels {
  private readonly running = new Map<string, Channel>()

  /** By peer, the one whose channel ended last at the end; the same for the channels of each. */
  private readonly idle = new Map<string, Map<bigint, Channel>>()
  private idleCount = 0

  get (peer: PeerId, id: bigint): Channel | undefined {
    return this.running.get(keyOf(peer, id)) ?? this.idle.get(peer.toString())?.get(id)
  }

  /** A request for the channel is being served; gives which one it is. */
  begin (peer: PeerId, id: bigint, channel: Channel): number {
    channel.running++
    this.forget(peer.toString(), id)
    this.running.set(keyOf(peer, id), channel)
    return ++channel.requests
  }

  /** It is not any more. */
  end (peer: PeerId, id: bigint, channel: Channel): void {
    if (--channel.running > 0) { return }
    this.running.delete(keyOf(peer, id))
    const name = peer.toString()
    const own = this.idle.get(name) ?? new Map<bigint, Channel>()
    this.idle.delete(name)
    this.idle.set(name, own)
    own.set(id, channel)
    this.idleCount++
    if (own.size > MAX_PEER_ENDED_CHANNELS) { this.forget(name, first(own)) }
    if (this.idleCount > MAX_ENDED_CHANNELS) { // of the peer that was not seen for longest
      const longest = first(this.idle)
      this.forget(longest, first(this.idle.get(longest) as Map<bigint, Channel>))
    }
  }

  private forget (peer: string, id: bigint): void {
    const own = this.idle.get(peer)
    if (own?.delete(id) !== true) { return }
    this.idleCount--
    if (own.size === 0) { this.idle.delete(peer) }
  }
}

function first<T> (map: Map<T, unknown>): T {
  return map.keys().next().value as T
}

function keyOf (peer: PeerId, id: bigint): string {
  return `${peer}-${id}`
}
