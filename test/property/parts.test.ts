import { deepEqual, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { CID } from 'multiformats/cid'
import type { SelectorNode } from '../../src/shared/types.ts'
import { pullInParts, type PartPull } from '../../src/syncers/dtsync/parts.ts'
import { Traversal } from '../../src/traversal/traversal.ts'
import { json, Random } from '../interop/selectors/generate.ts'
import { cidNumber, drafts, linked, selectors, type Draft } from './arbitraries.ts'

const MOST = 200
const links = Array.from({ length: 24 }, (_, i) => cidNumber(2 * i)) // dag-json

interface Loaded { cid: CID, depth: number }

/** A walk over blocks that are all there, as a pull. */
function walkOf (blocks: Map<string, Uint8Array>, root: CID, selector: SelectorNode): PartPull<Loaded> {
  const traversal = new Traversal(root, selector)
  return {
    next () {
      const link = traversal.next()
      if (link == null) { return undefined }
      traversal.follow(blocks.get(`${link.cid}`) as Uint8Array)
      return { cid: link.cid, depth: traversal.depth }
    },
    close () {},
    get rest () { return traversal.rest },
    get metStop () { return traversal.metStop }
  }
}

interface Outcome { loads: Array<[string, number]>, metStop?: boolean, error?: string, pulls: number }

class Enough extends Error { name = 'Enough' }

async function pulled (blocks: Map<string, Uint8Array>, root: CID, selector: SelectorNode, limit: number, unknown = 0): Promise<Outcome> {
  const outcome: Outcome = { loads: [], pulls: 0 }
  let asked = 0
  try {
    outcome.metStop = await pullInParts({
      root,
      selector,
      limit: async () => asked++ < unknown ? Infinity : limit,
      unknownFor: 3,
      open (root, selector) {
        outcome.pulls++
        return walkOf(blocks, root, selector)
      },
      onBlock ({ cid }, depth) {
        outcome.loads.push([cid.toString(), depth])
        if (outcome.loads.length === MOST) { throw new Enough() }
      }
    })
  } catch (error: any) {
    outcome.error = error.name
  }
  return outcome
}

function blocksOf (dag: Draft[], seed: number): Map<string, Uint8Array> {
  const random = new Random(seed)
  return new Map(dag.map((draft, i) => [`${links[i]}`, new TextEncoder().encode(json(linked(draft, links.slice(0, i)), random))]))
}

/** Each block links to the one before it, most of them to nothing else. */
const chains = fc.array(fc.oneof(
  { arbitrary: fc.constantFrom<Array<[string, Draft]>>([], [['x', 'text']]), weight: 12 },
  { arbitrary: fc.nat(23).map<Array<[string, Draft]>>(link => [['a', { link }]]), weight: 1 },
  { arbitrary: fc.constant<Array<[string, Draft]>>([['a', { map: [['b', 'c']] }]]), weight: 2 }
), { minLength: 1, maxLength: links.length }).chain(rows => fc.boolean().map(deep => rows.map<Draft>((row, i) => {
  const next: Draft = { link: i - 1 }
  return { map: i === 0 ? row : [...row, ['next', deep && i % 3 === 0 ? { list: ['x', next] } : next]] }
})))

const sequences: SelectorNode[] = [{ a: { '>': { '@': {} } } }, { f: { 'f>': { next: { '@': {} } } } }]
const chainSelectors = fc.record({
  sequence: fc.constantFrom(...sequences),
  depth: fc.option(fc.integer({ min: -1, max: 40 }), { nil: undefined }),
  stop: fc.option(fc.constantFrom(...links), { nil: undefined })
}).map<SelectorNode>(({ sequence, depth, stop }) => ({
  R: { l: depth == null ? { none: {} } : { depth }, ':>': sequence, ...(stop != null && { '!': { '/': stop } }) }
}))

const cases = fc.oneof(
  fc.tuple(chains, chainSelectors),
  fc.tuple(drafts(), fc.oneof(selectors(links.slice(0, 6)), chainSelectors))
)

describe('pullInParts()', () => {
  it('gives the blocks of the whole walk, in its order and once', async () => {
    let inParts = 0
    const limits = fc.integer({ min: 1, max: 5 })
    await fc.assert(fc.asyncProperty(cases, limits, fc.nat(3), fc.integer(), async ([dag, selector], limit, unknown, seed) => {
      const blocks = blocksOf(dag, seed)
      const root = links[dag.length - 1]
      const { pulls: _, ...whole } = await pulled(blocks, root, selector, Infinity)
      const { pulls, ...parts } = await pulled(blocks, root, selector, limit, unknown)
      deepEqual(parts, whole)
      if (pulls > 1) { inParts++ }
    }), { numRuns: 4_000 })
    ok(inParts > 400, `${inParts} runs had more than one part`)
  })

  it('pulls a chain by as many parts as it is deep, and what is no chain by one more', async () => {
    const chain = blocksOf(links.map((_, i) => ({ map: i === 0 ? [] : [['next', { link: i - 1 }]] })), 1)
    const everything: SelectorNode = { R: { l: { none: {} }, ':>': sequences[0] } }
    deepEqual((await pulled(chain, links[23], everything, 8)).pulls, 3)
    deepEqual((await pulled(chain, links[23], { R: { l: { depth: 17 }, ':>': sequences[1] } }, 8)).pulls, 3)
    deepEqual((await pulled(chain, links[23], { R: { l: { depth: 8 }, ':>': sequences[1] } }, 8)).pulls, 1)
    const tree = blocksOf(links.map((_, i) => ({ map: i === 0 ? [] : [['a', { link: i >> 1 }], ['b', { link: (i - 1) >> 1 }]] })), 1)
    deepEqual((await pulled(tree, links[23], everything, 2)).pulls, 2)
  })
})
