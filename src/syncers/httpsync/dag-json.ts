import { base64 } from 'multiformats/bases/base64'
import { CID } from 'multiformats/cid'

/**
 * Writes a node as Go writes dag-json, byte for byte: keys in bytewise order, control characters as \u00XX, U+2028 and
 * U+2029 escaped, -0 kept. @ipld/dag-json differs in these (go-ipld-prime v0.20.0, codec/dagjson).
 *
 * Throws on what the data model lacks, and on integers beyond int64.
 */
export function encodeDagJson (node: unknown): Uint8Array {
  return new TextEncoder().encode(write(node))
}

/** A JSON string as Go writes it. */
export function quote (text: string): string {
  const json = JSON.stringify(text)
  return UNLIKE_GO.test(json) ? json.replace(ESCAPES, escape => GO_ESCAPES[escape] ?? surrogate(escape)) : json
}

const UNLIKE_GO = /\\[bfu]|[\u2028\u2029]/
const ESCAPES = /\\u[0-9a-f]{4}|\\.|[\u2028\u2029]/g
const GO_ESCAPES: Record<string, string | undefined> = {
  '\\b': '\\u0008', '\\f': '\\u000c', '\u2028': '\\u2028', '\u2029': '\\u2029'
}

/** JSON.stringify escapes lone surrogates; in Go there are none, only bytes that are not UTF-8. */
function surrogate (escape: string): string {
  return escape.startsWith('\\ud') ? '\\ufffd' : escape
}

const MAX_INT64 = 2n ** 63n - 1n

function write (node: unknown): string {
  switch (typeof node) {
    case 'string': return quote(node)
    case 'boolean': return String(node)
    case 'number': return number(node)
    case 'bigint':
      if (node > MAX_INT64 || node < -MAX_INT64 - 1n) { throw new RangeError(`${node} is not an int64`) }
      return String(node)
    case 'object': return node === null ? 'null' : writeObject(node)
    default: throw new TypeError(`${typeof node} is not in the data model`)
  }
}

function number (value: number): string {
  if (!Number.isFinite(value)) { throw new RangeError(`${value} is not in the data model`) }
  return Object.is(value, -0) ? '-0' : String(value)
}

function writeObject (node: object): string {
  if (node instanceof Uint8Array) { return `{"/":{"bytes":"${base64.baseEncode(node)}"}}` }
  const cid = CID.asCID(node)
  if (cid != null) { return `{"/":"${cid}"}` }
  if (Array.isArray(node)) { return `[${node.map(write).join(',')}]` }
  const entries = node instanceof Map ? [...node as Map<string, unknown>] : Object.entries(node)
  return `{${entries.sort(([a], [b]) => compareUtf8(a, b)).map(([key, value]) => `${quote(key)}:${write(value)}`).join(',')}}`
}

/** The order of the UTF-8 bytes. That of UTF-16 differs in one thing: surrogates come before U+E000 to U+FFFF. */
function compareUtf8 (a: string, b: string): number {
  const end = Math.min(a.length, b.length)
  for (let i = 0; i < end; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) { return rank(x) - rank(y) }
  }
  return a.length - b.length
}

function rank (unit: number): number {
  if (unit >= 0xe000) { return unit - 0x800 }
  return unit >= 0xd800 ? unit + 0x2000 : unit
}
