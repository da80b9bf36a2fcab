import { varint } from 'multiformats'
import { CID } from 'multiformats/cid'
import { InvalidMessageError } from '../../shared/errors.ts'
import { latin1, latin1Bytes } from '../../shared/latin1.ts'

// A binary CID as a string of one character a byte: it compares and hashes as fast as any string, and no object is made of it.
export type Key = string

export const keyOf: (bytes: Uint8Array, from?: number, to?: number) => Key = latin1

export function cidOfKey (key: Key): CID {
  return CID.decode(latin1Bytes(key))
}

/** A request's id: a UUID of version 4, as Go's. */
export function randomId (): Uint8Array {
  const id = crypto.getRandomValues(new Uint8Array(16))
  id[6] = (id[6] & 0x0f) | 0x40
  id[8] = (id[8] & 0x3f) | 0x80
  return id
}

/** What a block's CID is made from, but for the digest. */
export interface Prefix {
  version: number
  hash: number

  /** Bytes of the digest. */
  length: number

  /** What the key of a block begins with. */
  key: Key
}

const known = new Map<string, Prefix>()

/** Four varints of nine bytes. */
const MAX_PREFIX = 36

/** Reads the prefix of a block: four varints. What follows them is not looked at, as in Go. */
export function parsePrefix (bytes: Uint8Array, from = 0, to = bytes.length): Prefix {
  const text = keyOf(bytes, from, Math.min(to, from + MAX_PREFIX))
  let prefix = known.get(text)
  if (prefix == null) {
    prefix = parse(bytes.subarray(from, to))
    if (known.size > 256) { known.clear() }
    known.set(text, prefix)
  }
  return prefix
}

function parse (bytes: Uint8Array): Prefix {
  const numbers: number[] = []
  let at = 0
  for (let i = 0; i < 4; i++) {
    const [number, size] = varint.decode(bytes, at)
    numbers.push(number)
    at += size
  }
  const [version, codec, hash, length] = numbers
  if (version === 0) {
    if (codec !== 0x70 || hash !== 0x12 || length !== 32) { throw new InvalidMessageError('the prefix of a block is no CID') }
    return { version, hash, length, key: '\x12\x20' }
  }
  if (version !== 1) { throw new InvalidMessageError(`the prefix of a block has CID version ${version}`) }
  return { version, hash, length, key: keyOf(bytes, 0, at) }
}

/** The prefix of a block, as it is sent, from its CID's key. */
export function prefixOfKey (key: Key): Key {
  if (key.charCodeAt(0) === 0x12) { return '\0\x70\x12\x20' }
  let at = 0
  for (let i = 0; i < 4; i++) {
    while (key.charCodeAt(at) >= 0x80) { at++ }
    at++
  }
  return key.slice(0, at)
}

/** Whether bytes[from, to) are a CID: version 0, or 1 with a multihash that ends where they end. */
export function isCid (bytes: Uint8Array, from: number, to: number): boolean {
  if (to - from === 34 && bytes[from] === 0x12 && bytes[from + 1] === 32) { return true }
  if (bytes[from] !== 1) { return false }
  let at = from + 1
  let value = 0
  for (let i = 0; i < 3; i++) {
    value = 0
    for (let scale = 1; ; scale *= 128) {
      if (at >= to || scale > 2 ** 49) { return false }
      const byte = bytes[at++]
      value += (byte & 0x7f) * scale
      if (byte < 0x80) {
        if (byte === 0 && scale > 1) { return false }
        break
      }
    }
  }
  return at + value === to
}
