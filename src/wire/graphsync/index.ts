/**
 * Graphsync 2.0.0: ask a peer for all blocks that a selector reaches from a root, and serve such requests. Speaks with go-graphsync.
 * docs/GRAPHSYNC.md shows both sides.
 *
 * @example
 * import { createGraphsync } from 'dagsync/graphsync'
 *
 * const graphsync = createGraphsync({ libp2p, linkSystem })
 * await graphsync.start()
 * for await (const { cid, bytes } of graphsync.request(peer, root, selector)) {
 *   console.log(cid.toString(), bytes.length)
 * }
 */
export { createLinkSystem } from '../../store/link-system.ts'
export { createGraphsync, type GraphsyncComponents } from './exchange.ts'
export { decodeGraphsyncMessage, encodeGraphsyncMessage } from './message.ts'
export { DEDUP_BY_KEY, DO_NOT_SEND_CIDS, DO_NOT_SEND_FIRST_BLOCKS, GRAPHSYNC_PROTOCOL, GraphsyncStatus } from './constants.ts'
export {
  BlockTooLargeError, ContentNotFoundError, DagsyncError, InvalidMessageError, InvalidOptionError, InvalidSelectorError, StalledError,
  TransferFailedError, TransferRejectedError, UnknownCodecError, UnknownHasherError
} from '../../shared/errors.ts'
export type {
  GraphExchange, GraphsyncBlock, GraphsyncInit, GraphsyncMessage, GraphsyncRequest, GraphsyncResponse, LinkAction, RequestDecision,
  RequestOptions, RequestType, RequestValidator, ResponseEnd
} from '../../shared/types/graphsync.ts'
export type { SelectorNode } from '../../shared/types/selector.ts'
export type { LinkSystem } from '../../shared/types/store.ts'
