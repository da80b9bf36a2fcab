import { deepEqual } from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { CID } from 'multiformats/cid'
import { parseSelector, walk } from '../../src/traversal/index.ts'
import { cbor, json, Random } from '../interop/selectors/generate.ts'
import type { Value } from '../interop/selectors/generate.ts'
import { cidNumber, drafts, linked, selectors } from './arbitraries.ts'
import { naiveWalk, TooMuch } from './oracle.ts'

const MOST = 100
const links = [0, 1, 2, 3, 4, 5].map(cidNumber)

async function walked (root: CID, selector: any, blocks: Map<string, Uint8Array>): Promise<string[]> {
  const loads: string[] = []
  const load = (cid: CID): Uint8Array => {
    const bytes = blocks.get(cid.toString())
    if (bytes == null) { throw Object.assign(new Error('not found'), { name: 'NotFoundError' }) }
    return bytes
  }
  for await (const { cid } of walk(root, parseSelector(selector), load, { onMissing: 'skip' })) {
    loads.push(cid.toString())
    if (loads.length === MOST) { break }
  }
  return loads
}

describe('walk()', () => {
  it('loads what the naive walk loads, in its order', async () => {
    await fc.assert(fc.asyncProperty(drafts(), selectors(links), fc.nat(20), fc.integer(), async (dag, selector, missing, seed) => {
      const nodes = new Map<string, Value>()
      const blocks = new Map<string, Uint8Array>()
      const random = new Random(seed)
      dag.forEach((draft, i) => {
        if (i === missing) { return }
        const value = linked(draft, links.slice(0, i))
        const cid = links[i].toString()
        nodes.set(cid, value)
        blocks.set(cid, i % 2 === 0 ? new TextEncoder().encode(json(value, random)) : Uint8Array.from(cbor(value, random)))
      })
      const root = links[dag.length - 1]
      let expected: string[] = []
      try {
        expected = naiveWalk(root, selector, nodes, MOST)
      } catch (error) {
        fc.pre(!(error instanceof TooMuch))
        throw error
      }
      deepEqual(await walked(root, selector, blocks), expected)
    }), { numRuns: 2_000 })
  })
})
