import * as dagCbor from '@ipld/dag-cbor'
import { InvalidMessageError } from '../../shared/errors.ts'
import { latin1Bytes } from '../../shared/latin1.ts'
import type { GraphsyncMessage, GraphsyncRequest, GraphsyncResponse, LinkAction, RequestType } from '../../shared/types/graphsync.ts'
import { CborWriter } from './cbor-writer.ts'
import { LIST, MAP } from './cbor.ts'
import { cidOfKey, keyOf, prefixOfKey } from './keys.ts'
import { parseMessage } from './parse.ts'
import type { ParsedResponse } from './parse.ts'

const TYPES: Record<RequestType, string> = { new: 'n', cancel: 'c', update: 'u' }
const ACTIONS: Record<LinkAction, string> = { present: 'p', duplicate: 'd', missing: 'm', skipped: 's' }
const ACTION_NAMES: Record<string, LinkAction> = { p: 'present', d: 'duplicate', m: 'missing', s: 'skipped' }

/**
 * The bytes of a message, without the length that goes before it in a stream, as Go writes them: what is empty or undefined is left
 * out, keys are sorted by length, then by bytes. A priority of 0 is left out.
 *
 * @throws {InvalidMessageError} something that has no encoding: an id that is not 16 bytes, an unknown type or action
 */
export function encodeGraphsyncMessage (message: GraphsyncMessage): Uint8Array {
  const { blocks, requests, responses } = message
  const out = new CborWriter()
  const parts = [blocks, requests, responses].filter(part => part.length > 0).length
  writeEnvelope(out, parts)
  if (blocks.length > 0) { writeList(out, 'blk', blocks, writeBlock) }
  if (requests.length > 0) { writeList(out, 'req', requests, writeRequest) }
  if (responses.length > 0) { writeList(out, 'rsp', responses, writeResponse) }
  return out.take()
}

/**
 * Reads a message as Go does: keys in any order, indefinite lengths and integers that are not minimal are taken; unknown keys, types
 * and codes are not, nor are bytes after the message. Of several requests or responses with one id the last counts.
 *
 * @throws {InvalidMessageError}
 */
export function decodeGraphsyncMessage (bytes: Uint8Array): GraphsyncMessage {
  const { requests, responses, blocks } = parseMessage(bytes)
  return {
    requests: requests.map(({ request }) => request),
    responses: responses.map(publicResponse),
    blocks: blocks.map(({ prefix, data }) => ({ prefix: latin1Bytes(prefixOfKey(prefix.key)), data }))
  }
}

/** A response as users see it; its metadata is made when it is looked at. */
export function publicResponse (parsed: ParsedResponse): GraphsyncResponse {
  const { requestId, status, links, actions, extensions } = parsed
  const response: GraphsyncResponse = { requestId, status }
  if (links != null && actions != null) {
    let metadata: GraphsyncResponse['metadata']
    Object.defineProperty(response, 'metadata', {
      enumerable: true,
      get: () => (metadata ??= links.map((key, i) => [cidOfKey(key), ACTION_NAMES[actions[i]]]))
    })
  }
  if (extensions != null) { response.extensions = extensions }
  return response
}

export function writeEnvelope (out: CborWriter, parts: number): void {
  out.head(MAP, 1)
  out.name('gs2')
  out.head(MAP, parts)
}

/** undefined for none. Throws InvalidMessageError. */
export function encodeExtensions (extensions: Record<string, any> | undefined): Uint8Array | undefined {
  return size(extensions) === 0 ? undefined : encodeAny(extensions, 'an extension')
}

/** Of what encodeExtensions() gives. */
export function writeExtensions (out: CborWriter, encoded: Uint8Array | undefined): void {
  if (encoded == null) { return }
  out.name('ext')
  out.raw(encoded)
}

function size (extensions: Record<string, any> | undefined): number {
  return extensions == null ? 0 : Object.keys(extensions).length
}

function writeList<T> (out: CborWriter, name: string, list: T[], write: (out: CborWriter, item: T) => void): void {
  out.name(name)
  out.head(LIST, list.length)
  for (const item of list) { write(out, item) }
}

function writeBlock (out: CborWriter, { prefix, data }: GraphsyncMessage['blocks'][number]): void {
  out.head(LIST, 2)
  out.byteString(prefix)
  out.byteString(data)
}

function writeRequest (out: CborWriter, request: GraphsyncRequest): void {
  const { id, type, priority, root, selector, extensions } = request
  const letter = TYPES[type]
  if (letter == null) { throw new InvalidMessageError(`unknown request type ${JSON.stringify(type)}`) }
  const hasPriority = priority != null && priority !== 0
  out.head(MAP, 2 + count(size(extensions) > 0, hasPriority, selector != null, root != null))
  writeId(out, 'id', id)
  writeExtensions(out, encodeExtensions(extensions))
  if (hasPriority) {
    out.name('pri')
    out.int(priority | 0)
  }
  if (selector != null) {
    out.name('sel')
    out.raw(encodeAny(selector, 'a selector'))
  }
  if (root != null) {
    out.name('root')
    out.link(keyOf(root.bytes))
  }
  out.name('type')
  out.name(letter)
}

function writeResponse (out: CborWriter, response: GraphsyncResponse): void {
  const { requestId, status, metadata, extensions } = response
  const hasMetadata = metadata != null && metadata.length > 0
  out.head(MAP, 2 + count(size(extensions) > 0, hasMetadata))
  writeExtensions(out, encodeExtensions(extensions))
  if (hasMetadata) {
    out.name('meta')
    out.head(LIST, metadata.length)
    for (const [cid, action] of metadata) {
      if (ACTIONS[action] == null) { throw new InvalidMessageError(`unknown link action ${JSON.stringify(action)}`) }
      out.head(LIST, 2)
      out.link(keyOf(cid.bytes))
      out.name(ACTIONS[action])
    }
  }
  out.name('stat')
  out.int(status)
  writeId(out, 'reqid', requestId)
}

export function writeId (out: CborWriter, name: string, id: Uint8Array): void {
  if (id.length !== 16) { throw new InvalidMessageError(`a request id has 16 bytes, not ${id.length}`) }
  out.name(name)
  out.byteString(id)
}

function encodeAny (value: unknown, what: string): Uint8Array {
  try {
    return dagCbor.encode(value)
  } catch (error: any) {
    throw new InvalidMessageError(`${what} has no encoding: ${error.message}`, { cause: error })
  }
}

function count (...conditions: boolean[]): number {
  return conditions.filter(Boolean).length
}
