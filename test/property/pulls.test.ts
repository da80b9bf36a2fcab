import { deepEqual, equal, ok } from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import type { Libp2p } from '@libp2p/interface'
import { CID } from 'multiformats/cid'
import { sha256 } from 'multiformats/hashes/sha2'
import type { LinkSystem, SelectorNode } from '../../src/shared/types.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { Manager } from '../../src/wire/data-transfer/manager.ts'
import { DO_NOT_SEND_FIRST_BLOCKS, GRAPHSYNC_PROTOCOL } from '../../src/wire/graphsync/constants.ts'
import { cbor, json, Random } from '../interop/selectors/generate.ts'
import type { Value } from '../interop/selectors/generate.ts'
import { Wire } from '../wire/cut.ts'
import { VOUCHER } from '../wire/data-transfer/kit.ts'
import { outcome } from '../wire/graphsync/kit.ts'
import { createNode } from '../wire/nodes.ts'
import { cidNumber, drafts, linked, selectors } from './arbitraries.ts'
import type { Draft } from './arbitraries.ts'
import { naiveWalk, TooMuch } from './oracle.ts'

const RUNS = 100
const MOST_LOADS = 200
const MOST_BLOCKS = 16
const QUICK = { restartDebounce: 2, restartDelay: 5, silenceTimeout: 100, completeTimeout: 50, openTimeout: 1_000, restartTimeout: 20_000 }
const stand = Array.from({ length: MOST_BLOCKS }, (_, i) => cidNumber(i))

/** When, counted since the cut before, and what is lost. */
interface Cut {
  at: 'stored' | 'given' | 'read' | 'bytes'
  count: number
  lost: 'connection of the requestor' | 'connection of the responder' | 'wire' | 'streams'
}

interface Case { dag: Draft[], pads: number[], selector: SelectorNode, local: boolean[], seed: number, cuts: Cut[] }

const handshake = fc.integer({ min: 1, max: 2_000 }) // bytes
const transfer = fc.integer({ min: 1, max: 150_000 })
const cut: fc.Arbitrary<Cut> = fc.oneof(
  fc.record({
    at: fc.constantFrom('stored', 'given', 'read'),
    count: fc.integer({ min: 1, max: 8 }),
    lost: fc.constantFrom('connection of the requestor', 'connection of the responder', 'wire', 'streams')
  }),
  fc.record({
    at: fc.constant('bytes'),
    count: fc.oneof({ weight: 1, arbitrary: handshake }, { weight: 4, arbitrary: transfer }),
    lost: fc.constant('wire')
  })
)

const all: fc.Arbitrary<SelectorNode> = fc.record({
  l: fc.oneof(fc.constant({ none: {} }), fc.integer({ min: 1, max: 8 }).map(depth => ({ depth }))),
  stop: fc.option(fc.constantFrom(...stand), { freq: 2, nil: undefined })
}).map(({ l, stop }) => ({ R: { l, ':>': { a: { '>': { '@': {} } } }, ...(stop == null ? {} : { '!': { '/': stop } }) } }))

const cases: fc.Arbitrary<Case> = fc.record({
  dag: fc.array(drafts(), { minLength: 2, maxLength: 6 }).map(dags => dags.flat().slice(0, MOST_BLOCKS)),
  pads: fc.array(fc.constantFrom(0, 300, 5_000, 20_000, 60_000), { minLength: MOST_BLOCKS, maxLength: MOST_BLOCKS }),
  selector: fc.oneof({ weight: 3, arbitrary: all }, { weight: 1, arbitrary: selectors(stand) }),
  local: fc.array(fc.integer({ min: 0, max: 3 }).map(n => n === 0), { minLength: MOST_BLOCKS, maxLength: MOST_BLOCKS }),
  seed: fc.integer(),
  cuts: fc.array(cut, { minLength: 1, maxLength: 3 })
})

