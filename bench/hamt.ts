import { createHash, randomBytes } from 'node:crypto'
import * as dagJson from '@ipld/dag-json'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { DelayProxy } from './delay-proxy.ts'
import { HTTP, PAIRS, STREAMS, withPair, type Pair, type Wire } from './peers.ts'
import { portOf } from './sync.ts'

const WIDTH = 8
const DEPTH = 2
const ROUND_TRIPS = [0, 40]
const SYNC_TIMEOUT = 300_000

interface Block { cid: string, bytes: string }
export interface HamtFigures { wire: string, roundTrip: number, pair: string, nodes: number, ms: number[] }

/** A HAMT in the form of IPLD's HashMap: each node has so many below it. The root is first. */
function hamt (depth = DEPTH, top = true): Block[] {
  const below = depth === 0 ? [] : Array.from({ length: WIDTH }, () => hamt(depth - 1, false))
  const node = [randomBytes(32), [...below.map(([child]) => CID.parse(child.cid)), [[randomBytes(34), true]]]]
  const bytes = dagJson.encode(top ? { hashAlg: 0x12, bucketSize: 3, hamt: node } : node)
  const cid = CID.createV1(dagJson.code, Digest.create(0x12, createHash('sha256').update(bytes).digest()))
  return [{ cid: cid.toString(), bytes: Buffer.from(bytes).toString('base64') }, ...below.flat()]
}

/** Syncs one HAMT by two fresh processes; the time is that of the call, with connecting. */
async function hamtOnce (pair: Pair, wire: Wire, roundTrip: number, blocks: Block[]): Promise<number> {
  return await withPair(pair, { count: 1, payload: 50, wire }, async (publisher, subscriber) => {
    for (const block of blocks) { await publisher.peer.call('put', block) }
    const { peerId } = publisher
    await using delayed = roundTrip === 0 ? undefined : await DelayProxy.start({ port: portOf(publisher.addrs), delay: roundTrip / 2 })
    const addrs = delayed?.through(publisher.addrs) ?? publisher.addrs
    const { ms, count } = await subscriber.peer.call('sync', { peerId, addrs, entries: blocks[0].cid, kind: 'hamt' }, SYNC_TIMEOUT)
    if (count !== blocks.length) { throw new Error(`${count} of ${blocks.length} nodes were synced`) }
    return ms
  })
}

export async function benchHamt (runs: number, say: (text: string) => void): Promise<HamtFigures[]> {
  const all: HamtFigures[] = []
  const blocks = hamt()
  for (const wire of [HTTP, STREAMS]) {
    for (const roundTrip of ROUND_TRIPS) {
      const pairs = PAIRS.filter(({ publisher, subscriber }) => publisher === subscriber || subscriber === 'ours')
      const figures = pairs.map(pair => ({ pair, ms: [] as number[] }))
      for (let run = 1; run <= runs; run++) {
        for (const { pair, ms } of figures) {
          ms.push(await hamtOnce(pair, wire, roundTrip, blocks))
          say(`HAMT over ${wire.name} at ${roundTrip} ms, run ${run}/${runs}, ${pair.name}: ${ms.at(-1)?.toFixed(0)} ms`)
        }
      }
      all.push(...figures.map(({ pair, ms }) => ({ wire: wire.name, roundTrip, pair: pair.name, nodes: blocks.length, ms })))
    }
  }
  return all
}
