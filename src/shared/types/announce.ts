import type { AbortOptions, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { CID } from 'multiformats/cid'

/** What is used of a pubsub service; @libp2p/gossipsub fits. */
export interface PubSub {
  subscribe(topic: string): void
  unsubscribe(topic: string): void
  getTopics(): string[]
  getSubscribers(topic: string): PeerId[]
  publish(topic: string, data: Uint8Array): Promise<{ recipients: PeerId[] }>
  addEventListener(type: 'message', listener: (event: CustomEvent<any>) => void): void
  removeEventListener(type: 'message', listener: (event: CustomEvent<any>) => void): void
}

/** "There is a new head", as it goes over gossip and HTTP. Go: announce/message.Message. */
export interface AnnounceMessage {
  cid: CID

  /** Binary multiaddrs, kept as they came. */
  addrs: Uint8Array[]

  /** Whatever the sender adds for those who read messages themselves; a Receiver leaves it out. */
  extraData?: Uint8Array

  /** The publisher, in text form, when another peer republishes its announcement. */
  origPeer?: string
}

/** Whether announcements of a peer are heard. Says so at once: a promise lets nobody in. */
export type AllowPeer = (peer: PeerId) => boolean

/** An announcement that was let in. */
export interface Announce {
  cid: CID
  peerId: PeerId
  addrs: Multiaddr[]

  /** The relay that republished it, when that is not a trusted one: then this is only a hint that there is a new head. */
  hintFrom?: PeerId
}

/** Which announcements are let in, and what is done with them. */
export interface ReceiverInit {
  /** Absent: every peer is allowed. */
  allowPeer?: AllowPeer

  /**
   * Leaves out addresses that are not public; names are resolved and checked before they are fetched from. What a caller has given to
   * sync() stays in use.
   *
   * @default false
   */
  filterIPs?: boolean

  /**
   * Republish direct announces over gossip.
   *
   * @default false
   */
  resend?: boolean

  /**
   * Relays whose republished announces are taken at their word; any other one is only a hint, and the publisher's own
   * head is asked.
   *
   * @default []
   */
  trustedRelays?: PeerId[]
}

/** What became of an announcement at one sender. */
export interface AnnounceResult {
  sender: AnnounceSender

  /** How many peers or servers took it, where the sender knows. */
  recipients?: number
  error?: Error
}

/** A way to tell others of a new head. */
export interface AnnounceSender {
  send(message: AnnounceMessage, options?: AbortOptions): Promise<{ recipients?: number }>
  stop?(): Promise<void>

  /**
   * How long one send() may take, in milliseconds; false: it sees to that itself.
   *
   * @default 60_000
   */
  timeout?: number | false
}