/** As the responder gets it: by the length of names, then by their bytes, of which all here are ASCII. */
function inDagCborOrder (node: any): any {
  if (typeof node !== 'object' || node === null || node instanceof CID) { return node }
  if (Array.isArray(node)) { return node.map(inDagCborOrder) }
  const entries = Object.entries(node).map(([name, item]): [string, unknown] => [name, inDagCborOrder(item)])
  if (!('f>' in node)) { return Object.fromEntries(entries) }
  const fields = Object.entries(node['f>']).sort(([a], [b]) => a.length - b.length || (a < b ? -1 : 1))
  return { 'f>': new Map(fields.map(([name, item]) => [name, inDagCborOrder(item)])) } // in an object 10 would be before a
}

interface Dag { cids: CID[], nodes: Map<string, Value>, blocks: Uint8Array[] }

/** The DAG that was drawn, with CIDs that hold. Each block links to the one before as well, or little would be reached. */
async function build ({ dag, pads, seed }: Case): Promise<Dag> {
  const random = new Random(seed)
  const [cids, blocks, nodes]: [CID[], Uint8Array[], Map<string, Value>] = [[], [], new Map()]
  for (const [i, draft] of dag.entries()) {
    const chained: Draft = { map: [['next', { link: i - 1 }], ['a', draft], ['pad', `${i}${'x'.repeat(pads[i])}`]] }
    const value = linked(i === 0 ? { map: [['a', draft]] } : chained, cids)
    const isJson = i % 2 === 0
    const bytes = isJson ? new TextEncoder().encode(json(value, random)) : Uint8Array.from(cbor(value, random))
    const cid = CID.createV1(isJson ? 0x0129 : 0x71, await sha256.digest(bytes))
    cids.push(cid)
    blocks.push(bytes)
    nodes.set(String(cid), value)
  }
  return { cids, blocks, nodes }
}

/** The selector with the links of the DAG. */
function withLinks (node: any, cids: CID[]): any {
  const number = stand.findIndex(cid => cid === node)
  if (number >= 0) { return cids[number % cids.length] }
  if (typeof node !== 'object' || node === null) { return node }
  if (Array.isArray(node)) { return node.map(item => withLinks(item, cids)) }
  return Object.fromEntries(Object.entries(node).map(([key, item]) => [key, withLinks(item, cids)]))
}

function walkOf ({ nodes, cids }: Dag, selector: SelectorNode): string[] | undefined {
  try {
    const loads = naiveWalk(cids[cids.length - 1], selector, nodes, MOST_LOADS)
    return loads.length < MOST_LOADS ? loads : undefined
  } catch (error) {
    if (error instanceof TooMuch) { return undefined }
    throw error
  }
}

/** Calls back for the n-th of each kind of event, one cut after the other. */
class Knife {
  made = 0
  private readonly cuts: Cut[]
  private readonly make: (cut: Cut, done: () => void) => void
  private count = 0

  constructor (cuts: Cut[], make: (cut: Cut, done: () => void) => void) {
    this.cuts = cuts
    this.make = make
    this.arm()
  }

  see (at: Cut['at']): void {
    const cut = this.cuts[this.made]
    if (cut?.at !== at || ++this.count < cut.count) { return }
    this.next()
    this.make(cut, () => {})
  }

  private next (): void {
    this.made++
    this.count = 0
    this.arm()
  }

  private arm (): void {
    const cut = this.cuts[this.made]
    if (cut?.at === 'bytes') { this.make(cut, () => { this.next() }) }
  }
}

