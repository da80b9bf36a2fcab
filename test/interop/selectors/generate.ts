import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'

/** A value of the data model with its order: what both encoders below take. */
export type Value =
  null | boolean | number | string | { bytes: number[] } | { link: CID } | { list: Value[] } | { map: Array<[string, Value]> }

export interface Case { selector: string, root: CID, blocks: Map<string, Uint8Array> }

const RAW = 0x55
const DAG_PB = 0x70
const DAG_CBOR = 0x71
const DAG_JSON = 0x0129
const KEYS = ['a', 'b', 'next', 'Links', 'Hash', '0', '1', '2', '10', '9', '01', '+1', '', '-1', 'é', '/', 'zz']

/** Random numbers that are the same for the same seed (mulberry32). */
export class Random {
  private state: number

  constructor (seed: number) {
    this.state = seed
  }

  next (): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }

  below (end: number): number { return Math.floor(this.next() * end) }
  chance (of: number): boolean { return this.next() < of }
  pick<T> (list: T[]): T { return list[this.below(list.length)] }
}

export function generate (seed: number): Case {
  const random = new Random(seed)
  const blocks = new Map<string, Uint8Array>()
  const cids: CID[] = []
  const count = 1 + random.below(8)
  for (let i = 0; i < count; i++) {
    const code = random.pick([DAG_JSON, DAG_JSON, DAG_JSON, DAG_CBOR, DAG_CBOR, DAG_CBOR, DAG_PB, RAW])
    const cid = fakeCid(code, seed, i)
    const bytes = encode(code, random, cids)
    if (i === count - 1 || !random.chance(0.05)) { blocks.set(cid.toString(), bytes) } // some are missing
    cids.push(cid)
  }
  const node = random.chance(0.6) ? recursion(random, cids, 0) : selector(random, cids, 0, false)
  return { selector: JSON.stringify(node), root: cids[count - 1], blocks }
}

function encode (code: number, random: Random, cids: CID[]): Uint8Array {
  switch (code) {
    case RAW: return Uint8Array.of(1, 2)
    case DAG_PB: return Uint8Array.from(pb(random, cids))
    case DAG_CBOR: return Uint8Array.from(cbor(container(random, cids, 0), random))
    default: return new TextEncoder().encode(json(container(random, cids, 0), random))
  }
}

/** Neither side hashes: made-up digests let a block have any bytes. */
function fakeCid (code: number, seed: number, index: number): CID {
  const digest = new Uint8Array(32)
  new DataView(digest.buffer).setUint32(0, seed)
  digest[31] = index
  return CID.createV1(code, Digest.create(0x12, digest))
}

function container (random: Random, cids: CID[], depth: number): Value {
  const size = random.below(5)
  if (random.chance(0.35)) { return { list: Array.from({ length: size }, () => value(random, cids, depth + 1)) } }
  const keys = new Set(Array.from({ length: size }, () => random.pick(KEYS)))
  const entries = [...keys].map((key): [string, Value] => [key, value(random, cids, depth + 1)])
  // in dag-json, such a map would be a link or bytes
  return { map: entries.length === 1 && entries[0][0] === '/' ? [['a', entries[0][1]]] : entries }
}

function value (random: Random, cids: CID[], depth: number): Value {
  if (cids.length > 0 && random.chance(0.55)) { return { link: random.chance(0.5) ? cids[cids.length - 1] : random.pick(cids) } }
  if (depth < 4 && random.chance(0.5)) { return container(random, cids, depth) }
  return random.pick<Value>([null, true, 7, -300, 1.5, 'text', '', { bytes: [1, 2, 3] }, 'a "quoted" \\ text\n'])
}

function selector (random: Random, cids: CID[], depth: number, inR: boolean): any {
  const next = (): any => selector(random, cids, depth + 1, inR)
  if (depth > 5 || random.chance(0.08)) {
    return inR && random.chance(0.7) ? { '@': {} } : random.chance(0.1) ? { '.': { subset: { '[': 0, ']': 2 } } } : { '.': {} }
  }
  if (inR && depth > 1 && random.chance(0.25)) { return { '@': {} } }
  switch (random.below(inR ? 8 : 10)) {
    case 0: case 1: return { a: { '>': next() } }
    case 2: case 3: {
      const names = [...new Set(Array.from({ length: 1 + random.below(4) }, () => random.pick(KEYS.slice(0, 14))))]
      return { f: { 'f>': Object.fromEntries(names.sort().map(name => [name, next()])) } }
    }
    case 4: return { i: { i: random.below(5) - 1, '>': next() } }
    case 5: {
      const start = random.below(5) - 2
      return { r: { '^': start, $: start + 1 + random.below(4), '>': next() } }
    }
    case 6: return { '|': Array.from({ length: random.below(4) }, next) }
    default: return recursion(random, cids, depth)
  }
}

