export { createHttpSyncer, HttpSyncer } from './httpsync/sync.ts'
export type { HttpSyncerComponents, HttpSyncerInit } from './httpsync/sync.ts'
export type { HttpRetry, LinkSystem, SelectorNode, SyncedBlock, Syncer, SyncerSyncOptions } from '../shared/types.ts'
export {
  BlockTooLargeError, ContentNotFoundError, DagsyncError, HashMismatchError, HeadQueryError, HttpStatusError, InvalidMessageError,
  InvalidOptionError, InvalidSelectorError, InvalidSignedHeadError, TimeoutError, TransferFailedError, TransportUnavailableError,
  UnexpectedSignerError, UnknownCodecError, UnknownHasherError
} from '../shared/errors.ts'
