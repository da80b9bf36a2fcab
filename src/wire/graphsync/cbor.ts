import type { CID } from 'multiformats/cid'
import { concat } from '../../shared/concat.ts'
import { InvalidMessageError } from '../../shared/errors.ts'
import { cidOfKey, isCid, keyOf } from './keys.ts'

export const UINT = 0
export const NEGATIVE = 1
export const BYTES = 2
export const TEXT = 3
export const LIST = 4
export const MAP = 5
export const TAG = 6
export const SIMPLE = 7

/** Length of a list, a map or a string that ends with a break. */
export const INDEFINITE = -1
const BREAK = 0xff
export const CID_TAG = 42

/** Deeper than any selector that a walk takes; the decoder calls itself once a level. */
const MAX_DEPTH = 3_000

/** Values in one message beside its blocks and metadata. Go stops at about 10 MiB of its own count. */
const MAX_VALUES = 1 << 18

/** A name that a plain object would move to its front or take for something else. */
const UNSAFE_NAME = /^(?:0|[1-9]\d{0,9}|__proto__)$/

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
const decodeUtf8 = (bytes: Uint8Array): string => decoder.decode(bytes)
const floats = new DataView(new ArrayBuffer(8))

/**
 * Reads DAG-CBOR as leniently as Go: keys in any order, indefinite lengths, integers that are not minimal, half floats, a tag
 * before anything but bytes (dropped). Takes no memory for a length before it has seen that the bytes are there.
 */
export class CborReader {
  readonly bytes: Uint8Array
  at = 0

  /** The argument of the last head(): a length, a value, a tag. */
  value = 0

  /** Where the byte string of the last span() is: in the message, or joined when it came in pieces. */
  source: Uint8Array
  from = 0
  to = 0
  private high = 0
  private low = 0
  private info = 0

  /** How many values any() has read, and pieces. */
  values = 0

  /** How strings become text; by default bytes that are not UTF-8 are replaced. */
  private readonly decodeText: (bytes: Uint8Array) => string

  constructor (bytes: Uint8Array, decodeText: (bytes: Uint8Array) => string = decodeUtf8) {
    this.bytes = this.source = bytes
    this.decodeText = decodeText
  }

  /** Reads the start of a value, and gives its major type. */
  head (): number {
    const { bytes } = this
    if (this.at >= bytes.length) { throw new InvalidMessageError('unexpected end') }
    const first = bytes[this.at++]
    const info = this.info = first & 31
    if (info < 24) {
      this.value = info
    } else if (info < 28) {
      this.argument(1 << (info - 24))
    } else if (info === 31) {
      this.value = INDEFINITE
    } else {
      throw new InvalidMessageError('reserved CBOR head')
    }
    return first >> 5
  }

  /** Reads the start of a value of one type; its argument is in `value`. */
  expect (major: number, what: string): number {
    const found = major === TAG || major === BYTES ? this.head() : this.untagged()
    if (found !== major) { throw new InvalidMessageError(`${what} has the wrong type`) }
    return this.value
  }

  /** Whether a list or map of this length has another item; call with the number of those read. */
  more (length: number, count: number): boolean {
    if (length !== INDEFINITE) { return count < length }
    if (this.bytes[this.at] !== BREAK) { return true }
    this.at++
    return false
  }

  /** A byte string, as a view. */
  view (what: string): Uint8Array {
    this.span(what)
    return this.source.subarray(this.from, this.to)
  }

  /** Moves over a byte string, and says where it is; no view is made of it. */
  span (what: string): void {
    const length = this.expect(BYTES, what)
    if (length === INDEFINITE) {
      this.source = this.pieces(BYTES)
      this.from = 0
      this.to = this.source.length
    } else {
      this.source = this.bytes
      this.from = this.skip(length)
      this.to = this.at
    }
  }

  /** A string of ASCII, such as a field's name. */
  name (what: string): string {
    if (this.untagged() !== TEXT) { throw new InvalidMessageError(`${what} has the wrong type`) }
    return this.text()
  }

  /** Any integer; one beyond 2^53 as a bigint. */
  integer (what: string): number | bigint {
    const major = this.untagged()
    if ((major !== UINT && major !== NEGATIVE) || this.info === 31) { throw new InvalidMessageError(`${what} has the wrong type`) }
    return this.int(major)
  }

  /** Any value, in the IPLD data model. */
  any (depth = 0): any {
    if (depth > MAX_DEPTH) { throw new InvalidMessageError('nested too deeply') }
    if (++this.values > MAX_VALUES) { throw new InvalidMessageError('too many values') }
    const major = this.head()
    const length = this.value
    if (length === INDEFINITE && (major < BYTES || major === TAG)) { throw new InvalidMessageError('reserved CBOR head') }
    switch (major) {
      case UINT:
      case NEGATIVE: return this.int(major)
      case BYTES: return this.byteString(length)
      case TEXT: return this.text()
      case LIST: return this.list(length, depth)
      case MAP: return this.map(length, depth)
      case TAG: return this.tagged(length, depth)
      default: return this.simple()
    }
  }

