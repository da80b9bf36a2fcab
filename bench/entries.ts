import { DelayProxy } from './delay-proxy.ts'
import { HTTP, PAIRS, STREAMS, withPair, type Pair, type Wire } from './peers.ts'
import { portOf } from './sync.ts'

export const ADS = 100
export const CHUNKS = 10
const ROUND_TRIPS = [0, 40, 200]
const SYNC_TIMEOUT = 300_000

/** Go makes a round trip for each chunk: 200 ms of it are measured over fewer, the rate is the same. */
const adsOf = (pair: Pair, roundTrip: number): number => pair.subscriber === 'Go' && roundTrip > 100 ? ADS / 20 : ADS

export interface EntriesFigures { wire: string, roundTrip: number, pair: string, ads: number, ms: number[], peaks: number[] }

/** Syncs the entries of advertisements by two fresh processes; the time is that of the calls, with connecting. */
async function entriesOnce (pair: Pair, wire: Wire, roundTrip: number, ads: number): Promise<{ ms: number, peak: number }> {
  return await withPair(pair, { count: ads, payload: 50, entries: CHUNKS, wire }, async (publisher, subscriber, { entries }) => {
    const { peerId } = publisher
    await using delayed = roundTrip === 0 ? undefined : await DelayProxy.start({ port: portOf(publisher.addrs), delay: roundTrip / 2 })
    const addrs = delayed?.through(publisher.addrs) ?? publisher.addrs
    const { rss } = await subscriber.peer.call('idle', {})
    const { ms, count } = await subscriber.peer.call('syncEntries', { peerId, addrs, cids: entries }, SYNC_TIMEOUT)
    if (count !== ads * CHUNKS) { throw new Error(`${count} of ${ads * CHUNKS} chunks were synced`) }
    return { ms, peak: (await subscriber.peer.call('stats', {})).peak - rss }
  })
}

/** Go one chain after the other, which is all that it can do; ours with the default concurrency. */
export async function benchEntries (runs: number, say: (text: string) => void): Promise<EntriesFigures[]> {
  const all: EntriesFigures[] = []
  for (const wire of [HTTP, STREAMS]) {
    for (const roundTrip of ROUND_TRIPS) {
      const figures = PAIRS.filter(({ publisher, subscriber }) => publisher === subscriber || subscriber === 'ours').map(pair => {
        return { pair, wire: wire.name, roundTrip, ads: adsOf(pair, roundTrip), ms: [] as number[], peaks: [] as number[] }
      })
      for (let run = 1; run <= runs; run++) {
        for (const { pair, ads, ms, peaks } of figures) {
          const one = await entriesOnce(pair, wire, roundTrip, ads)
          ms.push(one.ms)
          peaks.push(one.peak)
          say(`entries over ${wire.name} at ${roundTrip} ms, run ${run}/${runs}, ${pair.name}: ${one.ms.toFixed(0)} ms for ${ads} ads`)
        }
      }
      all.push(...figures.map(({ pair, ...rest }) => ({ ...rest, pair: pair.name })))
    }
  }
  return all
}
