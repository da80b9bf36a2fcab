import type { GraphsyncRequest } from '../../../src/shared/types/graphsync.ts'
import { DATA_TRANSFER_EXTENSION, TransferType } from '../../../src/wire/data-transfer/constants.ts'
import { encodeTransferMessage, messageFromNode } from '../../../src/wire/data-transfer/message.ts'
import { DEDUP_BY_KEY } from '../../../src/wire/graphsync/constants.ts'
import { decodeGraphsyncMessage, encodeGraphsyncMessage } from '../../../src/wire/graphsync/message.ts'
import { requestOf } from '../../wire/data-transfer/raw-peer.ts'
import { same } from '../../wire/graphsync/raw-peer.ts'
import { withId } from '../../wire/graphsync/replay.ts'

// What a subscriber says, so that two subscribers can be compared: ids are numbers, in the order in which they are used.

/** The new requests in messages of graphsync. */
export function newRequests (messages: Uint8Array[]): GraphsyncRequest[] {
  return messages.flatMap(bytes => decodeGraphsyncMessage(bytes).requests).filter(({ type }) => type === 'new')
}

export const isOfTransfer = ({ extensions = {} }: GraphsyncRequest): boolean => DATA_TRANSFER_EXTENSION in extensions

/** As it stands in messages. */
export function transferIdOf ({ extensions }: GraphsyncRequest): Uint8Array {
  const message = messageFromNode(extensions?.[DATA_TRANSFER_EXTENSION])
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE('request' in message ? message.request.transferId : 0n)
  return new Uint8Array(bytes)
}

/** Not of use in any real message: numbers from 2^63 on are written in eight bytes, as real ids are. */
const transferNumber = (n: number): bigint => (1n << 63n) + BigInt(n)

/** Messages of graphsync and of data transfer as text. Ids are those of the requests. */
export function told (graphsync: Uint8Array[], transfer: Uint8Array[]): { requests: string[], transfers: string[] } {
  const all = newRequests(graphsync)
  const transferIds = all.filter(isOfTransfer).map(transferIdOf).filter((id, i, ids) => ids.findIndex(other => same(id, other)) === i)
  const named = (bytes: Uint8Array): Uint8Array => {
    for (const [i, { id }] of all.entries()) { bytes = withId(bytes, id, new Uint8Array(16).fill(i)) }
    for (const [i, id] of transferIds.entries()) {
      const number = Buffer.alloc(8)
      number.writeBigUInt64BE(transferNumber(i))
      bytes = withId(bytes, id, number)
    }
    return bytes
  }
  return { requests: graphsync.map(named).map(requestText), transfers: transfer.map(named).map(transferText) }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** A cancel, or a new request with its bytes, but for the extension that keeps requests apart. */
function requestText (bytes: Uint8Array): string {
  const { requests: [request] } = decodeGraphsyncMessage(bytes)
  const { id, type, extensions = {} } = request
  const encoded = encodeGraphsyncMessage({ requests: [{ id, type }], responses: [], blocks: [] })
  if (type === 'cancel' && same(encoded, bytes)) { return `cancel ${id[0]}` }
  if (!(DEDUP_BY_KEY in extensions)) { return `${type} ${id[0]}: ${hex(bytes)}` }
  const { [DEDUP_BY_KEY]: _, ...rest } = extensions
  const without = encodeGraphsyncMessage({ requests: [{ ...request, extensions: rest }], responses: [], blocks: [] })
  return `${type} ${id[0]} with ${DEDUP_BY_KEY}: ${hex(without)}`
}

/** A probe, a Cancel, or the bytes of what a subscriber does not say at all. */
function transferText (bytes: Uint8Array): string {
  if (bytes.length === 0) { return 'probe' }
  for (const n of [0, 1, 2]) {
    const cancel = requestOf({ type: TransferType.cancel, pull: false, transferId: transferNumber(n) })
    if (same(encodeTransferMessage(cancel), bytes)) { return `Cancel ${n}` }
  }
  return hex(bytes)
}