function recursion (random: Random, cids: CID[], depth: number): any {
  if (random.chance(0.02)) { return { '~': { as: 'unixfs', '>': { '.': {} } } } }
  const l = random.chance(0.5) ? { none: {} } : { depth: random.below(6) - 1 }
  const stop = random.chance(0.4) ? { '!': { '/': { '/': random.pick(cids).toString() } } } : {}
  const sequence = random.chance(0.3) ? { a: { '>': { '@': {} } } } : selector(random, cids, depth + 1, true)
  return { R: { l, ':>': hasEdge(sequence) ? sequence : { '|': [{ a: { '>': { '@': {} } } }, sequence] }, ...stop } }
}

function hasEdge (node: any): boolean {
  if (typeof node !== 'object' || node === null || 'R' in node) { return false }
  return '@' in node || Object.values(node).some(hasEdge)
}

/** As Go reads it, which is not always as JSON has it. */
export function json (value: Value, random: Random): string {
  const space = (): string => random.chance(0.05) ? random.pick([' ', '\n', '\t ']) : ''
  const comma = (): string => random.chance(0.02) ? ' ' : `${space()},${space()}`
  const end = (): string => random.chance(0.02) ? ',' : space()
  if (typeof value !== 'object' || value === null) { return typeof value === 'string' ? text(value, random) : JSON.stringify(value) }
  if ('bytes' in value) { return `{"/":{"bytes":"${Buffer.from(value.bytes).toString('base64').replace(/=/g, '')}"}}` }
  if ('link' in value) {
    const cid = value.link.toString()
    return `{${space()}"/":"${random.chance(0.05) ? `B${cid.slice(1).toUpperCase()}` : cid}"}`
  }
  if ('list' in value) {
    return value.list.length === 0 ? `[${space()}]` : `[${space()}${value.list.map(item => json(item, random)).join(comma())}${end()}]`
  }
  const entries = value.map.map(([key, item]) => `${text(key, random)}${space()}:${space()}${json(item, random)}`)
  return entries.length === 0 ? '{}' : `{${space()}${entries.join(comma())}${end()}}`
}

function text (value: string, random: Random): string {
  if (!random.chance(0.05)) { return JSON.stringify(value) }
  return `"${[...value].map(char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')}"`
}

export function cbor (value: Value, random: Random): number[] {
  const tag = random.chance(0.02) && !(typeof value === 'object' && value !== null && ('bytes' in value || 'link' in value)) ? [0xc1] : []
  if (value === null) { return [...tag, random.chance(0.2) ? 0xf7 : 0xf6] }
  if (typeof value === 'boolean') { return [...tag, value ? 0xf5 : 0xf4] }
  if (typeof value === 'string') { return [...tag, ...cborText(value, random)] }
  if (typeof value === 'number') {
    if (!Number.isInteger(value)) { return [...tag, 0xf9, 0x7e, 0x00] } // NaN
    return [...tag, ...(value < 0 ? head(1, -1 - value, random) : head(0, value, random))]
  }
  if ('bytes' in value) { return [...head(2, value.bytes.length, random), ...value.bytes] }
  if ('link' in value) { return [0xd8, 42, ...head(2, value.link.bytes.length + 1, random), 0, ...value.link.bytes] }
  const indefinite = random.chance(0.1)
  const items = 'list' in value
    ? value.list.flatMap(item => cbor(item, random))
    : value.map.flatMap(([key, item]) => [...cborText(key, random), ...cbor(item, random)])
  const major = 'list' in value ? 4 : 5
  const size = 'list' in value ? value.list.length : value.map.length
  return [...tag, ...(indefinite ? [(major << 5) | 31] : head(major, size, random)), ...items, ...(indefinite ? [0xff] : [])]
}

function pb (random: Random, cids: CID[]): number[] {
  const field = (tag: number, bytes: Iterable<number>): number[] => [tag, [...bytes].length, ...bytes]
  const links = cids.length === 0
    ? []
    : Array.from({ length: random.below(4) }, () => field(0x12, [
      ...field(0x0a, random.pick(cids).bytes),
      ...(random.chance(0.5) ? field(0x12, [0x61]) : []),
      ...(random.chance(0.5) ? [0x18, 0x81, 0x01] : [])
    ]))
  const data = random.chance(0.5) ? [field(0x0a, [1, 2, 3])] : []
  return (random.chance(0.5) ? [...links, ...data] : [...data, ...links]).flat()
}

function cborText (value: string, random: Random): number[] {
  const bytes = [...new TextEncoder().encode(value)]
  const whole = [...head(3, bytes.length, random), ...bytes]
  return random.chance(0.05) ? [0x7f, ...whole, 0x60, 0xff] : whole
}

function head (major: number, size: number, random: Random): number[] {
  if (size > 255) { return [(major << 5) | 25, size >> 8, size & 255] }
  if (size > 23 || random.chance(0.03)) { return [(major << 5) | 24, size] }
  return [(major << 5) | size]
}
