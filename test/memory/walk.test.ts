import { equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import {
  dagsyncSelector, exploreAll, exploreFields, exploreRecursive, exploreRecursiveEdge, exploreUnion, recursionLimitDepth,
  recursionLimitNone, walk
} from '../../src/traversal/index.ts'
import type { SelectorNode } from '../../src/traversal/index.ts'

const MIB = 1024 * 1024
const FIRST = Uint8Array.of(0xa0)

function cidNumber (number: number): CID {
  const digest = new Uint8Array(32)
  new DataView(digest.buffer).setUint32(28, number)
  return CID.createV1(dagCbor.code, Digest.create(0x12, digest))
}

/** A block of the chain, whose link ends in these four bytes; what follows the link has none. */
const template = dagCbor.encode({ Entries: null, PreviousID: cidNumber(0xabcdef01), zzzzzzzzzzz: [1, { y: 'after' }] })
const numberAt = template.findIndex((byte, i) => byte === 0xab && template[i + 1] === 0xcd && template[i + 3] === 0x01)

function load (cid: CID): Uint8Array {
  const { digest } = cid.multihash
  const number = new DataView(digest.buffer, digest.byteOffset).getUint32(28)
  if (number === 0) { return FIRST }
  const bytes = template.slice()
  new DataView(bytes.buffer).setUint32(numberAt, number - 1)
  return bytes
}

/** The least of some: what the compiler is at work with comes and goes. */
async function heap (): Promise<number> {
  let least = Infinity
  for (let i = 0; i < 4; i++) {
    await turn()
    globalThis.gc?.()
    least = Math.min(least, process.memoryUsage().heapUsed)
  }
  return least
}

async function growth (blocks: number, selector: SelectorNode): Promise<number> {
  const before = await heap()
  let most = 0
  let count = 0
  for await (const { bytes } of walk(cidNumber(blocks - 1), selector, load)) {
    ok(bytes.length > 0)
    if (++count % (blocks / 4) === 0) { most = Math.max(most, await heap() - before) }
  }
  equal(count, blocks)
  return most
}

describe('memory of a walk', () => {
  const edge = exploreRecursiveEdge()
  const previous = exploreFields({ PreviousID: edge })
  const selectors: Array<[string, number, SelectorNode]> = [
    ['everything', 1_000_000, dagsyncSelector(recursionLimitNone)],
    ['everything, with a limit and a stop', 100_000, dagsyncSelector(recursionLimitDepth(2_000_000), cidNumber(4_000_000_000))],
    ['one field', 100_000, exploreRecursive(recursionLimitNone, previous)],
    ['one field, with a limit', 100_000, exploreRecursive(recursionLimitDepth(2_000_000), previous)],
    ['a union of recursions', 100_000, exploreUnion(
      exploreRecursive(recursionLimitDepth(2_000_000), previous),
      exploreRecursive(recursionLimitDepth(3_000_000), exploreAll(exploreUnion(edge, exploreFields({ q: edge })))),
      exploreRecursive(recursionLimitNone, exploreUnion(previous, exploreFields({ Entries: edge })))
    )]
  ]
  for (const [name, blocks, selector] of selectors) {
    it(`is flat over a chain of ${blocks} blocks: ${name}`, async () => {
      await growth(1_000, selector) // what is compiled and cached at first
      const grown = await growth(blocks, selector)
      ok(grown < 3 * MIB, `${(grown / MIB).toFixed(1)} MiB more`)
    })
  }
})
