import type { CID } from 'multiformats/cid'
import { InvalidMessageError } from '../../shared/errors.ts'
import type { GraphsyncRequest, RequestType } from '../../shared/types/graphsync.ts'
import { CborReader, INDEFINITE, LIST, MAP, TAG } from './cbor.ts'
import { GraphsyncStatus } from './constants.ts'
import { cidOfKey, keyOf, parsePrefix } from './keys.ts'
import type { Key, Prefix } from './keys.ts'

// The library that decodes DAG-CBOR takes as long for a message as the rest of a sync together, so blocks and metadata are read by
// hand: no CID objects, no copies of blocks.

export interface ParsedBlock {
  prefix: Prefix
  data: Uint8Array
}

export interface ParsedRequest {
  request: GraphsyncRequest

  /** How long it is in the message, or more where its values take more memory than that. */
  bytes: number
}

export interface ParsedResponse {
  requestId: Uint8Array

  /** The id, to look it up by. */
  id: string
  status: number
  links?: Key[]

  /** For each link: p, d, m or s. */
  actions?: string[]
  extensions?: Record<string, any>
}

export interface ParsedMessage {
  requests: ParsedRequest[]
  responses: ParsedResponse[]
  blocks: ParsedBlock[]
}

const TYPES: Record<string, RequestType> = { n: 'new', c: 'cancel', u: 'update' }

/** What a value counts for at least: an empty map is a byte in a message, and some 60 in memory. */
const VALUE_BYTES = 16
const STATUSES = new Set<number>(Object.values(GraphsyncStatus))

/** Views of the bytes, not copies. Throws InvalidMessageError. */
export function parseMessage (bytes: Uint8Array): ParsedMessage {
  try {
    const reader = new CborReader(bytes)
    const message: ParsedMessage = { requests: [], responses: [], blocks: [] }
    fields(reader, 'the message', key => {
      if (key !== 'gs2') { return false }
      fields(reader, 'gs2', name => readPart(reader, name, message), [])
      return true
    }, ['gs2'])
    if (reader.at !== bytes.length) { throw new InvalidMessageError('bytes after the message') }
    return message
  } catch (error: any) {
    if (error instanceof InvalidMessageError) { throw error }
    throw new InvalidMessageError(`not a graphsync message: ${error.message}`, { cause: error })
  }
}

function readPart (reader: CborReader, name: string, message: ParsedMessage): boolean {
  switch (name) {
    case 'blk':
      list(reader, 'blk', () => { message.blocks.push(readBlock(reader)) })
      return true
    case 'req':
      message.requests = lastOfEach(reader, 'req', readRequest, ({ request }) => keyOf(request.id))
      return true
    case 'rsp':
      message.responses = lastOfEach(reader, 'rsp', readResponse, response => response.id)
      return true
    default:
      return false
  }
}

/** Reads a map with known keys, each once at most. `read` says whether it knows the key. */
function fields (reader: CborReader, what: string, read: (key: string) => boolean, required: string[]): void {
  const length = reader.expect(MAP, what)
  const seen = new Set<string>()
  while (reader.more(length, seen.size)) {
    const key = reader.name('a key')
    if (seen.has(key)) { throw new InvalidMessageError(`the key ${JSON.stringify(key)} comes twice in ${what}`) }
    seen.add(key)
    if (!read(key)) { throw new InvalidMessageError(`${what} has an unknown key ${JSON.stringify(key)}`) }
  }
  for (const key of required) {
    if (!seen.has(key)) { throw new InvalidMessageError(`${what} has no ${key}`) }
  }
}

function list (reader: CborReader, what: string, read: () => void): void {
  const length = reader.expect(LIST, what)
  for (let i = 0; reader.more(length, i); i++) { read() }
}

/** A list of two; its second item was read when `end` is called. */
function pair (reader: CborReader, what: string): () => void {
  const length = reader.expect(LIST, what)
  if (length !== 2 && length !== INDEFINITE) { throw new InvalidMessageError(`${what} is no list of two`) }
  return () => {
    if (reader.more(length, 2)) { throw new InvalidMessageError(`${what} is no list of two`) }
  }
}