describe('data transfer: pulls whose connection is cut', () => {
  let a: Libp2p
  let b: Libp2p
  let wire: Wire
  let initiator: Manager
  let responder: Manager
  let remote: LinkSystem
  let asked: (skipped: number) => void

  before(async () => {
    [a, b] = await Promise.all([createNode(), createNode()])
    wire = await Wire.to(b)
    initiator = new Manager({ libp2p: a }, QUICK)
    responder = new Manager({ libp2p: b })
    responder.graphsync.addValidator((_, { extensions = {} }) => {
      asked(extensions[DO_NOT_SEND_FIRST_BLOCKS] ?? 0)
      return undefined
    })
    responder.addVoucherType(VOUCHER.type, () => ({ accept: true, linkSystem: remote }))
    await Promise.all([initiator.start(), responder.start()])
  })
  after(async () => {
    await Promise.all([initiator.stop(), responder.stop()])
    await wire[Symbol.asyncDispose]()
    await Promise.all([a.stop(), b.stop()])
  })

  function lose (cut: Cut, onCut: () => void): void {
    if (cut.at === 'bytes') {
      wire.cutAfter(cut.count, onCut)
    } else if (cut.lost === 'wire') {
      wire.cut()
    } else {
      const node = cut.lost === 'connection of the responder' ? b : a
      for (const connection of node.getConnections()) {
        if (cut.lost !== 'streams') { connection.abort(new Error('cut')) }
        for (const stream of connection.streams) {
          if (stream.protocol === GRAPHSYNC_PROTOCOL) { stream.abort(new Error('cut')) }
        }
      }
    }
  }

  /** A new connection: what was cut at the end of the case before is over. */
  async function connect (): Promise<void> {
    wire.cut()
    for (const node of [a, b]) {
      while (node.getConnections().length > 0) { await new Promise(resolve => { node.addEventListener('connection:close', resolve, { once: true }) }) }
    }
    await a.dial(wire.addr)
  }

  it('give and store what a plain walk gives, each once and in order, and fetch no more than what lacks', async () => {
    let cuts = 0
    await fc.assert(fc.asyncProperty(cases, async drawn => {
      const dag = await build(drawn)
      const { cids, blocks } = dag
      const root = cids[cids.length - 1]
      const selector = withLinks(drawn.selector, cids)
      const loads = walkOf(dag, inDagCborOrder(selector))
      fc.pre(loads != null)
      const own = new Set(cids.filter((_, i) => drawn.local[i]).map(String))
      const gap = loads.findIndex(cid => !own.has(cid))
      const needed = new Set(gap < 0 ? [] : loads.slice(gap).filter(cid => !loads.slice(0, gap).includes(cid)))

      const [store, local] = [createLinkSystem(), createLinkSystem()]
      for (const [i, cid] of cids.entries()) {
        await store.put(cid, blocks[i])
        if (drawn.local[i]) { await local.put(cid, blocks[i]) }
      }
      remote = store
      const stored: string[] = []
      const skipped: Array<[number, number]> = []
      asked = skip => {
        const there = new Set([...own, ...stored])
        skipped.push([skip, loads.findIndex(cid => !there.has(cid))])
      }
      const [get, put] = [store.blockstore.get.bind(store.blockstore), local.blockstore.put.bind(local.blockstore)]
      store.blockstore.get = ((cid: CID, options: any) => {
        knife.see('read')
        return get(cid, options)
      }) as any
      local.blockstore.put = ((cid: CID, bytes: Uint8Array) => {
        void put(cid, bytes)
        stored.push(String(cid))
        knife.see('stored')
        return cid
      }) as any
      await connect()
      const knife = new Knife(drawn.cuts, lose)

      const { error, cids: given } = await outcome((async function * () {
        for await (const block of initiator.pull(b.peerId, VOUCHER, root, selector, { linkSystem: local })) {
          yield block
          knife.see('given')
        }
      })())
      wire.cutAfter(Infinity, () => {})
      equal(error, undefined, error?.stack)
      deepEqual(given, loads, 'what a plain walk gives')
      for (const cid of cids) {
        equal(await local.has(cid), own.has(String(cid)) || needed.has(String(cid)), 'what is stored')
      }
      equal(new Set(stored).size, stored.length, 'each block is fetched once')
      ok(stored.every(cid => needed.has(cid)), 'and none that was not needed')
      for (const [skip, prefix] of skipped) { equal(skip, prefix, 'nor asked for') }
      ok(skipped.length <= 1 + knife.made, `${skipped.length} requests after ${knife.made} cuts`)
      equal((initiator as any).pulls.size, 0)
      cuts += knife.made
    }), { numRuns: RUNS, endOnFailure: true }) // a smaller case would have other luck on the network
    ok(cuts > RUNS / 2, `${cuts} cuts in ${RUNS} pulls`)
  })
})
