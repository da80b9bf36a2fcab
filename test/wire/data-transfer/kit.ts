import type { CID } from 'multiformats/cid'
import type { DataTransferInit, VoucherValidator } from '../../../src/shared/types/data-transfer.ts'
import type { LinkSystem } from '../../../src/shared/types.ts'
import { createLinkSystem } from '../../../src/store/link-system.ts'
import { Manager } from '../../../src/wire/data-transfer/manager.ts'
import { createPair } from '../nodes.ts'
import type { Pair } from '../nodes.ts'

export const VOUCHER = { type: 'Ticket', value: { Seat: 7 } }

/** An initiator on a and a responder on b, both started. */
export interface TransferPair extends Pair {
  initiator: Manager
  responder: Manager
  local: LinkSystem
  remote: LinkSystem
}

export interface TransferPairInit {
  local?: LinkSystem
  remote?: LinkSystem
  initiator?: DataTransferInit
  responder?: DataTransferInit

  /** @default every ticket is good */
  validate?: VoucherValidator
}

export async function transferPair (init: TransferPairInit = {}): Promise<TransferPair> {
  const { local = createLinkSystem(), remote = createLinkSystem(), validate = () => ({ accept: true }) } = init
  const pair = await createPair()
  const initiator = new Manager({ libp2p: pair.a, linkSystem: local }, init.initiator)
  const responder = new Manager({ libp2p: pair.b, linkSystem: remote }, init.responder)
  responder.addVoucherType(VOUCHER.type, validate)
  await Promise.all([initiator.start(), responder.start()])
  return {
    ...pair,
    initiator,
    responder,
    local,
    remote,
    async [Symbol.asyncDispose] () {
      await Promise.all([initiator.stop(), responder.stop()])
      await pair[Symbol.asyncDispose]()
    }
  }
}

export interface Gate {
  /** A read has come to it. */
  reached: Promise<void>
  open: () => void
}

/** Holds reads of a block, or the first one alone, until it is opened. */
export function gate ({ blockstore }: LinkSystem, cid: CID, { once = false } = {}): Gate {
  const reached = Promise.withResolvers<void>()
  const opened = Promise.withResolvers<void>()
  const get = blockstore.get.bind(blockstore)
  let reads = 0
  blockstore.get = ((asked: CID, options: any) => asked.equals(cid) && (reads++ === 0 || !once)
    ? (async function * () {
        reached.resolve()
        await opened.promise
        yield * get(asked, options) as any
      })()
    : get(asked, options)) as any
  return { reached: reached.promise, open: opened.resolve }
}
