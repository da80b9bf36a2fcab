import { keyText } from '../shared/key-text.ts'
import { canonicalLink, linkOfString } from './link.ts'
import { OTHER, Skeleton, TEXT } from './skeleton.ts'

// What a map may still turn out to be: {"/": "cid"} is a link, {"/": {"bytes": "base64"}} is bytes, with other keys beside them
// they are maps.
const OPENED = 0
const MAP = 1
const SLASH = 2 // its first key is "/"
const LINK = 3 // and the value of that a string
const INNER = 4 // it is the value of "/", and its first key is "bytes"
const INNER_TEXT = 5 // and the value of that a string
const BYTES = 6 // the value of its "/" was such a map

const QUOTE = 0x22
const BACKSLASH = 0x5c
const LONGEST_SAFE_INT = 18 // digits: anything as long fits an int64

/** 1: the string goes on; 0: an end, an escape, or a byte that a string must not have. */
const PLAIN = new Uint8Array(256).fill(1, 0x20)
PLAIN[QUOTE] = PLAIN[BACKSLASH] = 0

const BASE64 = new Uint8Array(256)
for (const char of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/') { BASE64[char.charCodeAt(0)] = 1 }

/**
 * Finds the links of a dag-json block. Reads what go-ipld-prime reads and refuses what it refuses: commas that are missing or
 * too many, NULs after the end and literals that only begin right are fine, a key that comes twice and an int beyond int64 are not.
 */
export class DagJsonScanner extends Skeleton {
  private at = 0

  /** Whether a comma may come next. */
  private some = false

  /** Whether the last string had escapes. */
  private escaped = false

  /** How far the last string that may be base64 is. */
  private base64From = 0
  private base64To = 0

  private readonly form: number[] = []
  private readonly textFrom: number[] = []
  private readonly textTo: number[] = []

  protected read (): void {
    this.at = 0
    this.some = false
    this.base64From = 0
    try {
      const first = this.next()
      this.value(first)
      while (this.depth > 0) { this.step() }
      if (first === 0x2d || isDigit(first)) { this.at++ } // Go loses the byte after a number that is in no list or map
      this.end()
    } catch (error: any) {
      throw new Error(`dag-json: ${error.message} at byte ${this.at}`)
    }
  }

  private step (): void {
    let byte = this.next()
    if (this.some && byte === 0x2c) { byte = this.next() }
    if (this.inMap()) {
      if (byte === 0x7d) {
        this.closeMap()
        return
      }
      this.mapKey(byte)
      this.value(this.next())
    } else if (byte === 0x5d) {
      this.close()
      this.closed(MAP)
    } else {
      this.element()
      this.value(byte)
      this.some = true // Go: even at the start of a list or map within the list
    }
  }

  private mapKey (byte: number): void {
    if (byte !== QUOTE) { throw new Error('map key is no string') }
    const depth = this.depth - 1
    const from = this.at
    const to = this.string()
    if (this.escaped) { this.keyNamed(this.keyName(from, to)) } else { this.key(from, to) }
    this.form[depth] = this.form[depth] === OPENED ? this.formOfFirst(depth, from, to) : MAP
    if (this.next() !== 0x3a) { throw new Error('no colon after a map key') }
    this.some = true
  }

  private formOfFirst (depth: number, from: number, to: number): number {
    if (to - from === 1 ? this.bytes[from] === 0x2f : this.escaped && this.keyName(from, to) === '/') { return SLASH }
    return depth > 0 && this.form[depth - 1] === SLASH && this.keyName(from, to) === 'bytes' ? INNER : MAP
  }

  private closeMap (): void {
    const depth = this.depth - 1
    const form = this.form[depth]
    if (form === LINK) {
      const from = this.textFrom[depth]
      const to = this.textTo[depth]
      this.closeAs(canonicalLink(this.bytes, from, to) ?? linkOfString(this.keyName(from, to)))
    } else if (form === BYTES) {
      this.base64(this.textFrom[depth], this.textTo[depth])
      this.closeAs(TEXT)
    } else {
      this.close()
    }
    this.closed(form)
  }

  private closed (form: number): void {
    this.some = true
    const parent = this.depth - 1
    if (parent < 0 || this.form[parent] !== SLASH) { return }
    this.form[parent] = MAP
    if (form === INNER_TEXT) {
      this.form[parent] = BYTES
      this.textFrom[parent] = this.textFrom[parent + 1]
      this.textTo[parent] = this.textTo[parent + 1]
    }
  }

  private value (byte: number): void {
    switch (byte) {
      case 0x7b: case 0x5b: // { [
        this.open(byte === 0x7b)
        this.form[this.depth - 1] = byte === 0x7b ? OPENED : MAP
        this.some = false
        return
      case QUOTE: {
        const from = this.at
        if (this.depth > 0 && this.form[this.depth - 1] === INNER) { // bytes, most likely: one look at each
          this.base64From = from
          this.base64To = this.at = skip(BASE64, this.bytes, from, this.bytes.length)
        }
        this.text(from, this.string())
        this.scalar(TEXT)
        return
      }
      case 0x6e: case 0x74: // null, true: only the first letter is looked at
        this.at = Math.min(this.at + 3, this.bytes.length)
        break
      case 0x66:
        this.at = Math.min(this.at + 4, this.bytes.length)
        break
      default:
        this.number(byte)
    }
    if (this.depth > 0) { this.form[this.depth - 1] = MAP }
    this.scalar(OTHER)
  }

  private text (from: number, to: number): void {
    const depth = this.depth - 1
    if (depth < 0 || (this.form[depth] !== SLASH && this.form[depth] !== INNER)) { return }
    this.form[depth]++
    this.textFrom[depth] = from
    this.textTo[depth] = to
  }

  /** Goes to the end of a string whose quote is read; gives where its text ends. */
  private string (): number {
    const bytes = this.bytes
    let at = this.at
    this.escaped = false
    for (;;) {
      at = skip(PLAIN, bytes, at, bytes.length)
      this.at = at + 1
      const byte = bytes[at]
      if (byte === QUOTE) { return at }
      if (byte !== BACKSLASH) { throw new Error(byte == null ? 'string is cut off' : 'control character in a string') }
      this.escaped = true
      at = this.escape(at + 1)
    }
  }

  private escape (at: number): number {
    const char = String.fromCharCode(this.bytes[at])
    if (char !== 'u') {
      if (!'bfnrt\\/"'.includes(char)) { throw new Error('bad escape in a string') }
      return at + 1
    }
    for (let i = at + 1; i < at + 5; i++) {
      if (!/[0-9a-fA-F]/.test(String.fromCharCode(this.bytes[i]))) { throw new Error('bad escape in a string') }
    }
    return at + 5
  }

  private number (first: number): void {
    const bytes = this.bytes
    const from = this.at - 1
    let at = this.at
    if (first === 0x2d) { first = bytes[at++] }
    if (!isDigit(first)) { throw new Error('no value') }
    if (first !== 0x30) { at = digits(bytes, at) }
    const whole = at
    if (bytes[at] === 0x2e) { at = digits(bytes, at + 1) } // Go takes "1." too
    if ((bytes[at] === 0x65 || bytes[at] === 0x45) && bytes[at - 1] !== 0x2e) {
      at += bytes[at + 1] === 0x2b || bytes[at + 1] === 0x2d ? 2 : 1
      const end = digits(bytes, at)
      if (end === at) { throw new Error('number without digits') }
      at = end
    }
    this.at = at
    if (at === whole && at - from <= LONGEST_SAFE_INT) { return }
    const text = String.fromCharCode(...bytes.subarray(from, Math.min(at, from + 1000)))
    if (at === whole ? BigInt.asIntN(64, BigInt(text)) !== BigInt(text) : !Number.isFinite(Number(text))) {
      throw new Error('number is too big')
    }
  }

  /** Only white space and NULs may follow. */
  private end (): void {
    for (const bytes = this.bytes; this.at < bytes.length; this.at++) {
      if (!isSpace(bytes[this.at]) && bytes[this.at] !== 0) { throw new Error('more after the value') }
    }
  }

  /** The next byte that is not white space. */
  private next (): number {
    const bytes = this.bytes
    let at = this.at
    while (isSpace(bytes[at])) { at++ }
    this.at = at + 1
    if (at >= bytes.length) { throw new Error('block is cut off') }
    return bytes[at]
  }

  /** Base64 with or without padding, not URL-safe; line ends are skipped. */
  private base64 (from: number, to: number): void {
    const at = this.base64From === from ? Math.min(this.base64To, to) : skip(BASE64, this.bytes, from, to)
    if (at === to && (to - from) % 4 !== 1) { return }
    const text = this.keyName(from, to).replace(/[\r\n]/g, '')
    if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || (text.endsWith('=') ? text.length % 4 !== 0 : text.length % 4 === 1)) {
      throw new Error('bytes are not base64')
    }
  }

  protected inOrder (from1: number, to1: number, from2: number, to2: number): boolean {
    const bytes = this.bytes
    for (; from1 < to1 && from2 < to2; from1++, from2++) {
      if (bytes[from1] !== bytes[from2]) { return bytes[from1] < bytes[from2] }
    }
    return to1 - from1 < to2 - from2
  }

  protected keyName (from: number, to: number): string {
    const raw = keyText(this.bytes, from, to)
    return raw.includes('\\') ? JSON.parse(`"${raw}"`).toWellFormed() : raw
  }
}

/** The first place from `at` on, before `to`, whose byte is not in the table. */
function skip (table: Uint8Array, bytes: Uint8Array, at: number, to: number): number {
  for (const last = to - 7; at < last; at += 8) {
    const all = table[bytes[at]] & table[bytes[at + 1]] & table[bytes[at + 2]] & table[bytes[at + 3]] &
      table[bytes[at + 4]] & table[bytes[at + 5]] & table[bytes[at + 6]] & table[bytes[at + 7]]
    if (all === 0) { break }
  }
  while (at < to && table[bytes[at]] === 1) { at++ }
  return at
}

function digits (bytes: Uint8Array, at: number): number {
  while (isDigit(bytes[at])) { at++ }
  return at
}

function isSpace (byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}

function isDigit (byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39
}
