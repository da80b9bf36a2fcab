import type { Startable } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'

/** What a subscriber sends with a pull request. */
export interface LegsVoucher {
  /** The root of what is asked for. A publisher refuses a voucher without it. */
  head?: CID
}

/** What a publisher answers to a voucher. */
export interface LegsVoucherResult {
  /** Always 0 from Go. */
  code: number
}

export interface HeadServerInit {
  /** The topic of the publisher: part of the protocol id. */
  topic: string

  /**
   * Also answer on the previous protocol id.
   *
   * @default false
   */
  previous?: boolean
}

/** Tells who asks what the head is. Nothing is answered before start(). */
export interface HeadServer extends Startable, AsyncDisposable {
  /** The head; undefined: there is none. Setting it throws InvalidOptionError for what is not a CID. */
  root: CID | undefined
}
