import { code, decode as decodeAny, name } from '@ipld/dag-json'
import { CID } from 'multiformats/cid'
import type { BlockCodec } from 'multiformats/codecs/interface'
import { readPlainDagJson } from './plain-dag-json.ts'

const MIN_INT64 = -(2n ** 63n)
const MAX_INT64 = 2n ** 63n - 1n

/**
 * dag-json as go-ipld-prime writes it, byte for byte: a Go publisher encodes blocks anew, and their hashes must stay. Differs from
 * @ipld/dag-json in strings (\u0008, \u000c, \u2028, \u2029), in -0, in maps that have the key "/", and in that bytes are a Uint8Array.
 */
export const dagJson: BlockCodec<typeof code, any> = { name, code, decode, encode }

function decode (bytes: Uint8Array | ArrayBuffer): unknown {
  return (bytes instanceof Uint8Array ? readPlainDagJson(bytes) : undefined) ?? decodeAny(bytes)
}

function encode (node: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text(node))
}

function text (node: unknown): string {
  switch (typeof node) {
    case 'string': return string(node)
    case 'boolean': return String(node)
    case 'bigint':
      if (node < MIN_INT64 || node > MAX_INT64) { throw new RangeError('dag-json has ints of 64 bits') }
      return String(node)
    case 'number':
      if (!Number.isFinite(node)) { throw new RangeError(`dag-json has no ${node}`) }
      return Object.is(node, -0) ? '-0' : String(node)
    case 'object': return node === null ? 'null' : object(node)
    default: throw new TypeError(`dag-json has no ${typeof node}`)
  }
}

function object (node: object): string {
  if (Array.isArray(node)) { return `[${Array.from(node, text).join(',')}]` }
  if (node instanceof Uint8Array) { return `{"/":{"bytes":"${base64(node)}"}}` }
  const cid = CID.asCID(node as any)
  if (cid != null) { return `{"/":"${cid.toString()}"}` }
  const kind = Object.prototype.toString.call(node).slice(8, -1)
  if (kind !== 'Object' && kind !== 'Map') { throw new TypeError(`dag-json has no ${kind}`) } // a promise, a date: they would be {}
  const entries: Array<[string, unknown]> = kind === 'Map' ? [...node as Map<string, unknown>] : Object.entries(node)
  return `{${entries.sort(byKey).map(([key, value]) => `${string(key)}:${field(key, value)}`).join(',')}}`
}

/** A map often has a key too many: the PreviousID of a first advertisement. */
function field (key: string, value: unknown): string {
  if (value === undefined) { throw new TypeError(`dag-json has no undefined: leave out the key ${JSON.stringify(key)}`) }
  return text(value)
}

function string (value: string): string {
  if (typeof value !== 'string') { throw new TypeError('dag-json has no keys but strings') }
  const json = JSON.stringify(value.isWellFormed() ? value : value.toWellFormed())
  return /[\b\f\u2028\u2029]/.test(value) ? json.replace(/\\.|[\u2028\u2029]/g, asGo) : json
}

function asGo (escape: string): string {
  switch (escape) {
    case '\\b': return '\\u0008'
    case '\\f': return '\\u000c'
    case '\u2028': return '\\u2028'
    case '\u2029': return '\\u2029'
    default: return escape
  }
}

/** By the bytes of their UTF-8: as strings compare, but for letters of two code units, which come last. */
function byKey ([a]: [string, unknown], [b]: [string, unknown]): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)]
    if (x !== y) { return rank(x) - rank(y) }
  }
  return a.length - b.length
}

function rank (unit: number): number {
  return unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit
}

function base64 (bytes: Uint8Array): string {
  let binary = ''
  for (let i = 0; i < bytes.length; i += 8192) { binary += String.fromCharCode(...bytes.subarray(i, i + 8192)) }
  return btoa(binary).replaceAll('=', '')
}
