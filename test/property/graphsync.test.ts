import { deepEqual, equal, ok } from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import * as dagCbor from '@ipld/dag-cbor'
import * as dagJson from '@ipld/dag-json'
import fc from 'fast-check'
import type { CID } from 'multiformats/cid'
import type { LinkSystem, SelectorNode } from '../../src/shared/types.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { readBlock } from '../../src/store/read.ts'
import {
  exploreAll, exploreFields, exploreIndex, exploreRange, exploreRecursive, exploreRecursiveEdge, exploreUnion, matcher,
  recursionLimitDepth, recursionLimitNone
} from '../../src/traversal/index.ts'
import { Traversal } from '../../src/traversal/traversal.ts'
import { exchangePair, outcome } from '../wire/graphsync/kit.ts'
import type { ExchangePair } from '../wire/graphsync/kit.ts'

interface Block { links: number[], nested: boolean, json: boolean }
interface Case { blocks: Block[], selector: (cids: CID[]) => SelectorNode, local: boolean[], remote: boolean[] }

const asCbor = (a: string, b: string): number => a.length - b.length || (a < b ? -1 : 1)
const names = ['a', 'b', '1', '10', 'x']
/** Within a recursion; it has an edge. */
const sequence: fc.Arbitrary<SelectorNode> = fc.letrec<{ node: SelectorNode }>(tie => ({
  node: fc.oneof({ maxDepth: 3, withCrossShrink: true },
    fc.constant(exploreAll(exploreRecursiveEdge())),
    tie('node').map(exploreAll),
    fc.tuple(fc.uniqueArray(fc.constantFrom(...names), { minLength: 1, maxLength: 4 }), tie('node'))
      .map(([fields, next]) => exploreFields(Object.fromEntries([...fields].sort(asCbor).map(name => [name, next])))),
    fc.tuple(fc.nat(2), tie('node')).map(([index, next]) => exploreIndex(index, next)),
    fc.tuple(fc.nat(2), fc.integer({ min: 1, max: 3 }), tie('node')).map(([start, size, next]) => exploreRange(start, start + size, next)),
    fc.tuple(tie('node'), tie('node')).map(members => exploreUnion(...members)),
    fc.tuple(fc.constant(matcher()), tie('node')).map(members => exploreUnion(...members)))
})).node

const cases: fc.Arbitrary<Case> = fc.integer({ min: 1, max: 8 }).chain(count => fc.record({
  blocks: fc.tuple(...Array.from({ length: count }, (_, i) => fc.record({
    links: fc.array(fc.nat(Math.max(0, i - 1)), { maxLength: i === 0 ? 0 : 3 }), nested: fc.boolean(), json: fc.boolean()
  }))),
  selector: fc.tuple(
    sequence, fc.option(fc.integer({ min: 1, max: 6 }), { nil: undefined }), fc.option(fc.nat(count - 1), { nil: undefined, freq: 3 })
  )
    .map(([node, depth, stop]) => (cids: CID[]) => exploreRecursive(
      depth == null ? recursionLimitNone : recursionLimitDepth(depth), node, stop == null ? undefined : cids[stop])),
  local: fc.array(fc.boolean(), { minLength: count, maxLength: count }),
  remote: fc.array(fc.integer({ min: 0, max: 9 }).map(n => n > 0), { minLength: count, maxLength: count })
}))

async function build (blocks: Block[]): Promise<[LinkSystem, CID[]]> {
  const all = createLinkSystem()
  const cids: CID[] = []
  for (const [i, { links, nested, json }] of blocks.entries()) {
    const named = Object.fromEntries(links.map((link, at) => [names[(link + at) % names.length], cids[link]]))
    const node = { number: i, ...named, list: links.map(link => cids[link]), ...(nested ? { x: { a: [named] } } : {}) }
    cids.push(await all.store(node, { codec: json ? dagJson : dagCbor }))
  }
  return [all, cids]
}

async function some (all: LinkSystem, cids: CID[], has: boolean[]): Promise<LinkSystem> {
  const store = createLinkSystem()
  for (const [i, cid] of cids.entries()) {
    if (has[i]) { await store.put(cid, await bytesOf(all, cid)) }
  }
  return store
}

