import { CID } from 'multiformats/cid'
import { toCid } from '../../shared/check.ts'
import { InvalidMessageError } from '../../shared/errors.ts'
import type { LegsVoucher } from '../../shared/types/dtsync.ts'

/** Go: dtsync.LegsVoucherType. */
export const LEGS_VOUCHER_TYPE = 'LegsVoucher'

/** Go: dtsync.LegsVoucherResultType. */
export const LEGS_VOUCHER_RESULT_TYPE = 'LegsVoucherResult'

/** The voucher in the IPLD data model: `{ Head: link or null }`. Throws InvalidOptionError. */
export function voucherToNode (voucher: LegsVoucher): unknown {
  return { Head: voucher.head == null ? null : toCid('head', voucher.head) }
}

/** Reads what voucherToNode() gives, and nothing else. Throws InvalidMessageError. */
export function voucherFromNode (node: unknown): LegsVoucher {
  const fields = Object.entries(node ?? {})
  const [name, value] = fields[0] ?? []
  const head = CID.asCID(value)
  if (fields.length !== 1 || name !== 'Head' || (head == null && value !== null)) {
    throw new InvalidMessageError('not a LegsVoucher: a map of Head, a link or null')
  }
  return head == null ? {} : { head }
}
