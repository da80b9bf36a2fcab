import { PAIRS, withPair, type Pair } from './peers.ts'
import { PAYLOAD } from './sync.ts'

const CHAIN = 1_000
const WARM_UP = 300 // the JIT of either Node process has then seen the path; after 25 it has not
const ANNOUNCES = 25

/** Milliseconds from just before each announce to its SyncFinished, of one new node each, by two processes that are warm. */
async function announceLatencies (pair: Pair): Promise<number[]> {
  return await withPair(pair, { count: CHAIN, payload: PAYLOAD, gossip: true }, async (publisher, subscriber) => {
    const { peerId, addrs } = publisher
    await subscriber.peer.call('sync', { peerId, addrs })
    await subscriber.peer.event('syncFinished')
    const { peerId: subscriberId, addrs: subscriberAddrs } = subscriber
    await publisher.peer.call('connect', { peerId: subscriberId, addrs: subscriberAddrs })
    await publisher.peer.call('gossipPeers', { count: 1 })

    const latencies: number[] = []
    for (let i = 0; i < WARM_UP + ANNOUNCES; i++) {
      const { head } = await publisher.peer.call('chain', { count: 1, payload: PAYLOAD })
      const { at } = await publisher.peer.call('announce', { via: 'gossip' })
      const finished = await subscriber.peer.event('syncFinished')
      if (finished.cid !== head || finished.count !== 1) { throw new Error(`not the sync that was announced: ${JSON.stringify(finished)}`) }
      if (i >= WARM_UP) { latencies.push((finished.at - at) / 1e3) }
    }
    return latencies
  })
}

/** All four pairs, in turn. */
export async function benchAnnounce (runs: number, say: (text: string) => void): Promise<Map<string, number[]>> {
  const figures = new Map<string, number[]>(PAIRS.map(({ name }) => [name, []]))
  for (let run = 1; run <= runs; run++) {
    for (const pair of PAIRS) {
      const latencies = await announceLatencies(pair)
      figures.get(pair.name)?.push(...latencies)
      say(`announce, run ${run}/${runs}, ${pair.name}: ${latencies.length} done`)
    }
  }
  return figures
}
