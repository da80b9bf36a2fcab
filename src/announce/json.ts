import { base64pad } from 'multiformats/bases/base64'
import { parseCid } from '../shared/cid-text.ts'
import { invalid } from './cbor.ts'
import { checkCount, checkMessage, checkSize, compact } from './message.ts'
import type { AnnounceMessage } from '../shared/types.ts'
import type { CID } from 'multiformats/cid'

/**
 * The message in the JSON form that HTTP announces may have, byte for byte as Go writes it.
 *
 * Throws InvalidMessageError for a message that would not be read: more than 8,192 addresses, or more than 1 MiB.
 */
export function announceToJson (message: AnnounceMessage): string {
  checkMessage(message)
  const { cid, addrs, extraData, origPeer = '' } = message
  const json = JSON.stringify({
    Cid: { '/': cid.toString() },
    Addrs: addrs.map(toBase64),
    ExtraData: extraData == null ? null : toBase64(extraData),
    OrigPeer: origPeer
  })
  // Go writes these escaped, for the sake of HTML
  return checkSize(json.replace(/[<>&\u2028\u2029]/g, char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`) + '\n')
}

/**
 * Reads the JSON form by Go's rules: keys in any case, unknown ones ignored, missing ones and nulls empty. A message without
 * Cid is refused, where Go gives an undefined CID.
 *
 * Throws InvalidMessageError, which says which field and why; also for more than 8,192 addresses, or more than 1 MiB.
 */
export function announceFromJson (json: string): AnnounceMessage {
  const fields = parse(checkSize(json))
  const addrs = get(fields, /^addrs$/iu) ?? []
  if (!Array.isArray(addrs)) { throw invalid('Addrs', 'is not a list') }
  checkCount(addrs.length)
  return compact(
    readCid(get(fields, /^cid$/iu)),
    addrs.map((addr, i) => readBytes(addr, `Addrs[${i}]`)),
    readBytes(get(fields, /^extradata$/iu), 'ExtraData'),
    readText(get(fields, /^origpeer$/iu))
  )
}

function parse (json: string): Array<[string, unknown]> {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch (cause) {
    throw invalid('message', `is not JSON: ${(cause as Error).message}`, { cause })
  }
  if (typeof value !== 'object' || value == null || Array.isArray(value)) { throw invalid('message', 'is not a JSON object') }
  return Object.entries(value)
}

/** The last one of that name; the pattern folds case as Go does, with u. */
function get (fields: Array<[string, unknown]>, name: RegExp): unknown {
  return fields.findLast(([key]) => name.test(key))?.[1]
}

function readCid (value: unknown): CID {
  if (value == null) { throw invalid('Cid', 'is missing') }
  const text = (value as Record<string, unknown>)['/']
  if (typeof text !== 'string') { throw invalid('Cid', 'is not {"/": "<cid>"}') }
  try {
    return parseCid(text)
  } catch (cause) {
    throw invalid('Cid', `is not a CID: ${(cause as Error).message}`, { cause })
  }
}

function readText (value: unknown): string {
  if (value != null && typeof value !== 'string') { throw invalid('OrigPeer', 'is not text') }
  return value ?? ''
}

/** Standard base64 with padding; line breaks are ignored. */
function readBytes (value: unknown, field: string): Uint8Array {
  if (value == null) { return new Uint8Array() }
  const text = typeof value === 'string' ? value.replace(/[\r\n]/g, '') : undefined
  if (text == null || text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) { throw invalid(field, 'is not base64') }
  return Uint8Array.from(atob(text), char => char.charCodeAt(0))
}

function toBase64 (bytes: Uint8Array): string {
  return base64pad.encode(bytes).slice(1)
}
