import { BYTES, CID_TAG, NEGATIVE, TAG, TEXT, UINT } from './cbor.ts'

const NOTHING = new Uint8Array(0)

/** Builds CBOR in one growing piece of memory. */
export class CborWriter {
  private bytes: Uint8Array
  private taken = 0
  length = 0

  constructor (size = 256) {
    this.bytes = new Uint8Array(size)
  }

  head (major: number, value: number): void {
    this.reserve(9)
    const { bytes } = this
    const type = major << 5
    if (value < 24) {
      bytes[this.length++] = type | value
    } else if (value < 0x100) {
      bytes[this.length++] = type | 24
      bytes[this.length++] = value
    } else if (value < 0x10000) {
      bytes[this.length++] = type | 25
      bytes[this.length++] = value >> 8
      bytes[this.length++] = value & 255
    } else {
      bytes[this.length++] = type | 26
      for (let shift = 24; shift >= 0; shift -= 8) { bytes[this.length++] = (value >>> shift) & 255 }
    }
  }

  int (value: number): void {
    this.head(value < 0 ? NEGATIVE : UINT, value < 0 ? -1 - value : value)
  }

  raw (bytes: Uint8Array): void {
    this.reserve(bytes.length)
    this.bytes.set(bytes, this.length)
    this.length += bytes.length
  }

  /** Bytes that are given as a string of one character each. */
  latin1 (text: string): void {
    this.reserve(text.length)
    const { bytes } = this
    let at = this.length
    for (let i = 0; i < text.length; i++) { bytes[at++] = text.charCodeAt(i) }
    this.length = at
  }

  byteString (bytes: Uint8Array): void {
    this.head(BYTES, bytes.length)
    this.raw(bytes)
  }

  /** A string of ASCII. */
  name (text: string): void {
    this.head(TEXT, text.length)
    this.latin1(text)
  }

  /** A link, from the key of its CID. */
  link (key: string): void {
    this.head(TAG, CID_TAG)
    this.head(BYTES, key.length + 1)
    this.reserve(1)
    this.bytes[this.length++] = 0
    this.latin1(key)
  }

  /** Leaves room for what is known later. */
  skip (bytes: number): void {
    this.reserve(bytes)
    this.length += bytes
  }

  /** What was written; the memory is not shared with what is written later. */
  take (): Uint8Array {
    const { bytes, length } = this
    const rest = bytes.subarray(length)
    this.bytes = rest.length < length ? NOTHING : rest // what comes next is likely as long: it would have to be moved
    this.taken = length
    this.length = 0
    return bytes.subarray(0, length)
  }

  private reserve (more: number): void {
    if (this.length + more <= this.bytes.length) { return }
    const likely = this.length === 0 ? this.taken + (this.taken >> 3) : 0
    const bytes = new Uint8Array(Math.max(2 * (this.length + more), likely, 1024))
    bytes.set(this.bytes.subarray(0, this.length))
    this.bytes = bytes
  }
}
