import type { PeerId } from '@libp2p/interface'
import * as dagCbor from '@ipld/dag-cbor'
import { sha256 } from '@noble/hashes/sha2.js'
import type { CID } from 'multiformats/cid'
import type { TransferRequest, TransferResponse, VoucherDecision, VoucherValidator } from '../../shared/types/data-transfer.ts'
import type { GraphsyncRequest, RequestDecision, ResponseEnd } from '../../shared/types/graphsync.ts'
import type { SelectorNode } from '../../shared/types/selector.ts'
import { GraphsyncStatus } from '../graphsync/constants.ts'
import { keyOf } from '../graphsync/keys.ts'
import { Channels } from './channels.ts'
import type { Channel } from './channels.ts'
import { DATA_TRANSFER_EXTENSION, INCOMING_REQUEST_EXTENSION, TransferType } from './constants.ts'
import { messageFromNode, messageToNode } from './message.ts'
import type { Network } from './network.ts'

/** A request for a pull that a validator is being asked about. */
interface Asked {
  peer: PeerId
  id: bigint
  cancelled: boolean
}

/** The responder's half: lets graphsync serve the pulls whose voucher a validator takes, and tells their end. */
export class Server {
  private readonly network: Network
  private readonly channels = new Channels()
  private readonly asked = new Set<Asked>()
  private readonly validators = new Map<string, Set<VoucherValidator>>()

  constructor (network: Network) {
    this.network = network
  }

  addVoucherType (type: string, validate: VoucherValidator): () => void {
    const own: VoucherValidator = (...args) => validate(...args) // so that one may be added twice
    const validators = this.validators.get(type) ?? new Set()
    validators.add(own)
    this.validators.set(type, validators)
    return () => { validators.delete(own) }
  }

  /** For graphsync: undefined when the request is none of data transfer's. */
  readonly validate = (peer: PeerId, request: GraphsyncRequest): RequestDecision | undefined | Promise<RequestDecision> => {
    const node = request.extensions?.[DATA_TRANSFER_EXTENSION]
    return node === undefined ? undefined : this.decide(peer, request, node)
  }

  /** The initiator wants no more: no Complete is sent. Graphsync is told by its own cancel. */
  cancel (peer: PeerId, id: bigint): void {
    const channel = this.channels.get(peer, id)
    if (channel != null) { channel.cancelled = true }
    for (const asked of this.asked) {
      if (asked.id === id && asked.peer.equals(peer)) { asked.cancelled = true }
    }
  }

  private async decide (peer: PeerId, { root, selector }: GraphsyncRequest, node: unknown): Promise<RequestDecision> {
    const message = messageFromNode(node) // what it throws is a failure of the request
    if (!('request' in message) || root == null || selector == null) { return { accept: false, status: GraphsyncStatus.failed } }
    const { request } = message
    const isRestart = request.type === TransferType.restart
    const known = this.channels.get(peer, request.transferId)
    if (!request.pull || (!isRestart && request.type !== TransferType.new)) { return refusal(request) }
    const digest = digestOf(request, root)
    // one that has ended may be restarted, unlike in Go: what was sent last may have been lost
    if (isRestart && (known == null || known.cancelled || request.baseCid == null || known.digest !== digest)) { return refusal(request) }

    const asked = { peer, id: request.transferId, cancelled: false }
    this.asked.add(asked)
    const decision = await this.ask(peer, request, root, selector).catch(() => undefined) // a validator that fails refuses, as in Go
    this.asked.delete(asked)
    if (decision?.accept !== true || asked.cancelled) { return refusal(request) }
    if (!isRestart && this.channels.get(peer, request.transferId) != null) { return refusal(request, decision) } // the id was used
    const channel = known ?? { digest, cancelled: false, requests: 0, running: 0 }
    const turn = this.channels.begin(peer, request.transferId, channel)
    return {
      accept: true,
      linkSystem: decision.linkSystem,
      signal: decision.signal,
      extensions: extensions(answer(request, true, decision)),
      onEnd: end => { this.onEnd(peer, request.transferId, channel, turn === channel.requests, end) }
    }
  }

  private async ask (peer: PeerId, request: TransferRequest, root: CID, selector: SelectorNode): Promise<VoucherDecision | undefined> {
    for (const validate of [...this.validators.get(request.voucherType) ?? []]) {
      const decision = await validate(peer, request.voucher, root, selector)
      if (decision != null) { return decision }
    }
    return undefined
  }

  private onEnd (peer: PeerId, transferId: bigint, channel: Channel, isLast: boolean, { status, error }: ResponseEnd): void {
    if (status === GraphsyncStatus.completedFull && error == null && !channel.cancelled && isLast) {
      this.network.send(peer, {
        response: { type: TransferType.complete, accepted: true, paused: false, transferId, voucherType: '' }
      })
    }
    this.channels.end(peer, transferId, channel)
  }
}

function answer ({ type, transferId }: TransferRequest, accepted: boolean, decision?: VoucherDecision): TransferResponse {
  return {
    type: type === TransferType.restart ? type : TransferType.new,
    accepted,
    paused: false,
    transferId,
    voucherType: decision?.resultType ?? '',
    ...(decision?.result === undefined ? {} : { voucherResult: decision.result })
  }
}

function refusal (request: TransferRequest, decision?: VoucherDecision): RequestDecision {
  return { accept: false, status: GraphsyncStatus.failed, extensions: extensions(answer(request, false, decision)) }
}

function extensions (response: TransferResponse): Record<string, any> {
  const node = messageToNode({ response })
  return { [DATA_TRANSFER_EXTENSION]: node, [INCOMING_REQUEST_EXTENSION]: node }
}

/** What a channel is remembered by: vouchers may be as long as a message. */
function digestOf ({ baseCid, voucher = null, voucherType }: TransferRequest, root: CID): string {
  return keyOf(sha256(dagCbor.encode([baseCid ?? root, voucherType, voucher])))
}