async function bytesOf (store: LinkSystem, cid: CID): Promise<Uint8Array> {
  return await readBlock(store.blockstore, cid)
}

/**
 * What must come out: a block is there when it was local, or came before, or when the responder has it and walks there: when it has
 * all blocks above. The walk is local until it first misses a block. do-not-send-first-blocks counts the responder's loads, as in Go:
 * when it lacks one that we have, it holds back more than we asked for.
 */
async function expected (
  all: LinkSystem, root: CID, selector: SelectorNode, local: Set<string>, remote: Set<string>
): Promise<{ cids: string[], missing?: string, heldBack: boolean }> {
  const traversal = new Traversal(root, selector)
  const walks: boolean[] = []
  const first = new Map<string, number>()
  const skipped = await localLoads(all, root, selector, local)
  const before = new Set(local)
  let position = 0
  let heldBack = false
  const cids: string[] = []
  let missing: string | undefined
  for (let link = traversal.next(); link != null; link = traversal.next()) {
    const cid = String(link.cid)
    const { depth } = traversal
    const comes = depth === 0 || walks[depth - 1]
    const sends = comes && remote.has(cid)
    walks[depth] = sends
    if (comes) { position++ }
    if (sends && !first.has(cid)) { first.set(cid, position) }
    heldBack ||= sends && !before.has(cid) && (first.get(cid) as number) <= skipped
    if (sends || local.has(cid)) {
      local.add(cid)
      cids.push(cid)
      traversal.follow(await bytesOf(all, link.cid))
    } else {
      missing ??= cid
    }
  }
  return { cids, missing, heldBack }
}

/** Of the walk before the responder is asked. */
async function localLoads (all: LinkSystem, root: CID, selector: SelectorNode, local: Set<string>): Promise<number> {
  const traversal = new Traversal(root, selector)
  for (let loads = 0; ; loads++) {
    const link = traversal.next()
    if (link == null || !local.has(String(link.cid))) { return loads }
    traversal.follow(await bytesOf(all, link.cid))
  }
}

function isPartOf (some: string[], all: string[]): boolean {
  let at = 0
  return some.every(one => (at = all.indexOf(one, at) + 1) > 0)
}

describe('graphsync: requestor and responder together', () => {
  let pair: ExchangePair
  let remote: LinkSystem

  before(async () => {
    pair = await exchangePair({ accept: false })
    pair.responder.addValidator(() => ({ accept: true, linkSystem: remote }))
  })
  after(async () => { await pair[Symbol.asyncDispose]() })

  it('give what a plain walk gives, whatever each of the two has', async () => {
    await fc.assert(fc.asyncProperty(cases, async ({ blocks, selector: make, local: has, remote: hasRemote }) => {
      const [all, cids] = await build(blocks)
      const root = cids[cids.length - 1]
      const selector = make(cids)
      const local = await some(all, cids, has)
      remote = await some(all, cids, hasRemote)
      const before = new Set(cids.filter((_, i) => has[i]).map(String))
      const there = new Set(cids.filter((_, i) => hasRemote[i]).map(String))
      const plain = await expected(all, root, selector, before, there).catch(error => { equal(error.name, 'InvalidSelectorError') })
      fc.pre(plain != null) // a union that explodes
      const { cids: walked, missing, heldBack } = plain
      const ended = await outcome(pair.requestor.request(pair.b.peerId, root, selector, { linkSystem: local, stallTimeout: 5_000 }))
      if (heldBack) {
        ok(['TransferFailedError', 'ContentNotFoundError'].includes(ended.error?.name), `${ended.error}`)
        ok(isPartOf(ended.cids.map(String), walked))
        return
      }
      deepEqual(ended.cids, walked)
      equal(ended.error?.name, missing == null ? undefined : 'ContentNotFoundError')
      if (missing != null) { equal(String(ended.error.cid), hasRemote[cids.length - 1] ? missing : String(root)) }
      for (const cid of cids) { equal(await local.has(cid), before.has(String(cid)), 'stored is what was walked or there') }
    }), { numRuns: 200 })
  })
})
