import { DelayProxy } from './delay-proxy.ts'
import { PAIRS, withPair, type Pair, type PairInit } from './peers.ts'

export const PAYLOAD = 500
const SYNC_TIMEOUT = 300_000

/** Bytes are resident memory: the peak (VmHWM, set back before the sync) less what there was at idle, after a collection. */
export interface SyncFigures { ms: number, publisherPeak: number, subscriberPeak: number, publisherCpu: number, subscriberCpu: number }

/** delay: milliseconds each way, by a proxy between the two. */
export type SyncInit = Partial<PairInit> & { delay?: number }

/** One full sync by two fresh processes; the time is that of the sync call, with head query and connecting. */
export async function syncOnce (pair: Pair, count: number, { delay, ...init }: SyncInit = {}): Promise<SyncFigures> {
  return await withPair(pair, { payload: PAYLOAD, ...init, count }, async (publisher, subscriber) => {
    const [publisherIdle, subscriberIdle] = [await publisher.peer.call('idle', {}), await subscriber.peer.call('idle', {})]
    const { peerId } = publisher
    await using wire = delay == null ? undefined : await DelayProxy.start({ port: portOf(publisher.addrs), delay })
    const addrs = wire?.through(publisher.addrs) ?? publisher.addrs
    const result = await subscriber.peer.call('sync', { peerId, addrs }, SYNC_TIMEOUT)
    if (result.count !== count) { throw new Error(`${result.count} of ${count} blocks were synced`) }
    const [publisherEnd, subscriberEnd] = [await publisher.peer.call('stats', {}), await subscriber.peer.call('stats', {})]
    return {
      ms: result.ms,
      publisherPeak: publisherEnd.peak - publisherIdle.rss,
      subscriberPeak: subscriberEnd.peak - subscriberIdle.rss,
      publisherCpu: publisherEnd.cpu - publisherIdle.cpu,
      subscriberCpu: subscriberEnd.cpu - subscriberIdle.cpu
    }
  })
}

export function portOf (addrs: string[]): number {
  return Number(/\/tcp\/(\d+)/.exec(addrs.join())?.[1])
}

/** All four pairs, in turn, so that what else the machine does falls on all of them. */
export async function benchSync (
  count: number, runs: number, say: (text: string) => void, init?: SyncInit
): Promise<Map<string, SyncFigures[]>> {
  const figures = new Map<string, SyncFigures[]>(PAIRS.map(({ name }) => [name, []]))
  for (let run = 1; run <= runs; run++) {
    for (const pair of PAIRS) {
      const one = await syncOnce(pair, count, init)
      figures.get(pair.name)?.push(one)
      say(`sync of ${count}, run ${run}/${runs}, ${pair.name}: ${one.ms.toFixed(0)} ms`)
    }
  }
  return figures
}
