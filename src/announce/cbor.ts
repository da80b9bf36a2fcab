import { InvalidMessageError } from '../shared/errors.ts'

/** Major types of RFC 8949, which names them so. */
export const BYTES = 2
export const TEXT = 3
export const LIST = 4
export const TAG = 6

const NAMES = ['a whole number', 'a negative number', 'a byte string', 'text', 'a list', 'a map', 'a tag', 'null or another simple value']

/**
 * Reads CBOR as strictly as Go's cbor-gen: definite lengths in their shortest form only, and no null in place of a value.
 * Errors say which field, and why.
 */
export class CborReader {
  private offset = 0
  private readonly bytes: Uint8Array

  constructor (bytes: Uint8Array) {
    this.bytes = bytes
  }

  /** The number in a header of the expected kind: a length, or a tag. */
  header (major: number, field: string): number {
    const first = this.take(1, field)[0]
    const [found, low] = [first >> 5, first & 0x1f]
    if (low > 27) { throw invalid(field, low === 31 ? 'has an indefinite length' : `has a bad header, 0x${first.toString(16)}`) }
    if (found !== major) { throw invalid(field, `is ${NAMES[found]}, not ${NAMES[major]}`) }
    if (low < 24) { return low }
    const size = 1 << (low - 24)
    const value = this.take(size, field).reduce((sum, byte) => sum * 256 + byte, 0)
    if (value < (size === 1 ? 24 : 2 ** (size * 4))) { throw invalid(field, 'has a length that is not in its shortest form') }
    return value
  }

  /** A byte string or text, as a copy. Nothing is allocated for more than there is. */
  string (major: number, field: string, limit: number): Uint8Array {
    const length = this.header(major, field)
    if (length > limit) { throw invalid(field, `has ${length} bytes, more than ${limit}`) }
    return new Uint8Array(this.take(length, field)) // a Buffer's slice() is no copy
  }

  private take (length: number, field: string): Uint8Array {
    if (length > this.bytes.length - this.offset) { throw invalid(field, 'is missing or cut off') }
    this.offset += length
    return this.bytes.subarray(this.offset - length, this.offset)
  }
}

/** A header in its shortest form. */
export function cborHeader (major: number, value: number): Uint8Array {
  if (value < 24) { return Uint8Array.of(major << 5 | value) }
  const size = value < 0x100 ? 1 : value < 0x10000 ? 2 : 4
  const bytes = new Uint8Array(1 + size)
  bytes[0] = major << 5 | (23 + (size === 4 ? 3 : size))
  for (let i = size; i > 0; i--) {
    bytes[i] = value
    value = Math.floor(value / 256)
  }
  return bytes
}

export function invalid (field: string, problem: string, options?: ErrorOptions): InvalidMessageError {
  return new InvalidMessageError(`announce message: ${field} ${problem}`, options)
}