  /** The key of a link's CID, the tag read before. */
  linkKey (): string {
    this.span('a link')
    const { source, from, to } = this
    if (source[from] !== 0 || !isCid(source, from + 1, to)) { throw new InvalidMessageError('a link is no CID') }
    return keyOf(source, from + 1, to)
  }

  private link (): CID {
    return cidOfKey(this.linkKey())
  }

  /** As head(), after the tag if there is one. */
  private untagged (): number {
    const major = this.head()
    return major === TAG && this.info !== 31 ? this.head() : major
  }

  private tagged (tag: number, depth: number): any {
    const major = this.bytes[this.at] >> 5
    if (major === TAG || (major === BYTES && tag !== CID_TAG)) { throw new InvalidMessageError(`the unknown tag ${tag}`) }
    return major === BYTES ? this.link() : this.any(depth + 1)
  }

  private list (length: number, depth: number): any[] {
    const list: any[] = []
    while (this.more(length, list.length)) { list.push(this.any(depth + 1)) }
    return list
  }

  private map (length: number, depth: number): Record<string, any> | Map<string, any> {
    const map = new Map<string, any>()
    let unsafe = false
    while (this.more(length, map.size)) {
      const name = this.name('a key')
      if (map.has(name)) { throw new InvalidMessageError(`the key ${JSON.stringify(name)} comes twice`) }
      unsafe ||= UNSAFE_NAME.test(name)
      map.set(name, this.any(depth + 1))
    }
    return unsafe ? map : Object.fromEntries(map)
  }

  private text (): string {
    const { value } = this
    if (value !== INDEFINITE) {
      const from = this.skip(value)
      if (value === 1 && this.bytes[from] < 0x80) { return String.fromCharCode(this.bytes[from]) } // an action, mostly
      return this.decodeText(this.bytes.subarray(from, this.at))
    }
    return this.decodeText(this.pieces(TEXT))
  }

  private byteString (length: number): Uint8Array {
    if (length === INDEFINITE) { return this.pieces(BYTES).slice() }
    const from = this.skip(length)
    return this.bytes.slice(from, this.at)
  }

  private pieces (major: number): Uint8Array {
    const parts: Uint8Array[] = []
    while (this.more(INDEFINITE, 0)) {
      if (this.head() !== major || this.value === INDEFINITE || ++this.values > MAX_VALUES) {
        throw new InvalidMessageError('a string has bad pieces')
      }
      const from = this.skip(this.value)
      parts.push(this.bytes.subarray(from, this.at))
    }
    return concat(parts)
  }

  private skip (length: number): number {
    const from = this.at
    if (length > this.bytes.length - from) { throw new InvalidMessageError('unexpected end') }
    this.at += length
    return from
  }

  private argument (size: number): void {
    const { bytes, at } = this
    this.skip(size)
    this.high = this.low = 0
    for (let i = at; i < at + size; i++) {
      if (size === 8 && i < at + 4) { this.high = this.high * 256 + bytes[i] } else { this.low = this.low * 256 + bytes[i] }
    }
    this.value = this.high * 2 ** 32 + this.low
  }

  private int (major: number): number | bigint {
    if (Number.isSafeInteger(this.value) && Number.isSafeInteger(-1 - this.value)) {
      return major === UINT ? this.value : -1 - this.value
    }
    const value = BigInt(this.high) << 32n | BigInt(this.low)
    if (major === UINT) { return value }
    if (this.high <= 0x7fffffff) { return -1n - value }
    if (value < 2n ** 64n - 1n) { throw new InvalidMessageError('an integer is below int64') }
    return 0 // -2^64 overflows to it in Go
  }

  private simple (): any {
    switch (this.info) {
      case 20: return false
      case 21: return true
      case 22:
      case 23: return null // undefined is null in Go
      case 25: return half(this.low)
      case 26:
        floats.setUint32(0, this.low)
        return floats.getFloat32(0)
      case 27:
        floats.setUint32(0, this.high)
        floats.setUint32(4, this.low)
        return floats.getFloat64(0)
      default: throw new InvalidMessageError('a simple value that is not known')
    }
  }
}

function half (bits: number): number {
  const exponent = (bits >> 10) & 31
  const fraction = bits & 1023
  const sign = bits & 0x8000 ? -1 : 1
  if (exponent === 0) { return sign * fraction * 2 ** -24 }
  if (exponent === 31) { return fraction === 0 ? sign * Infinity : NaN }
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}
