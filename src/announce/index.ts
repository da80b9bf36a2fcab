/**
 * @packageDocumentation
 *
 * Announcements: that a publisher has a new head, and where to get it. Sent and heard over gossipsub, sent over HTTP.
 *
 * @example Hear announcements
 *
 * ```ts
 * import { gossipsub } from '@libp2p/gossipsub'
 * import { gossipsubInit, Receiver } from 'dagsync/announce'
 *
 * // node: a libp2p node with services: { identify: identify(), pubsub: gossipsub(gossipsubInit()) }
 * const receiver = new Receiver({ pubsub: node.services.pubsub, peerId: node.peerId }, { topic: '/indexer/ingest/mainnet' })
 * await receiver.start()
 *
 * for await (const { cid, peerId, addrs } of receiver) {
 *   console.log('%s has %s at %s', peerId, cid, addrs)
 * }
 * ```
 *
 * @example Announce to an indexer over HTTP
 *
 * ```ts
 * import { httpSender, sendAnnounce } from 'dagsync/announce'
 *
 * await sendAnnounce(cid, addrs, [httpSender({ urls: ['https://cid.contact'], peerId })])
 * ```
 */

export { DEFAULT_ANNOUNCE_PATH } from '../shared/constants.ts'
export { AnnounceError, DagsyncError, HttpStatusError, InvalidMessageError, InvalidOptionError, ReceiverClosedError, TimeoutError, TransferFailedError } from '../shared/errors.ts'
export { announceFromJson, announceToJson } from './json.ts'
export { decodeAnnounce, encodeAnnounce, messageAddrs } from './message.ts'
export { Receiver } from './receiver.ts'
export { sendAnnounce } from './send.ts'
export { gossipSender } from './senders/gossip.ts'
export { httpSender } from './senders/http.ts'
export { gossipsubInit } from './topic.ts'
export type { AllowPeer, Announce, AnnounceMessage, AnnounceResult, AnnounceSender, PubSub, ReceiverInit } from '../shared/types.ts'
export type { ReceiverComponents } from './receiver.ts'
export type { GossipSenderComponents, GossipSenderInit } from './senders/gossip.ts'
export type { HttpSenderInit } from './senders/http.ts'
export type { GossipsubInit } from './topic.ts'
