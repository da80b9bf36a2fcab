import { buildGo, GO_PEERS } from '../test/interop/go-build.ts'
import { Peer, type PublisherAddress } from '../test/interop/go-peer.ts'

export const TOPIC = '/indexer/ingest/bench'

export type Side = 'Go' | 'ours'
/** A publisher and a subscriber of it. */
export interface Pair { publisher: Side, subscriber: Side }

export const PAIRS: Array<Pair & { name: string }> = [
  { name: 'Go to Go', publisher: 'Go', subscriber: 'Go' },
  { name: 'ours to ours', publisher: 'ours', subscriber: 'ours' },
  { name: 'ours from Go', publisher: 'Go', subscriber: 'ours' },
  { name: 'Go from ours', publisher: 'ours', subscriber: 'Go' }
]

export interface Running extends PublisherAddress { peer: Peer }

/** Starts a process and its libp2p node. */
export async function startPeer (side: Side, seed: number, store?: 'discard'): Promise<Running> {
  const { dir, toolchain } = GO_PEERS.v078
  const peer = side === 'Go'
    ? new Peer('Go v0.7.8', await buildGo(dir, toolchain))
    : new Peer('ours', process.execPath, ['--expose-gc', `${import.meta.dirname}/peer.js`])
  try {
    return { peer, ...await peer.call('start', { seed: Buffer.alloc(32, seed).toString('base64'), store }) }
  } catch (error) {
    await peer.stop()
    throw error
  }
}

/** Runs `use` with a fresh publisher that serves a chain over plain HTTP, and a fresh subscriber; stops both. */
export async function withPair<T> (
  pair: Pair, init: { count: number, payload: number, store?: 'discard', gossip?: boolean },
  use: (publisher: Running, subscriber: Running) => Promise<T>
): Promise<T> {
  const running: Running[] = []
  try {
    const publisher = await startPeer(pair.publisher, 1)
    running.push(publisher)
    const subscriber = await startPeer(pair.subscriber, 2, init.store)
    running.push(subscriber)
    if (init.gossip === true) {
      await publisher.peer.call('gossip', { topic: TOPIC })
      await subscriber.peer.call('gossip', { topic: TOPIC })
    }
    await publisher.peer.call('chain', { count: init.count, payload: init.payload }, 120_000)
    const { addrs } = await publisher.peer.call('publisher', {})
    await subscriber.peer.call('subscriber', { topic: TOPIC, receive: init.gossip === true })
    return await use({ ...publisher, addrs }, subscriber)
  } finally {
    await Promise.all(running.map(async ({ peer }) => { await peer.stop() }))
  }
}
