import { CID } from 'multiformats/cid'
import { concat } from '../shared/concat.ts'
import { MAX_ANNOUNCE_SIZE, MAX_MESSAGE_ADDRS } from '../shared/constants.ts'
import { multiaddrFromBytes, UnknownProtocol } from '../shared/multiaddrs/bytes.ts'
import { BYTES, CborReader, cborHeader, invalid, LIST, TAG, TEXT } from './cbor.ts'
import type { AnnounceMessage } from '../shared/types.ts'
import type { Multiaddr } from '@multiformats/multiaddr'

const CID_TAG = 42

/** Go: cbor-gen, for a CID with its leading zero, and for text. */
const MAX_CID_SIZE = 512
const MAX_TEXT_SIZE = 8192

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/**
 * The message as a CBOR list, as it goes over gossip and HTTP, byte for byte as Go writes it (announce/message,
 * MarshalCBOR).
 *
 * Throws InvalidMessageError for a message that would not be read: more than 8,192 addresses, or more than 1 MiB.
 */
export function encodeAnnounce (message: AnnounceMessage): Uint8Array {
  checkMessage(message)
  const { cid, addrs, extraData = new Uint8Array(), origPeer = '' } = message
  const parts = [cborHeader(LIST, origPeer === '' ? 3 : 4), cborHeader(TAG, CID_TAG)]
  const add = (major: number, value: Uint8Array): void => { parts.push(cborHeader(major, value.length), value) }
  add(BYTES, concat([Uint8Array.of(0), cid.bytes]))
  parts.push(cborHeader(LIST, addrs.length))
  addrs.forEach(addr => add(BYTES, addr))
  add(BYTES, extraData)
  if (origPeer !== '') { add(TEXT, encoder.encode(origPeer)) }
  return checkSize(concat(parts))
}

/**
 * Reads what encodeAnnounce() writes, and refuses what Go refuses; bytes behind the message are ignored. What is empty in
 * the message (extraData, origPeer) is absent. Nothing of `bytes` is kept.
 *
 * Throws InvalidMessageError, which says which field and why; also for more than 8,192 addresses, or more than 1 MiB.
 */
export function decodeAnnounce (bytes: Uint8Array): AnnounceMessage {
  if (!ArrayBuffer.isView(bytes)) { throw invalid('message', 'must be bytes') }
  const reader = new CborReader(checkSize(bytes))
  const fields = reader.header(LIST, 'message')
  if (fields < 3 || fields > 4) { throw invalid('message', `has ${fields} fields, not 3 or 4`) }

  if (reader.header(TAG, 'Cid') !== CID_TAG) { throw invalid('Cid', 'has another tag than 42') }
  const cid = readCid(reader.string(BYTES, 'Cid', MAX_CID_SIZE))

  const count = checkCount(reader.header(LIST, 'Addrs'))
  const addrs: Uint8Array[] = []
  for (let i = 0; i < count; i++) { addrs.push(reader.string(BYTES, `Addrs[${i}]`, MAX_ANNOUNCE_SIZE)) }

  const extraData = reader.string(BYTES, 'ExtraData', MAX_ANNOUNCE_SIZE)
  const origPeer = fields === 4 ? decoder.decode(reader.string(TEXT, 'OrigPeer', MAX_TEXT_SIZE)) : ''
  return compact(cid, addrs, extraData, origPeer)
}

/**
 * The addresses in a message. Those of unknown protocols are left out. Go: Message.GetAddrs.
 *
 * Throws InvalidMessageError for any other bad one.
 */
export function messageAddrs (message: AnnounceMessage, read = multiaddrFromBytes): Multiaddr[] {
  return message.addrs.flatMap((bytes, i) => {
    try {
      return read(bytes)
    } catch (cause) {
      if (cause instanceof UnknownProtocol) { return [] }
      throw invalid(`Addrs[${i}]`, `is not a multiaddr: ${(cause as Error).message}`, { cause })
    }
  })
}

/** Absent rather than empty. */
export function compact (cid: CID, addrs: Uint8Array[], extraData: Uint8Array, origPeer: string): AnnounceMessage {
  return { cid, addrs, ...(extraData.length > 0 && { extraData }), ...(origPeer !== '' && { origPeer }) }
}

export function checkMessage ({ cid, addrs, origPeer = '' }: AnnounceMessage): void {
  if (CID.asCID(cid) == null) { throw invalid('Cid', 'is missing') }
  if (cid.bytes.length >= MAX_CID_SIZE) { throw invalid('Cid', `has ${cid.bytes.length} bytes, ${MAX_CID_SIZE} or more`) }
  checkCount(addrs.length)
  if (!addrs.every(addr => addr instanceof Uint8Array)) { throw invalid('Addrs', 'must be binary: addr.bytes') }
  // three bytes a character at most
  if (origPeer.length * 3 > MAX_TEXT_SIZE) { throw invalid('OrigPeer', `has ${origPeer.length} characters`) }
}

export function checkCount (count: number): number {
  if (count > MAX_MESSAGE_ADDRS) { throw invalid('Addrs', `has ${count} entries, more than ${MAX_MESSAGE_ADDRS}`) }
  return count
}

/** For bytes as for text. */
export function checkSize<T extends { length: number }> (message: T): T {
  if (message.length > MAX_ANNOUNCE_SIZE) { throw invalid('message', `has ${message.length} bytes, more than ${MAX_ANNOUNCE_SIZE}`) }
  return message
}

function readCid (bytes: Uint8Array): CID {
  if (bytes[0] !== 0) { throw invalid('Cid', 'has no zero byte before it') }
  const cid = bytes.subarray(1)
  // js-multiformats takes more: any length after 0x12, and a version byte of 0
  if (cid[0] !== 1 && !(cid[0] === 0x12 && cid[1] === 0x20)) { throw invalid('Cid', 'is not a CID of version 0 or 1') }
  try {
    return CID.decode(cid)
  } catch (cause) {
    throw invalid('Cid', `is not a CID: ${(cause as Error).message}`, { cause })
  }
}
