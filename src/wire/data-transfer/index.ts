/**
 * @packageDocumentation
 *
 * Data transfer 1.2.0 (`/fil/datatransfer/1.2.0`) over graphsync: pulls of a part of a DAG, which the other side allows by a voucher,
 * and which are resumed when the connection is lost. Works with go-data-transfer v2.0.0-rc7, in both roles. docs/DATA-TRANSFER.md has
 * programs for both sides, the options and the errors.
 *
 * @example Serve, and pull
 *
 * ```ts
 * import { createDataTransfer, createLinkSystem } from 'dagsync/data-transfer'
 *
 * const transfers = createDataTransfer({ libp2p, linkSystem: createLinkSystem() })
 * transfers.addVoucherType('Ticket', (peer, ticket, root) => ({ accept: ticket.seat === 7 }))
 * await transfers.start()
 *
 * for await (const { cid, bytes } of transfers.pull(peer, { type: 'Ticket', value: { seat: 7 } }, root, selector)) {
 *   console.log(cid, bytes)
 * }
 * ```
 */

export { createDataTransfer } from './manager.ts'
export type { DataTransferComponents } from './manager.ts'
export { DATA_TRANSFER_EXTENSION, DATA_TRANSFER_PROTOCOL, INCOMING_REQUEST_EXTENSION, TransferType } from './constants.ts'
export { decodeTransferMessage, encodeTransferMessage } from './message.ts'
export { createLinkSystem } from '../../store/link-system.ts'
export type {
  DataTransfer, DataTransferInit, PullOptions, TransferMessage, TransferRequest, TransferResponse, Voucher, VoucherDecision,
  VoucherResult, VoucherValidator
} from '../../shared/types/data-transfer.ts'
export type { GraphExchange, GraphsyncBlock } from '../../shared/types/graphsync.ts'
export type { SelectorNode } from '../../shared/types/selector.ts'
export type { LinkSystem } from '../../shared/types/store.ts'
export {
  BlockTooLargeError, ContentNotFoundError, DagsyncError, InvalidMessageError, InvalidOptionError, InvalidSelectorError, StalledError,
  TimeoutError, TransferFailedError, TransferRejectedError, UnknownCodecError, UnknownHasherError
} from '../../shared/errors.ts'
