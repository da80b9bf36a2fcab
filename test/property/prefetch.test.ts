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
import type { HttpClient, HttpRequestInit, HttpResponse } from '../../src/syncers/httpsync/http-client.ts'
import { HttpSyncer } from '../../src/syncers/httpsync/sync.ts'
import { exploreFields, exploreRecursive, exploreRecursiveEdge, exploreRecursiveWithStop } from '../../src/traversal/index.ts'
import { random, randomPeer } from '../support/hall.ts'

/** A block links to earlier ones, by number; without a text that decodes it is broken. */
interface Draft { links: number[], next?: number, cbor: boolean, broken: boolean, pad?: number }

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
const addrs = [multiaddr('/ip4/127.0.0.1/tcp/1/http')]
const MOST = 400 // block loads: a DAG of repeated links may have any number

async function blocksOf (drafts: Draft[]): Promise<Array<{ cid: CID, bytes: Uint8Array }>> {
  const blocks: Array<{ cid: CID, bytes: Uint8Array }> = []
  for (const [i, { links, next, cbor, broken, pad = 0 }] of drafts.entries()) {
    const to = (number: number): CID => blocks[number % i].cid
    const below = i === 0 || next == null ? {} : { Next: to(next) }
    const node = { Entries: i === 0 ? [] : links.map(to), number: i, ...below, pad: new Uint8Array(pad) }
    const codec = cbor ? dagCbor : dagJson
    const bytes = broken ? new Uint8Array([0xff, i]) : codec.encode(node)
    blocks.push({ bytes, cid: CID.createV1(codec.code, await sha256.digest(bytes)) })
  }
  return blocks
}

