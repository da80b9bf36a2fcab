import { buildGo, GO_PEERS, type GoVersion } from '../test/interop/go-build.ts'
import { Peer, type ChainCodec, type PublisherAddress } from '../test/interop/go-peer.ts'

export const TOPIC = '/indexer/ingest/bench'

export type Side = 'Go' | 'ours'
/** A publisher and a subscriber of it. */
export interface Pair { publisher: Side, subscriber: Side }

/** What they speak, and the version of Go that speaks it: the last one with dtsync is v0.4.0. */
export interface Wire { name: string, go: GoVersion, transport: 'http' | 'dtsync' | 'libp2phttp' }
export const HTTP: Wire = { name: 'plain HTTP', go: 'v078', transport: 'http' }
export const STREAMS: Wire = { name: 'libp2p streams', go: 'v078', transport: 'libp2phttp' }
export const DTSYNC: Wire = { name: 'dtsync', go: 'v040', transport: 'dtsync' }

/** CPU profiles of our processes go to this folder. */
const { BENCH_PROFILE } = process.env
const PROFILE = BENCH_PROFILE == null ? [] : ['--cpu-prof', `--cpu-prof-dir=${BENCH_PROFILE}`]

export const PAIRS: Array<Pair & { name: string }> = [
  { name: 'Go to Go', publisher: 'Go', subscriber: 'Go' },
  { name: 'ours to ours', publisher: 'ours', subscriber: 'ours' },
  { name: 'ours from Go', publisher: 'Go', subscriber: 'ours' },
  { name: 'Go from ours', publisher: 'ours', subscriber: 'Go' }
]

export interface Running extends PublisherAddress { peer: Peer }

export interface PeerInit {
  store?: 'discard'
  wire?: Wire

  /** Of Node, for ours. */
  flags?: string[]
}

/** Starts a process and its libp2p node. */
export async function startPeer (side: Side, seed: number, { store, wire = HTTP, flags = [] }: PeerInit): Promise<Running> {
  const { dir, toolchain } = GO_PEERS[wire.go]
  const peer = side === 'Go'
    ? new Peer(`Go ${wire.go}`, await buildGo(dir, toolchain))
    : new Peer('ours', process.execPath, ['--expose-gc', ...PROFILE, ...flags, `${import.meta.dirname}/peer.js`])
  try {
    return { peer, ...await peer.call('start', { seed: Buffer.alloc(32, seed).toString('base64'), store }) }
  } catch (error) {
    await peer.stop()
    throw error
  }
}

export interface PairInit extends PeerInit {
  count: number
  payload: number
  gossip?: boolean
  /** dag-cbor only over dtsync: over HTTP blocks go as dag-json. */
  codec?: ChainCodec
  segmentDepthLimit?: number

  /** Chunks of each of so many advertisements; absent: nodes, not advertisements. */
  entries?: number
}

/** What the publisher serves: the first chunk of each advertisement, the oldest one first. */
export interface Served { entries: string[] }

/** Runs `use` with a fresh publisher that serves a chain, by default over plain HTTP, and a fresh subscriber; stops both. */
export async function withPair<T> (
  pair: Pair, init: PairInit, use: (publisher: Running, subscriber: Running, served: Served) => Promise<T>
): Promise<T> {
  const { wire = HTTP, store, flags, segmentDepthLimit, count, payload, codec, entries = 0 } = init
  const running: Running[] = []
  try {
    const publisher = await startPeer(pair.publisher, 1, { wire, flags })
    running.push(publisher)
    const subscriber = await startPeer(pair.subscriber, 2, { wire, store, flags })
    running.push(subscriber)
    if (init.gossip === true) {
      await publisher.peer.call('gossip', { topic: TOPIC })
      await subscriber.peer.call('gossip', { topic: TOPIC })
    }
    const kind = entries > 0 ? 'ad' : 'node'
    const chain = await publisher.peer.call('chain', { count, payload, codec, kind, entries, list: entries > 0 }, 120_000)
    const { addrs } = await publisher.peer.call('publisher', { transport: wire.transport, topic: TOPIC })
    await subscriber.peer.call('subscriber', { topic: TOPIC, receive: init.gossip === true, segmentDepthLimit })
    const served = { entries: (chain.entries ?? []).filter((_, i) => i % entries === 0) }
    return await use({ ...publisher, addrs }, subscriber, served)
  } finally {
    await Promise.all(running.map(async ({ peer }) => { await peer.stop() }))
  }
}
