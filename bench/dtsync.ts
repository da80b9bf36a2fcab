import { DTSYNC, PAIRS, withPair, type Pair } from './peers.ts'
import { PAYLOAD, syncOnce, type SyncFigures, type SyncInit } from './sync.ts'
import { median, mib, table, times } from './table.ts'

const [GO, OURS, FROM_GO] = PAIRS
const MIB = 2 ** 20
const LATENCIES = 25
const WARM_UP = 300

/** A Go subscriber leaves a stream behind with every head query, and fails at the 76th of a connection; it needs no JIT either. */
const GO_WARM_UP = 25

/** Of docs/RECIPES.md: measured beside what node does without it. */
const LARGE_BLOCKS = ['--initial-old-space-size=512']
const LITTLE_MEMORY = ['--max-semi-space-size=8']

/** What is measured, and what the package must reach beside Go v0.4.0 in the same run; ratios of blocks a second. */
interface Row {
  name: string
  count: number
  init?: SyncInit
  ours: number
  fromGo?: number
  memory?: number
  ofRaw?: number

  /** Of Node: measured with them too, beside what node does without any. */
  flags?: string[]
}

const ROWS: Row[] = [
  { name: '1,000 ads', count: 1_000, ours: 2.2, fromGo: 1 },
  { name: '10,000 ads in one sync', count: 10_000, ours: 50, fromGo: 4, memory: 60 * MIB },
  { name: '10,000 ads in segments of 1,000', count: 10_000, init: { segmentDepthLimit: 1_000 }, ours: 8, fromGo: 1.2 },
  { name: '200 dag-cbor blocks of 1 MiB', count: 200, init: { payload: MIB, codec: 'dag-cbor' }, ours: 1, fromGo: 1, ofRaw: 0.6, flags: LARGE_BLOCKS },
  { name: '200 dag-json blocks of 1 MiB payload', count: 200, init: { payload: MIB }, ours: 3, fromGo: 1 },
  { name: '1,000 ads at 40 ms round trip', count: 1_000, init: { delay: 20 }, ours: 1 }
]

const flagged = (name: string, flags?: string[]): string => [name, ...flags ?? []].join(' ')
const of = (all: SyncFigures[], key: keyof SyncFigures): number => median(all.map(one => one[key]))

/** Milliseconds for one new ad each, by two processes that are warm: of a sync, or from an announce to its SyncFinished. */
async function latencies (pair: Pair, gossip: boolean): Promise<number[]> {
  return await withPair(pair, { count: 1_000, payload: PAYLOAD, gossip, wire: DTSYNC }, async (publisher, subscriber) => {
    const { peerId, addrs } = publisher
    await subscriber.peer.call('sync', { peerId, addrs })
    await subscriber.peer.event('syncFinished')
    if (gossip) {
      await publisher.peer.call('connect', { peerId: subscriber.peerId, addrs: subscriber.addrs })
      await publisher.peer.call('gossipPeers', { count: 1 })
    }
    const warmUp = pair.subscriber === 'Go' ? GO_WARM_UP : WARM_UP
    const all: number[] = []
    for (let i = 0; i < warmUp + LATENCIES; i++) {
      await publisher.peer.call('chain', { count: 1, payload: PAYLOAD })
      if (gossip) {
        const { at } = await publisher.peer.call('announce', { via: 'gossip' })
        const finished = await subscriber.peer.event('syncFinished')
        if (finished.count !== 1) { throw new Error(`not the sync that was announced: ${JSON.stringify(finished)}`) }
        all.push((finished.at - at) / 1e3)
      } else {
        const { ms, count } = await subscriber.peer.call('sync', { peerId, addrs })
        if (count !== 1) { throw new Error(`${count} blocks in place of one`) }
        await subscriber.peer.event('syncFinished')
        all.push(ms)
      }
    }
    return all.slice(warmUp)
  })
}

/** Milliseconds for as many bytes over a stream of libp2p, by two fresh processes, with connecting. */
async function rawStream (count: number, flags?: string[]): Promise<number> {
  return await withPair(OURS, { count: 1, payload: 1, wire: DTSYNC, flags }, async (publisher, subscriber) => {
    const { peerId, addrs } = publisher
    await publisher.peer.call('serveRaw', { count, size: MIB })
    const { bytes, ms } = await subscriber.peer.call('pullRaw', { peerId, addrs })
    if (bytes !== count * MIB) { throw new Error(`${bytes} bytes in place of ${count} MiB`) }
    return ms
  })
}

