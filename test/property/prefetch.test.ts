import { describe, it } from 'node:test'
import { deepEqual, equal, ok } from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import * as dagCbor from '@ipld/dag-cbor'
import * as dagJson from '@ipld/dag-json'
import fc from 'fast-check'
import { multiaddr } from '@multiformats/multiaddr'
import { MemoryBlockstore } from 'blockstore-core/memory'
import { CID } from 'multiformats/cid'
import { sha256 } from 'multiformats/hashes/sha2'
import type { SelectorNode } from '../../src/shared/types.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { AheadBudget } from '../../src/syncers/httpsync/ahead.ts'
import type { HttpClient } from '../../src/syncers/httpsync/http-client.ts'
import { HttpSyncer } from '../../src/syncers/httpsync/sync.ts'
import { exploreFields, exploreRecursive, exploreRecursiveEdge, exploreRecursiveWithStop } from '../../src/traversal/index.ts'
import { random, randomPeer } from '../support/hall.ts'

/** A block links to earlier ones, by number; without a text that decodes it is broken. */
interface Draft { links: number[], next?: number, cbor: boolean, broken: boolean }

interface Case {
  drafts: Draft[]
  local: boolean[]
  missing: boolean[]
  wrong: boolean[]
  seed: number
  selector: { depth: number | undefined, next: boolean, stop: number | undefined }
  abortAt: number | undefined
  deletes: boolean
  prefetch: { requests: number, bytes: number }
}

const rarely = (weight: number): fc.Arbitrary<boolean> => fc.nat(weight).map(number => number === weight)
const perBlock = (weight: number): fc.Arbitrary<boolean[]> => fc.array(rarely(weight), { minLength: 24, maxLength: 24 })

const cases: fc.Arbitrary<Case> = fc.record({
  drafts: fc.array(fc.record({
    links: fc.array(fc.nat(), { maxLength: 9 }), next: fc.option(fc.nat(), { nil: undefined }), cbor: fc.boolean(), broken: rarely(60)
  }), { minLength: 1, maxLength: 24 }),
  local: perBlock(5),
  missing: perBlock(40),
  wrong: perBlock(60),
  seed: fc.integer(),
  selector: fc.record({
    depth: fc.option(fc.integer({ min: 1, max: 9 }), { nil: undefined }),
    next: rarely(4),
    stop: fc.option(fc.nat(23), { nil: undefined, freq: 2 })
  }),
  abortAt: fc.option(fc.nat(20), { nil: undefined, freq: 2 }),
  deletes: rarely(6),
  prefetch: fc.record({ requests: fc.integer({ min: 1, max: 40 }), bytes: fc.constantFrom(1, 200_000, 400_000, 16_777_216) })
})

const peerId = await randomPeer()
const MOST = 400 // block loads: a DAG of repeated links may have any number

async function blocksOf (drafts: Draft[]): Promise<Array<{ cid: CID, bytes: Uint8Array }>> {
  const blocks: Array<{ cid: CID, bytes: Uint8Array }> = []
  for (const [i, { links, next, cbor, broken }] of drafts.entries()) {
    const to = (number: number): CID => blocks[number % i].cid
    const node = { Entries: i === 0 ? [] : links.map(to), number: i, ...(i === 0 || next == null ? {} : { Next: to(next) }) }
    const codec = cbor ? dagCbor : dagJson
    const bytes = broken ? new Uint8Array([0xff, i]) : codec.encode(node)
    blocks.push({ bytes, cid: CID.createV1(codec.code, await sha256.digest(bytes)) })
  }
  return blocks
}

class SpyStore extends MemoryBlockstore {
  readonly stored: string[] = []

  put (cid: CID, bytes: any): CID {
    this.stored.push(cid.toString())
    return super.put(cid, bytes) as CID
  }
}

async function run (made: Case, blocks: Array<{ cid: CID, bytes: Uint8Array }>, prefetch: AheadBudget | false): Promise<{
  seen: string[], stored: string[], error: string, requests: string[], most: number
}> {
  const next = random(made.seed)
  const blockstore = new SpyStore()
  const linkSystem = createLinkSystem({ blockstore })
  for (const [i, { cid, bytes }] of blocks.entries()) { if (made.local[i]) { await blockstore.put(cid, bytes) } }
  blockstore.stored.length = 0

  const requests: string[] = []
  let open = 0
  let most = 0
  const client: HttpClient = {
    stopped: false,
    async stop () {},
    async request (asked, { signal }) {
      const url = String(asked)
      const text = url.split('/').pop() as string
      const at = blocks.findIndex(({ cid }) => cid.toString() === text)
      requests.push(url) // a missing one is asked for under two paths
      most = Math.max(most, ++open)
      try {
        for (let turns = Math.floor(next() * 4); turns >= 0; turns--) {
          await turn()
          signal?.throwIfAborted()
        }
      } finally {
        open--
      }
      const body = made.wrong[at] ? new Uint8Array([0]) : blocks[at].bytes
      return { status: made.missing[at] ? 404 : 200, headers: { get: () => undefined }, body, url }
    }
  }
  const syncer = new HttpSyncer({ linkSystem, client }, { peerId, addrs: [multiaddr('/ip4/127.0.0.1/tcp/1/http')], httpRetry: false, prefetch })
  const { depth, next: onlyNext, stop } = made.selector
  const limit = depth == null ? { none: {} } : { depth }
  const selector: SelectorNode = onlyNext
    ? exploreRecursive(limit, exploreFields({ Next: exploreRecursiveEdge() }))
    : exploreRecursiveWithStop(limit, undefined, stop == null ? undefined : blocks[stop % blocks.length].cid)
  const controller = new AbortController()
  const seen: string[] = []
  let error = 'none'
  try {
    await syncer.sync(blocks[blocks.length - 1].cid, selector, {
      signal: controller.signal,
      onBlock: async ({ cid, local, bytes }) => {
        seen.push(`${cid} ${local} ${bytes}`)
        if (made.deletes) { await blockstore.delete(cid) }
        if (seen.length === made.abortAt) { controller.abort(new Error('enough of it')) }
        if (seen.length === MOST) { throw new Error('too much') }
        if (seen.length % 3 === 0) { await turn() }
      }
    })
  } catch (cause: any) {
    error = `${cause.name}: ${cause.message}`
  }
  return { seen, stored: blockstore.stored, error, requests, most }
}

describe('a sync that fetches ahead', () => {
  it('loads, stores and fails as one that does not, asks for nothing twice, and gives back what it took', async () => {
    let ahead = 0
    await fc.assert(fc.asyncProperty(cases, async made => {
      const blocks = await blocksOf(made.drafts)
      const plain = await run(made, blocks, false)
      const budget = new AheadBudget(made.prefetch)
      const fast = await run(made, blocks, budget)
      deepEqual(fast.seen, plain.seen)
      deepEqual(fast.stored, plain.stored)
      equal(fast.error, plain.error)
      ok(fast.most <= made.prefetch.requests / 2 + 1.5, `${fast.most} requests at once`)
      equal(plain.most <= 1, true)
      if (!made.deletes) { equal(new Set(fast.requests).size, fast.requests.length, 'a request comes twice') }
      equal(budget.held, 0)
      for (let turns = 0; budget.inFlight > 0; turns++) {
        ok(turns < 10, 'requests go on')
        await turn()
      }
      if (fast.most > 1) { ahead++ }
    }), { numRuns: 1_500 })
    ok(ahead > 200, `only ${ahead} fetched ahead`)
  })
})
