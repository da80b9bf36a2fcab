import * as dagCbor from '@ipld/dag-cbor'
import { peerIdFromMultihash, peerIdFromString } from '@libp2p/peer-id'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { InvalidMessageError } from '../../shared/errors.ts'
import type { TransferMessage, TransferRequest, TransferResponse } from '../../shared/types/data-transfer.ts'
import { CborWriter } from '../graphsync/cbor-writer.ts'
import { CborReader, LIST, MAP, TEXT } from '../graphsync/cbor.ts'

/** A field: its key on the wire, its name in Go, which Go reads too, its name here; and how a value of the data model is read. */
interface Field<T> {
  key: string
  goName: string
  name: keyof T & string
  read: (value: any, what: string) => any
}

// in the order that Go writes them in: by length, then by bytes
const REQUEST: Array<Field<TransferRequest>> = [
  { key: 'BCid', goName: 'BaseCidPtr', name: 'baseCid', read: linkOrNull },
  { key: 'Part', goName: 'Partial', name: 'partial', read: boolean },
  { key: 'Paus', goName: 'Pause', name: 'pause', read: boolean },
  { key: 'Pull', goName: 'Pull', name: 'pull', read: boolean },
  { key: 'Stor', goName: 'SelectorPtr', name: 'selector', read: anyOrNull },
  { key: 'Type', goName: 'MessageType', name: 'type', read: number },
  { key: 'VTyp', goName: 'VoucherTypeIdentifier', name: 'voucherType', read: string },
  { key: 'Vouch', goName: 'VoucherPtr', name: 'voucher', read: anyOrNull },
  { key: 'XferID', goName: 'TransferId', name: 'transferId', read: transferId },
  { key: 'RestartChannel', goName: 'RestartChannel', name: 'restartChannel', read: channel }
]

const RESPONSE: Array<Field<TransferResponse>> = [
  { key: 'Acpt', goName: 'RequestAccepted', name: 'accepted', read: boolean },
  { key: 'Paus', goName: 'Paused', name: 'paused', read: boolean },
  { key: 'Type', goName: 'MessageType', name: 'type', read: number },
  { key: 'VRes', goName: 'VoucherResultPtr', name: 'voucherResult', read: anyOrNull },
  { key: 'VTyp', goName: 'VoucherTypeIdentifier', name: 'voucherType', read: string },
  { key: 'XferID', goName: 'TransferId', name: 'transferId', read: transferId }
]

interface Envelope { isRequest: boolean, request?: TransferRequest, response?: TransferResponse }

const MESSAGE: Array<Field<Envelope>> = [
  { key: 'IsRq', goName: 'IsRequest', name: 'isRequest', read: boolean },
  { key: 'Request', goName: 'Request', name: 'request', read: value => value === null ? undefined : readFields(value, REQUEST, 'Request') },
  { key: 'Response', goName: 'Response', name: 'response', read: value => value === null ? undefined : readFields(value, RESPONSE, 'Response') }
]

/**
 * The bytes of a message, as Go writes them: the whole body of a stream.
 *
 * @throws {InvalidMessageError} a value that has no encoding
 */
export function encodeTransferMessage (message: TransferMessage): Uint8Array {
  const out = new CborWriter()
  out.head(MAP, MESSAGE.length)
  out.name('IsRq')
  write(out, 'request' in message)
  out.name('Request')
  if ('request' in message) { writeFields(out, message.request, REQUEST) } else { write(out, null) }
  out.name('Response')
  if ('response' in message) { writeFields(out, message.response, RESPONSE) } else { write(out, null) }
  return out.take()
}

/**
 * Reads a message as Go does: all keys are required, in any order; unknown ones are an error, and so are bytes after the message.
 *
 * @throws {InvalidMessageError}
 */
export function decodeTransferMessage (bytes: Uint8Array): TransferMessage {
  let node: any
  try {
    const reader = new CborReader(bytes, textOf)
    node = reader.any()
    if (reader.at !== bytes.length) { throw new InvalidMessageError('bytes after the message') }
  } catch (error: any) {
    if (error instanceof InvalidMessageError) { throw error }
    throw new InvalidMessageError(`not a data transfer message: ${error.message}`, { cause: error })
  }
  return messageFromNode(node)
}

/** A message as the value of a graphsync extension. */
export function messageToNode (message: TransferMessage): Record<string, any> {
  const request = 'request' in message ? toNode(message.request, REQUEST) : null
  const response = 'response' in message ? toNode(message.response, RESPONSE) : null
  return { IsRq: request != null, Request: request, Response: response }
}

