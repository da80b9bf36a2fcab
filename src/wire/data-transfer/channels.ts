import type { PeerId } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { MAX_ENDED_CHANNELS } from './constants.ts'

/** What a responder remembers of a pull: to accept its restart, and no second one with its id. */
export interface Channel {
  root: CID

  /** As bytes, to be compared. */
  voucher: string
  voucherType: string

  /** It has ended well, or was cancelled or refused: it cannot be restarted. */
  ended: boolean

  /** Requests for it that are being served. */
  running: number
}

/** The pulls of peers. All that are running, and the last ones that are not. */
export class Channels {
  private readonly running = new Map<string, Channel>()
  private readonly idle = new Map<string, Channel>()

  get (peer: PeerId, id: bigint): Channel | undefined {
    const key = keyOf(peer, id)
    return this.running.get(key) ?? this.idle.get(key)
  }

  /** A request for the channel is being served. */
  begin (peer: PeerId, id: bigint, channel: Channel): void {
    const key = keyOf(peer, id)
    channel.running++
    this.idle.delete(key)
    this.running.set(key, channel)
  }

  /** It is not any more. */
  end (peer: PeerId, id: bigint, channel: Channel): void {
    const key = keyOf(peer, id)
    if (--channel.running > 0) { return }
    this.running.delete(key)
    this.idle.set(key, channel)
    if (this.idle.size <= MAX_ENDED_CHANNELS) { return }
    const [oldest] = this.idle.keys()
    this.idle.delete(oldest)
  }
}

function keyOf (peer: PeerId, id: bigint): string {
  return `${peer}-${id}`
}
