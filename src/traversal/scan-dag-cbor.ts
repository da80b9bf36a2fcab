import { keyText } from '../shared/key-text.ts'
import { smallCopy } from '../shared/small-bytes.ts'
import { linkOfBytes } from './link.ts'
import { OTHER, Skeleton, TEXT } from './skeleton.ts'

const LINK_TAG = 42
const BREAK = 0xff
const BYTES = 2
const STRING = 3
const LIST = 4
const MAP = 5
const TAG = 6

/** Go's budget for one block, roughly bytes of memory; it refuses a block that wants more (dagcbor/unmarshal.go). */
const GAS = 10 * 1024 * 1024
const MAP_ENTRY_GAS = 8
const LIST_ENTRY_GAS = 4

/**
 * Finds the links of a dag-cbor block. Reads what go-ipld-prime reads and refuses what it refuses: keys in any order, ints
 * that are not minimal, indefinite lengths, undefined, NaN and unknown tags are fine, a key that comes twice is not.
 */
export class DagCborScanner extends Skeleton {
  private at = 0
  private gas = GAS

  /** Per depth: how many entries are still to come, or -1 for an indefinite length. */
  private readonly left: number[] = []

  /** The number in the last head; -1 for an indefinite length. */
  private argument = 0

  protected read (): void {
    this.at = 0
    this.gas = GAS
    try {
      this.value(this.byte())
      while (this.depth > 0) { this.step() }
      if (this.at < this.bytes.length) { throw new Error('more after the value') }
    } catch (error: any) {
      throw new Error(`dag-cbor: ${error.message} at byte ${this.at}`)
    }
  }

  private step (): void {
    const depth = this.depth - 1
    const left = this.left[depth]
    if (left === 0) {
      this.close()
      return
    }
    if (left > 0) { this.left[depth] = left - 1 }
    const byte = this.byte()
    if (left < 0 && byte === BREAK) {
      this.close()
    } else if (this.inMap()) {
      this.mapKey(byte)
      this.value(this.byte())
    } else {
      this.burn(LIST_ENTRY_GAS)
      this.element()
      this.value(byte)
    }
  }

  private mapKey (byte: number): void {
    if (byte >> 5 === TAG) {
      this.head(byte)
      byte = this.byte()
    }
    if (byte >> 5 !== STRING) { throw new Error('map key is no string') }
    if (byte === 0x7f) {
      const name = this.pieces(STRING)
      this.burn(name.length + MAP_ENTRY_GAS)
      this.keyNamed(keyText(name, 0, name.length))
      return
    }
    this.head(byte)
    const from = this.at
    this.skip(this.argument)
    this.burn(this.argument + MAP_ENTRY_GAS)
    this.key(from, this.at)
  }

  private value (byte: number): void {
    let tag = -1
    if (byte >> 5 === TAG) {
      this.head(byte)
      tag = this.argument
      byte = this.byte()
    }
    switch (byte >> 5) {
      case BYTES:
        this.bytesValue(byte, tag)
        break
      case STRING:
        this.burn(byte === 0x7f ? this.pieces(STRING).length : this.text(byte))
        this.scalar(TEXT)
        break
      case LIST:
      case MAP:
        this.container(byte)
        break
      default:
        this.simple(byte)
        this.scalar(OTHER)
    }
  }

  private container (byte: number): void {
    const indefinite = (byte & 31) === 31
    if (!indefinite) {
      this.head(byte)
      if (this.argument > this.gas) { throw new Error('too big for Go\'s budget') }
    }
    this.open(byte >> 5 === MAP)
    this.left[this.depth - 1] = indefinite ? -1 : this.argument
  }

  private bytesValue (byte: number, tag: number): void {
    let { bytes } = this
    let from = 0
    let to: number
    if (byte === 0x5f) {
      bytes = this.pieces(BYTES)
      to = bytes.length
    } else {
      this.head(byte)
      from = this.at
      to = this.skip(this.argument)
    }
    this.burn(to - from)
    if (tag < 0) {
      this.scalar(TEXT)
      return
    }
    if (tag !== LINK_TAG) { throw new Error(`bytes have the unknown tag ${tag}`) }
    if (to === from || bytes[from] !== 0) { throw new Error('link does not begin with a zero byte') }
    this.link(linkOfBytes(smallCopy(bytes, from + 1, to)))
  }

  private simple (byte: number): void {
    switch (byte) {
      case 0xf4: case 0xf5: // false, true
        this.burn(1)
        return
      case 0xf6: case 0xf7: // null, undefined
        return
      case 0xf9: case 0xfa: case 0xfb: // floats of 2, 4 and 8 bytes
        this.skip(2 << (byte - 0xf9))
        this.burn(1)
        return
    }
    if (byte >> 5 > 1) { throw new Error(`no value begins with 0x${byte.toString(16)}`) }
    this.head(byte)
    if (byte === 0x3b && this.bytes[this.at - 8] > 127 && !this.onlyOnes()) { throw new Error('int is below int64') }
    this.burn(1)
  }

  /** -2^64 overflows to 0 in Go. */
  private onlyOnes (): boolean {
    return this.bytes.subarray(this.at - 8, this.at).every(byte => byte === 255)
  }

  private text (byte: number): number {
    this.head(byte)
    this.skip(this.argument)
    return this.argument
  }

  /** The pieces of a string or of bytes of indefinite length, put together. No list of them: there may be millions in a block. */
  private pieces (major: number): Uint8Array {
    const { bytes } = this
    let whole = new Uint8Array(0)
    let size = 0
    for (let byte = this.byte(); byte !== BREAK; byte = this.byte()) {
      if (byte >> 5 !== major) { throw new Error('wrong piece in a string or in bytes') }
      this.head(byte)
      let from = this.at
      const to = this.skip(this.argument)
      if (size + to - from > whole.length) {
        const before = whole
        whole = new Uint8Array(2 * (size + to - from))
        whole.set(before)
      }
      while (from < to) { whole[size++] = bytes[from++] }
    }
    return whole.subarray(0, size)
  }

  /** Reads the number that follows the first byte of a value; it need not be minimal. */
  private head (byte: number): void {
    const bytes = this.bytes
    const info = byte & 31
    if (info < 24) {
      this.argument = info
      return
    }
    if (info > 27) { throw new Error(`no value begins with 0x${byte.toString(16)}`) }
    const from = this.at
    this.skip(1 << (info - 24))
    let value = 0
    for (let i = from; i < this.at; i++) { value = value * 256 + bytes[i] }
    this.argument = value
  }

  private byte (): number {
    if (this.at >= this.bytes.length) { throw new Error('block is cut off') }
    return this.bytes[this.at++]
  }

  private skip (size: number): number {
    if (size > this.bytes.length - this.at) { throw new Error('block is cut off') }
    return (this.at += size)
  }

  private burn (gas: number): void {
    this.gas -= gas
    if (this.gas < 0) { throw new Error('too big for Go\'s budget') }
  }

  protected inOrder (from1: number, to1: number, from2: number, to2: number): boolean {
    const size1 = to1 - from1
    const size2 = to2 - from2
    if (size1 !== size2) { return size1 < size2 }
    const bytes = this.bytes
    for (; from1 < to1; from1++, from2++) {
      if (bytes[from1] !== bytes[from2]) { return bytes[from1] < bytes[from2] }
    }
    return false
  }

  protected keyName (from: number, to: number): string {
    return keyText(this.bytes, from, to)
  }
}