/** Every row of dtsync, the pairs in turn. */
export async function benchDtsync (runs: number, say: (text: string) => void): Promise<string> {
  const lines: string[][] = []
  const required: string[][] = []
  const check = (what: string, wanted: string, reached: string, met: boolean): void => {
    required.push([what, wanted, reached, met ? 'met' : 'MISSED'])
  }

  const run = async (name: string, pair: typeof GO, count: number, init?: SyncInit): Promise<SyncFigures> => {
    const one = await syncOnce(pair, count, { ...init, wire: DTSYNC })
    say(`${name}, ${pair.name}: ${one.ms.toFixed(0)} ms`)
    return one
  }
  for (const { name, count, init, ours, fromGo, memory, ofRaw, flags } of ROWS) {
    const all = [GO, OURS, FROM_GO].map(pair => ({ pair, as: name, init, figures: [] as SyncFigures[] }))
    if (flags != null) {
      for (const pair of [OURS, FROM_GO]) { all.push({ pair, as: flagged('the same,', flags), init: { ...init, flags }, figures: [] }) }
    }
    const raws = (ofRaw == null ? [] : [undefined, flags]).map(flags => ({ flags, ms: [] as number[] }))
    for (let i = 0; i < runs; i++) {
      for (const { pair, as, init, figures } of all) { figures.push(await run(as, pair, count, init)) }
      for (const { flags, ms } of raws) { ms.push(await rawStream(count, flags)) }
    }
    const rates = all.map(({ figures }) => count / of(figures, 'ms') * 1e3)
    all.forEach(({ pair, as, figures }, i) => {
      lines.push([
        as, pair.name, of(figures, 'ms').toFixed(0), rates[i].toFixed(0), times(rates[i] / rates[0]),
        mib(of(figures, 'publisherPeak')), mib(of(figures, 'subscriberPeak'))
      ])
    })
    for (const { flags, ms } of raws) {
      lines.push([flagged(`${count} MiB over a stream of libp2p`, flags), OURS.name, median(ms).toFixed(0), '', '', '', ''])
    }
    for (const at of flags == null ? [0] : [0, 2]) { // those with flags come behind the three without
      const as = at === 0 ? name : flagged(name, flags)
      const [mine, fromGoRate] = [rates[1 + at] / rates[0], rates[2 + at] / rates[0]]
      check(`${as}, ours`, `>= ${times(ours)}`, times(mine), mine >= ours)
      if (fromGo != null) { check(`${as}, ours from Go`, `>= ${times(fromGo)}`, times(fromGoRate), fromGoRate >= fromGo) }
      if (ofRaw != null) {
        const share = median(raws[at / 2].ms) / of(all[1 + at].figures, 'ms')
        check(`${as}, ours, of a stream of libp2p`, `>= ${times(ofRaw)}`, times(share), share >= ofRaw)
      }
    }
    if (memory != null) {
      for (const side of ['publisherPeak', 'subscriberPeak'] as const) {
        const peak = of(all[1].figures, side)
        check(`${name}, ours, ${side}, MiB`, `<= ${mib(memory)}`, mib(peak), peak <= memory)
      }
    }
  }

  const discarded = [undefined, LITTLE_MEMORY].flatMap(flags => [10_000, 100_000].map(count => {
    return { as: flagged(`${count} ads into a store that discards`, flags), count, flags, figures: [] as SyncFigures[] }
  }))
  for (let i = 0; i < runs; i++) {
    for (const { as, count, flags, figures } of discarded) { figures.push(await run(as, OURS, count, { store: 'discard', flags })) }
  }
  for (const { as, count, figures } of discarded) {
    const ms = of(figures, 'ms')
    lines.push([as, OURS.name, ms.toFixed(0), (count / ms * 1e3).toFixed(0), '', mib(of(figures, 'publisherPeak')), mib(of(figures, 'subscriberPeak'))])
  }
  for (const at of [0, 2]) {
    const [small, large] = [discarded[at].figures, discarded[at + 1].figures]
    const as = flagged('100,000 ads', discarded[at].flags)
    const slower = (of(large, 'ms') / 10) / of(small, 'ms')
    check(`${as}, time of each to 10,000`, '<= 1.20 x', times(slower), slower <= 1.2)
    const growth = of(large, 'subscriberPeak') - of(small, 'subscriberPeak')
    check(`${as}, MiB above 10,000`, '<= 20.0', mib(growth), growth <= 20 * MIB)
  }

  for (const [name, gossip, limit] of [['one new ad, warm', false, 1], ['one new ad, from gossip announce', true, 1.5]] as const) {
    const medians = new Map<typeof GO, number>()
    for (const pair of [GO, OURS, FROM_GO]) {
      const all: number[] = []
      for (let i = 0; i < runs; i++) { all.push(...await latencies(pair, gossip)) }
      medians.set(pair, median(all))
      say(`${name}, ${pair.name}: ${median(all).toFixed(2)} ms`)
    }
    const base = medians.get(GO) ?? NaN
    for (const [pair, ms] of medians) { lines.push([name, pair.name, ms.toFixed(2), '', times(base / ms), '', '']) }
    const ratio = (medians.get(OURS) ?? NaN) / base
    check(`${name}, time of Go`, `<= ${times(limit)}`, times(ratio), ratio <= limit)
  }

  const header = ['dtsync, Go v0.4.0', '', 'ms', 'blocks/s', 'of Go to Go', 'publisher MiB', 'subscriber MiB']
  return `${table(header, lines)}\n\n${table(['what', 'required', 'reached', ''], required)}`
}