function selectorOf ({ selector: { depth, next, stop } }: Case, blocks: Array<{ cid: CID }>): SelectorNode {
  const limit = depth == null ? { none: {} } : { depth }
  return next
    ? exploreRecursive(limit, exploreFields({ Next: exploreRecursiveEdge() }))
    : exploreRecursiveWithStop(limit, undefined, stop == null ? undefined : blocks[stop % blocks.length].cid)
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
  const syncer = new HttpSyncer({ linkSystem, client }, { peerId, addrs, httpRetry: false, prefetch })
  const controller = new AbortController()
  const seen: string[] = []
  let error = 'none'
  try {
    await syncer.sync(blocks[blocks.length - 1].cid, selectorOf(made, blocks), {
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

/** What may go on next, in whatever order: requests, questions to a store, hooks. */
type Steps = Array<() => void>

/** A walk among others, whose every wait is a step. */
class Walker {
  readonly seen: string[] = []
  readonly requests = new Map<string, number>()
  readonly faults: string[] = []
  readonly controller = new AbortController()

  /** Bytes that have come and are not stored. */
  readonly come = new Map<string, number>()
  at: string | undefined
  open = 0
  error: string | undefined
  private readonly made: Case
  private readonly blocks: Array<{ cid: CID, bytes: Uint8Array }>
  private readonly steps: Steps
  private readonly hasMode: number

  constructor (made: Case, blocks: Array<{ cid: CID, bytes: Uint8Array }>, steps: Steps) {
    this.made = made
    this.blocks = blocks
    this.steps = steps
    this.hasMode = Math.abs(made.seed) % 3
  }

  async run (budget: AheadBudget): Promise<void> {
    const { made, blocks } = this
    const store = new SpyStore()
    for (const [i, { cid, bytes }] of blocks.entries()) { if (made.local[i]) { await store.put(cid, bytes) } }
    const has = store.has.bind(store)
    const put = store.put.bind(store)
    const blockstore = Object.assign(store, {
      put: (cid: CID, bytes: any) => {
        this.come.delete(String(cid))
        return put(cid, bytes)
      },
      has: (cid: CID, options?: any): any => {
        if (options != null) { this.at = String(cid) } // the walk itself
        if (this.hasMode === 0) { return has(cid) }
        return this.step().then(() => {
          if (options == null && this.hasMode === 2 && cid.bytes[10] % 4 === 0) { throw new Error('the store has gone wrong') }
          return has(cid)
        })
      }
    })
    const client: HttpClient = {
      stopped: false,
      async stop () {},
      request: async (asked, init) => this.answer(String(asked), init, cid => has(cid) as boolean)
    }
    const linkSystem = createLinkSystem({ blockstore })
    const syncer = new HttpSyncer({ linkSystem, client }, { peerId, addrs, httpRetry: false, prefetch: budget })
    try {
      await syncer.sync(blocks[blocks.length - 1].cid, selectorOf(made, blocks), {
        signal: this.controller.signal,
        onBlock: async ({ cid, local, bytes }) => {
          this.seen.push(`${cid} ${local} ${bytes}`)
          if (made.deletes) { await blockstore.delete(cid) }
          if (this.seen.length === MOST) { throw new Error('too much') }
          if (this.seen.length % 2 === 0) { await this.step() }
        }
      })
      this.error = 'none'
    } catch (cause: any) {
      this.error = `${cause.name}: ${cause.message}`
    }
    this.come.clear()
  }

  private async step (signal?: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.steps.push(resolve)
    signal?.addEventListener('abort', () => { reject(signal.reason) })
    if (signal?.aborted === true) { reject(signal.reason) }
    return promise
  }

  private async answer (url: string, { signal, onBody }: HttpRequestInit, has: (cid: CID) => boolean): Promise<HttpResponse> {
    const text = url.split('/').pop() as string
    const at = this.blocks.findIndex(({ cid }) => cid.toString() === text)
    if (this.error != null) { this.faults.push(`a request after the end: ${url}`) }
    if (has(this.blocks[at].cid)) { this.faults.push(`a request for what the store has: ${url}`) }
    this.requests.set(url, (this.requests.get(url) ?? 0) + 1)
    this.open++
    try {
      await this.step(signal)
    } finally {
      this.open--
    }
    const body = this.made.wrong[at] ? new Uint8Array([0]) : this.blocks[at].bytes
    const response = { status: 200, headers: { get: () => undefined }, body, url }
    if (this.made.missing[at]) { return { ...response, status: 404 } }
    try {
      onBody?.(body.length)
    } catch (error) {
      this.requests.set(url, (this.requests.get(url) as number) - 1) // there was no room for it: it may come again
      throw error
    }
    if (!this.made.wrong[at] && signal?.aborted !== true) { this.come.set(text, body.length) }
    return response
  }
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

  it('among others with the same budget: none takes more than there is, all is given back, at whatever moment they end', async () => {
    let full = 0
    const pads = fc.array(fc.constantFrom(0, 0, 50_000, 64_512, 90_000, 140_000), { minLength: 24, maxLength: 24 })
    const several = fc.record({
      all: fc.array(fc.tuple(cases, pads), { minLength: 2, maxLength: 4 }),
      seed: fc.integer(),
      abortEvery: fc.constantFrom(20, 100, 10_000),
      prefetch: fc.record({ requests: fc.integer({ min: 1, max: 12 }), bytes: fc.constantFrom(140_000, 300_000, 700_000, 2_000_000) })
    })
    await fc.assert(fc.asyncProperty(several, async ({ all, seed, abortEvery, prefetch }) => {
      const next = random(seed)
      const steps: Steps = []
      const budget = new AheadBudget(prefetch)
      const walkers: Walker[] = []
      const running: Array<Promise<void>> = []
      const expected: Array<Awaited<ReturnType<typeof run>>> = []
      for (const [made, pads] of all) {
        const plainCase = { ...made, abortAt: undefined, drafts: made.drafts.map((draft, i) => ({ ...draft, pad: pads[i] })) }
        const blocks = await blocksOf(plainCase.drafts)
        expected.push(await run(plainCase, blocks, false))
        walkers.push(new Walker(plainCase, blocks, steps))
      }
      for (const walker of walkers) { running.push(walker.run(budget)) }
      for (let idle = 0; idle < 10;) {
        await turn()
        idle = steps.length === 0 ? idle + 1 : 0
        steps.splice(Math.floor(next() * steps.length), 1)[0]?.()
        if (next() * abortEvery < 1) { walkers[Math.floor(next() * walkers.length)].controller.abort(new Error('enough of it')) }
        let waiting = 0
        let open = 0
        for (const [i, { come, at, open: own, controller }] of walkers.entries()) {
          open += own
          const none = controller.signal.aborted || all[i][0].deletes // what was there when the walk was, and was not before and after
          for (const [text, size] of none ? [] : come) { waiting += text === at ? 0 : size }
        }
        const { inFlight, held, requests, bytes } = budget
        ok(inFlight >= open - walkers.length && inFlight <= requests, `${inFlight} of ${requests}, ${open} are open`)
        ok(held >= waiting && held <= bytes, `${held} of ${bytes}, ${waiting} wait`)
        if (held > bytes / 2) { full++ }
      }
      await Promise.all(running)
      for (const [i, walker] of walkers.entries()) {
        const { seen, error } = expected[i]
        if (walker.error === 'Error: enough of it') {
          deepEqual(walker.seen, seen.slice(0, walker.seen.length))
        } else {
          deepEqual([walker.error, walker.seen], [error, seen])
        }
        if (!all[i][0].deletes) { ok([...walker.requests.values()].every(count => count <= 1), 'a request comes twice') }
        deepEqual([walker.faults, walker.open], [[], 0])
      }
      deepEqual([budget.inFlight, budget.held], [0, 0])
    }), { numRuns: 120, endOnFailure: true })
    ok(full > 25, `only ${full} times more than half was taken`)
  })
})
