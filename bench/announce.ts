import { PAIRS, withPair, type Pair } from './peers.ts'
import { PAYLOAD } from './sync.ts'

const CHAIN = 1_000

/**
 * Announces before those that are measured. After 300 both Node processes run the path, but mostly as baseline code; after 3,000,
 * which is some minutes of an indexer's life, it is optimized.
 */
export const WARM_UPS = [300, 3_000]
const ANNOUNCES = 25

/** Milliseconds by pair, of one warm-up. */
export type Latencies = Map<string, number[]>

/** Milliseconds from just before each announce to its SyncFinished, of one new node each, by two processes; one list per warm-up. */
async function announceLatencies (pair: Pair): Promise<number[][]> {
  return await withPair(pair, { count: CHAIN, payload: PAYLOAD, gossip: true }, async (publisher, subscriber) => {
    const { peerId, addrs } = publisher
    await subscriber.peer.call('sync', { peerId, addrs })
    await subscriber.peer.event('syncFinished')
    const { peerId: subscriberId, addrs: subscriberAddrs } = subscriber
    await publisher.peer.call('connect', { peerId: subscriberId, addrs: subscriberAddrs })
    await publisher.peer.call('gossipPeers', { count: 1 })

    const latencies: number[] = []
    while (latencies.length < Math.max(...WARM_UPS) + ANNOUNCES) {
      const { head } = await publisher.peer.call('chain', { count: 1, payload: PAYLOAD })
      const { at } = await publisher.peer.call('announce', { via: 'gossip' })
      const finished = await subscriber.peer.event('syncFinished')
      if (finished.cid !== head || finished.count !== 1) { throw new Error(`not the sync that was announced: ${JSON.stringify(finished)}`) }
      latencies.push((finished.at - at) / 1e3)
    }
    return WARM_UPS.map(warmUp => latencies.slice(warmUp, warmUp + ANNOUNCES))
  })
}

/** All four pairs, in turn. */
export async function benchAnnounce (runs: number, say: (text: string) => void): Promise<Map<number, Latencies>> {
  const figures = new Map<number, Latencies>(WARM_UPS.map(warmUp => [warmUp, new Map(PAIRS.map(({ name }) => [name, []]))]))
  for (let run = 1; run <= runs; run++) {
    for (const pair of PAIRS) {
      const latencies = await announceLatencies(pair)
      WARM_UPS.forEach((warmUp, i) => { figures.get(warmUp)?.get(pair.name)?.push(...latencies[i]) })
      say(`announce, run ${run}/${runs}, ${pair.name}: done`)
    }
  }
  return figures
}
