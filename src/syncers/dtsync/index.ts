/**
 * @packageDocumentation
 *
 * The parts of dtsync (go-libipni v0.3.2) that stand alone: the head of a publisher over a libp2p stream, and the vouchers of its
 * data transfers.
 *
 * @example Ask a publisher for its head
 *
 * ```ts
 * import { queryHead } from 'dagsync/dtsync'
 *
 * const head = await queryHead({ libp2p }, peerId, '/indexer/ingest/mainnet')
 * ```
 *
 * @example Answer such questions
 *
 * ```ts
 * import { createHeadServer } from 'dagsync/dtsync'
 *
 * await using server = createHeadServer({ libp2p }, { topic: '/indexer/ingest/mainnet' })
 * server.root = cid
 * await server.start()
 * ```
 */

export { headProtocol, previousHeadProtocol, queryHead, type QueryHeadOptions } from './head.ts'
export { createHeadServer } from './head-server.ts'
export { LEGS_VOUCHER_RESULT_TYPE, LEGS_VOUCHER_TYPE, voucherFromNode, voucherToNode } from './voucher.ts'
export type { HeadServer, HeadServerInit, LegsVoucher, LegsVoucherResult } from '../../shared/types/dtsync.ts'
export {
  BlockTooLargeError, DagsyncError, HeadQueryError, InvalidMessageError, InvalidOptionError, TimeoutError, TransferFailedError
} from '../../shared/errors.ts'