/** Throws InvalidMessageError. */
export function messageFromNode (node: unknown): TransferMessage {
  const { isRequest, request, response } = readFields(node, MESSAGE, 'the message')
  if (isRequest && request != null) { return { request } }
  if (!isRequest && response != null) { return { response } }
  throw new InvalidMessageError(`a data transfer message without its ${isRequest ? 'request' : 'response'}`)
}

function readFields<T> (node: unknown, fields: Array<Field<T>>, what: string): T {
  const entries = node instanceof Map ? [...node] : isMap(node) ? Object.entries(node) : undefined
  if (entries == null) { throw new InvalidMessageError(`${what} is no map`) }
  const value: any = {}
  for (const [key, item] of entries) {
    const field = fields.find(field => field.key === key || field.goName === key)
    if (field == null) { throw new InvalidMessageError(`${what} has an unknown key ${JSON.stringify(key)}`) }
    if (field.name in value) { throw new InvalidMessageError(`${what} has ${field.key} twice`) }
    value[field.name] = field.read(item, field.key)
  }
  for (const { name, key } of fields) {
    if (!(name in value)) { throw new InvalidMessageError(`${what} has no ${key}`) }
    if (value[name] === undefined) { delete value[name] }
  }
  return value
}

function toNode<T> (value: T, fields: Array<Field<T>>): Record<string, any> {
  return Object.fromEntries(fields.map(({ key, name }) => [key, value[name] ?? null]))
}

function writeFields<T> (out: CborWriter, value: T, fields: Array<Field<T>>): void {
  out.head(MAP, fields.length)
  for (const { key, name } of fields) {
    out.name(key)
    if (name === 'restartChannel') { writeChannel(out, value[name] as TransferRequest['restartChannel']) } else { write(out, value[name] ?? null) }
  }
}

function write (out: CborWriter, value: unknown): void {
  try {
    out.raw(dagCbor.encode(value))
  } catch (error: any) {
    throw new InvalidMessageError(`a data transfer message has no encoding: ${error.message}`, { cause: error })
  }
}

/** Go puts the binary peer ids into strings of CBOR, which should be UTF-8. */
function writeChannel (out: CborWriter, [initiator, responder, id]: TransferRequest['restartChannel']): void {
  out.head(LIST, 3)
  for (const peer of [initiator, responder]) {
    const bytes = peer === '' ? new Uint8Array(0) : peerBytes(peer)
    out.head(TEXT, bytes.length)
    out.raw(bytes)
  }
  write(out, id)
}

function peerBytes (peer: string): Uint8Array {
  try {
    return peerIdFromString(peer).toMultihash().bytes
  } catch {
    return new TextEncoder().encode(peer)
  }
}

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })

/** The text of a string of CBOR: a peer id when it is the bytes of one. */
function textOf (bytes: Uint8Array): string {
  const isMultihash = bytes.length >= 34 && bytes.length <= 64 && (bytes[0] === 0x00 || bytes[0] === 0x12) && bytes[1] === bytes.length - 2
  if (isMultihash) {
    try {
      return peerIdFromMultihash(Digest.decode(bytes) as any).toString()
    } catch {}
  }
  return utf8.decode(bytes)
}

function isMap (node: unknown): node is Record<string, any> {
  return node != null && Object.getPrototypeOf(node) === Object.prototype
}

function wrong (what: string): InvalidMessageError {
  return new InvalidMessageError(`${what} has the wrong type`)
}

function boolean (value: any, what: string): boolean {
  if (typeof value !== 'boolean') { throw wrong(what) }
  return value
}

function string (value: any, what: string): string {
  if (typeof value !== 'string') { throw wrong(what) }
  return value
}

/** A uint64 in Go; no number beyond 2^53 says anything, so it need not be exact. */
function number (value: any, what: string): number {
  return Number(transferId(value, what))
}

function transferId (value: any, what: string): bigint {
  if (!Number.isSafeInteger(value) && typeof value !== 'bigint') { throw wrong(what) }
  const id = BigInt(value)
  if (BigInt.asUintN(64, id) !== id) { throw wrong(what) }
  return id
}

function channel (value: any, what: string): TransferRequest['restartChannel'] {
  if (!Array.isArray(value) || value.length !== 3) { throw wrong(what) }
  return [string(value[0], what), string(value[1], what), transferId(value[2], what)]
}

function linkOrNull (value: any, what: string): CID | undefined {
  if (value === null) { return undefined }
  const cid = CID.asCID(value)
  if (cid == null) { throw wrong(what) }
  return cid
}

function anyOrNull (value: any): any {
  return value ?? undefined
}
