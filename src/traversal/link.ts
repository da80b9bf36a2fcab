import { base16 } from 'multiformats/bases/base16'
import { base2 } from 'multiformats/bases/base2'
import { base32hex, base32hexpad, base32pad } from 'multiformats/bases/base32'
import { base36 } from 'multiformats/bases/base36'
import { base58btc, base58flickr } from 'multiformats/bases/base58'
import { base64, base64pad, base64url, base64urlpad } from 'multiformats/bases/base64'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { BASE32, base32Text, canonicalBase32 } from '../shared/base32.ts'
import { NOT_ASCII } from '../shared/latin1.ts'
import { plainCid } from '../shared/plain-cid.ts'

const DAG_PB = 0x70
const SHA2_256 = 0x12

/** Base58 and base36 take time with the square of the length. */
const MAX_SLOW_TEXT = 1_024

/**
 * A link of a block. A walk makes many and looks into few, so the CID object and the text are made when they are asked for.
 * The bytes are a copy: a link that waits does not keep its block.
 */
export class Link {
  readonly bytes: Uint8Array
  readonly codec: number

  /** How many maps and lists of its block are around it. */
  level = 0
  field: string | undefined

  private readonly multihashAt: number
  private readonly published: string | true | undefined
  private made: CID | undefined

  constructor (bytes: Uint8Array, codec: number, multihashAt: number, published?: string | true, cid?: CID) {
    this.bytes = bytes
    this.codec = codec
    this.multihashAt = multihashAt
    this.published = published
    this.made = cid
  }

  static fromCID (cid: CID): Link {
    return new Link(cid.bytes, cid.code, 0, undefined, cid)
  }

  get cid (): CID {
    return (this.made ??= plainCid(this.bytes) ?? new CID(
      this.multihashAt === 0 ? 0 : 1, this.codec as any, Digest.decode(this.bytes.subarray(this.multihashAt)), this.bytes))
  }

  /** The text that a dag-json block has for it. */
  get text (): string | undefined {
    return this.published === true ? base32Text(this.bytes) : this.published
  }

  equals (bytes: Uint8Array): boolean {
    const own = this.bytes
    if (own.length !== bytes.length) { return false }
    for (let i = bytes.length - 1; i >= 0; i--) { // from the end: CIDs begin alike
      if (own[i] !== bytes[i]) { return false }
    }
    return true
  }
}

/** A link from the bytes of its CID, which it keeps. Takes what Go's cid.Cast takes; with `loose`, bytes may follow. */
export function linkOfBytes (bytes: Uint8Array, published?: string | true, loose = false): Link {
  if (bytes.length > 2 && bytes[0] === SHA2_256 && bytes[1] === 32) {
    if (bytes.length !== 34 && !(loose && bytes.length > 34)) { throw new Error('CID of version 0 has a wrong length') }
    return new Link(bytes.length === 34 ? bytes : bytes.subarray(0, 34), DAG_PB, 0, published)
  }
  if (varint(bytes, 0) !== 1) { throw new Error('CID version is not 1') }
  const codec = varint(bytes, varintEnd)
  const multihashAt = varintEnd
  varint(bytes, multihashAt)
  const size = varint(bytes, varintEnd)
  const end = varintEnd + size
  if (end > bytes.length) { throw new Error('CID is cut off') }
  if (end === bytes.length) { return new Link(bytes, codec, multihashAt, published) }
  if (!loose) { throw new Error('bytes follow the CID') }
  return new Link(bytes.subarray(0, end), codec, multihashAt, published)
}

/** A link from the text that it usually has, within a block: lower case base32. Undefined for any other text. */
export function canonicalLink (block: Uint8Array, from: number, to: number): Link | undefined {
  const bytes = canonicalBase32(block, from, to)
  return bytes == null ? undefined : linkOfBytes(bytes, true)
}

/** A link from text in any base. Takes what Go's cid.Decode takes: capital letters, a version 0 CID with a multibase prefix. */
export function linkOfString (text: string): Link {
  if (NOT_ASCII.test(text)) { throw new Error('CID text has letters beyond ASCII') }
  if (text.length === 46 && text.startsWith('Qm')) {
    const bytes = base58btc.baseDecode(text)
    if (bytes.length !== 34) { throw new Error('CID of version 0 has a wrong length') }
    return linkOfBytes(bytes, text)
  }
  const body = text.slice(1)
  if (text.length > MAX_SLOW_TEXT && 'kKzZ'.includes(text[0])) { throw new Error('CID text is too long') }
  switch (text[0]) {
    case 'b': case 'B': return linkOfBytes(lenientBase32(body), text)
    case 'f': case 'F': return linkOfBytes(base16.baseDecode(body.toLowerCase()), text)
    case 'v': case 'V': return linkOfBytes(base32hex.baseDecode(body.toLowerCase()), text)
    case 'c': case 'C': return linkOfBytes(base32pad.baseDecode(body.toLowerCase()), text)
    case 't': case 'T': return linkOfBytes(base32hexpad.baseDecode(body.toLowerCase()), text)
    case 'k': case 'K': return linkOfBytes(base36.baseDecode(body.toLowerCase()), text)
    case 'z': return linkOfBytes(base58btc.baseDecode(body), text)
    case 'Z': return linkOfBytes(base58flickr.baseDecode(body), text)
    case 'm': return linkOfBytes(base64.baseDecode(body), text)
    case 'M': return linkOfBytes(base64pad.baseDecode(body), text)
    case 'u': return linkOfBytes(base64url.baseDecode(body), text)
    case 'U': return linkOfBytes(base64urlpad.baseDecode(body), text)
    case '0': return linkOfBytes(base2.baseDecode(body), text)
    default: throw new Error('CID text has no multibase prefix that is known')
  }
}

/** As Go's: in either case, line ends skipped, odd bits and incomplete bytes at the end dropped. */
function lenientBase32 (text: string): Uint8Array {
  const bytes: number[] = []
  let bits = 0
  let held = 0
  for (const char of text.toLowerCase()) {
    if (char === '\r' || char === '\n') { continue }
    const value = BASE32.indexOf(char)
    if (value < 0) { throw new Error('CID text is not base32') }
    held = ((held << 5) | value) & 0xfff
    bits += 5
    if (bits >= 8) {
      bits -= 8
      bytes.push((held >> bits) & 255)
    }
  }
  // a last group of 1, 3 or 6 letters is dropped whole
  return Uint8Array.from(bits < 5 ? bytes : bytes.slice(0, bytes.length - bytes.length % 5))
}

let varintEnd = 0

/** Reads a varint as Go does: minimal, at most nine bytes; leaves its end in varintEnd. */
function varint (bytes: Uint8Array, from: number): number {
  let value = 0
  let scale = 1
  for (let i = from; i < bytes.length && i < from + 9; i++) {
    const byte = bytes[i]
    value += (byte & 0x7f) * scale
    if (byte < 0x80) {
      if (byte === 0 && i > from) { throw new Error('CID has a varint that is not minimal') }
      varintEnd = i + 1
      return value
    }
    scale *= 128
  }
  throw new Error('CID is cut off')
}
