/**
 * @packageDocumentation
 *
 * Syncs with one publisher over one transport, without a subscriber's bookkeeping: what is latest, announcements, hooks.
 *
 * @example Keep a copy of a publisher's chain
 *
 * ```ts
 * import { createLinkSystem } from 'dagsync'
 * import { dagsyncSelector } from 'dagsync/selector'
 * import { createHttpSyncer } from 'dagsync/syncer'
 *
 * await using syncer = createHttpSyncer({ linkSystem: createLinkSystem() }, { peerId, addrs })
 * const head = await syncer.head()
 * if (head != null) {
 *   await syncer.sync(head, dagsyncSelector({ none: {} }), { onBlock: ({ cid, bytes }) => { console.log(cid, bytes) } })
 * }
 * ```
 */

export { createHttpSyncer, HttpSyncer } from './httpsync/sync.ts'
export type { HttpSyncerComponents, HttpSyncerInit } from './httpsync/sync.ts'
export { createIpnisyncSyncer, IpnisyncSyncer } from './httpsync/over-libp2p.ts'
export type { IpnisyncSyncerComponents, IpnisyncSyncerInit } from './httpsync/over-libp2p.ts'
export { createDtsyncSyncer, DtsyncSyncer } from './dtsync/sync.ts'
export type { DtsyncSyncerComponents, DtsyncSyncerInit } from './dtsync/sync.ts'
export type { HttpRetry, LinkSystem, SelectorNode, SyncedBlock, Syncer, SyncerSyncOptions } from '../shared/types.ts'
export {
  BlockTooLargeError, ContentNotFoundError, DagsyncError, HashMismatchError, HeadQueryError, HttpStatusError, InvalidMessageError,
  InvalidOptionError, InvalidSelectorError, InvalidSignedHeadError, StalledError, TimeoutError, TransferFailedError,
  TransferRejectedError, TransportUnavailableError, UnexpectedSignerError, UnknownCodecError, UnknownHasherError
} from '../shared/errors.ts'
