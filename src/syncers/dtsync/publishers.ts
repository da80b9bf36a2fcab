import type { PeerId } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { InvalidOptionError } from '../../shared/errors.ts'
import { isStrayPromise } from '../../shared/thenable.ts'
import type { DataTransfer, VoucherDecision } from '../../shared/types/data-transfer.ts'
import type { LinkSystem } from '../../shared/types/store.ts'
import { LEGS_VOUCHER_RESULT_TYPE, LEGS_VOUCHER_TYPE, voucherFromNode } from './voucher.ts'

/** A publisher, as far as a pull needs it. */
export interface Served {
  topic: string
  linkSystem: LinkSystem
  allowPeer?: (peer: PeerId) => boolean

  /** Aborted when it is stopped: what runs on its behalf ends. */
  signal: AbortSignal
}

const REJECTED: VoucherDecision = { accept: false }

/** The publishers of one node. A pull is served by the one who has its root, if that one allows the peer. */
export class PublisherSet {
  private readonly transfers: DataTransfer
  private readonly publishers = new Map<string, Served>()
  private removeVoucherType: (() => void) | undefined

  constructor (transfers: DataTransfer) {
    this.transfers = transfers
  }

  /** Throws InvalidOptionError for a second one of a topic. */
  add (publisher: Served): void {
    const { topic } = publisher
    if (this.publishers.has(topic)) { throw new InvalidOptionError('topic', `has a publisher on this node already: ${topic}`) }
    this.publishers.set(topic, publisher)
    this.removeVoucherType ??= this.transfers.addVoucherType(LEGS_VOUCHER_TYPE, this.validate)
  }

  remove (publisher: Served): void {
    this.publishers.delete(publisher.topic)
    if (this.publishers.size > 0) { return }
    this.removeVoucherType?.()
    this.removeVoucherType = undefined
  }

  /** As Go, the voucher's head is not compared with what is asked for. Go: legsValidator, dagsync/dtsync/voucher.go. */
  private readonly validate = (peer: PeerId, voucher: unknown, root: CID): VoucherDecision | Promise<VoucherDecision> => {
    if (voucherFromNode(voucher).head == null) { return REJECTED }
    const allowing: Served[] = []
    const refusing: Served[] = []
    for (const publisher of this.publishers.values()) { (allows(publisher, peer) ? allowing : refusing).push(publisher) }
    if (allowing.length === 0) { return REJECTED }
    return this.publishers.size === 1 ? accepted(allowing[0]) : choose(allowing, refusing, root)
  }
}

/** Where none who allows it has the root, one who refuses may; where nobody has it, the first one is to say so. */
async function choose (allowing: Served[], refusing: Served[], root: CID): Promise<VoucherDecision> {
  const serving = await whoHas(allowing, root)
  if (serving != null) { return accepted(serving) }
  return await whoHas(refusing, root) == null ? accepted(allowing[0]) : REJECTED
}

/** One that throws refuses for its own publisher; a promise is no yes. */
function allows ({ allowPeer }: Served, peer: PeerId): boolean {
  try {
    const allowed: unknown = allowPeer == null || allowPeer(peer)
    return !isStrayPromise(allowed) && Boolean(allowed)
  } catch {
    return false
  }
}

/** One who has the root, whatever the stores of the others do. */
async function whoHas (publishers: Served[], root: CID): Promise<Served | undefined> {
  return Promise.any(publishers.map(async publisher => {
    return await publisher.linkSystem.has(root) ? publisher : Promise.reject(new Error('not here'))
  })).catch(() => undefined)
}

function accepted ({ linkSystem, signal }: Served): VoucherDecision {
  return { accept: true, linkSystem, signal, result: { Code: 0 }, resultType: LEGS_VOUCHER_RESULT_TYPE }
}