/** Of several with one id the last counts; Go keeps them in a map. */
function lastOfEach<T> (reader: CborReader, what: string, read: (reader: CborReader) => T, id: (item: T) => string): T[] {
  const items = new Map<string, T>()
  list(reader, what, () => {
    const item = read(reader)
    items.set(id(item), item)
  })
  return [...items.values()]
}

function readBlock (reader: CborReader): ParsedBlock {
  const end = pair(reader, 'a block')
  reader.span('a prefix')
  const prefix = parsePrefix(reader.source, reader.from, reader.to)
  const data = reader.view('the data of a block')
  end()
  return { prefix, data }
}

function readRequest (reader: CborReader): ParsedRequest {
  const { at: from, values } = reader
  const request: Partial<GraphsyncRequest> = {}
  fields(reader, 'a request', key => {
    switch (key) {
      case 'id': request.id = readId(reader); break
      case 'type': request.type = readType(reader); break
      case 'pri': request.priority = Number(BigInt.asIntN(32, BigInt(reader.integer('pri')))); break
      case 'root': request.root = readCid(reader); break
      case 'sel': request.selector = present(reader, 'sel'); break
      case 'ext': request.extensions = readExtensions(reader); break
      default: return false
    }
    return true
  }, ['id', 'type'])
  return { request: request as GraphsyncRequest, bytes: Math.max(reader.at - from, VALUE_BYTES * (reader.values - values)) }
}

function readResponse (reader: CborReader): ParsedResponse {
  const response: Partial<ParsedResponse> = {}
  fields(reader, 'a response', key => {
    switch (key) {
      case 'reqid': response.requestId = readId(reader); break
      case 'stat': response.status = readStatus(reader); break
      case 'meta': readMetadata(reader, response); break
      case 'ext': response.extensions = readExtensions(reader); break
      default: return false
    }
    return true
  }, ['reqid', 'stat'])
  response.id = keyOf(response.requestId as Uint8Array)
  return response as ParsedResponse
}

function readMetadata (reader: CborReader, response: Partial<ParsedResponse>): void {
  const links: Key[] = response.links = []
  const actions: string[] = response.actions = []
  const length = reader.expect(LIST, 'meta')
  for (let i = 0; reader.more(length, i); i++) {
    const end = reader.expect(LIST, 'an item of meta')
    if (end !== 2 && end !== INDEFINITE) { throw new InvalidMessageError('an item of meta is no list of two') }
    if (reader.expect(TAG, 'a link') !== 42) { throw new InvalidMessageError('a link has the wrong tag') }
    links.push(reader.linkKey())
    const action = reader.name('an action')
    if (action !== 'p' && action !== 'm' && action !== 'd' && action !== 's') {
      throw new InvalidMessageError(`unknown link action ${JSON.stringify(action)}`)
    }
    actions.push(action)
    if (end === INDEFINITE && reader.more(end, 2)) { throw new InvalidMessageError('an item of meta is no list of two') }
  }
}

function readId (reader: CborReader): Uint8Array {
  const id = reader.view('a request id').slice()
  if (id.length !== 16) { throw new InvalidMessageError(`a request id has 16 bytes, not ${id.length}`) }
  return id
}

function readType (reader: CborReader): RequestType {
  const letter = reader.name('type')
  const type = Object.hasOwn(TYPES, letter) ? TYPES[letter] : undefined
  if (type == null) { throw new InvalidMessageError(`unknown request type ${JSON.stringify(letter)}`) }
  return type
}

function readStatus (reader: CborReader): number {
  const status = reader.integer('stat')
  if (!STATUSES.has(status as number)) { throw new InvalidMessageError(`unknown status ${status}`) }
  return status as number
}

function readCid (reader: CborReader): CID {
  if (reader.expect(TAG, 'root') !== 42) { throw new InvalidMessageError('root is no link') }
  return cidOfKey(reader.linkKey())
}

function readExtensions (reader: CborReader): Record<string, any> {
  const extensions = present(reader, 'ext')
  if (extensions instanceof Map) { return Object.fromEntries(extensions) }
  if (Object.getPrototypeOf(extensions) !== Object.prototype) { throw new InvalidMessageError('ext is no map') }
  return extensions
}

/** Any value but null. */
function present (reader: CborReader, what: string): any {
  const value = reader.any()
  if (value == null) { throw new InvalidMessageError(`${what} is null`) }
  return value
}
