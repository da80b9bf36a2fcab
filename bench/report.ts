import { median, mib, spread, table, times } from './table.ts'
import type { Latencies } from './announce.ts'
import { ADS, CHUNKS, type EntriesFigures } from './entries.ts'
import type { HamtFigures } from './hamt.ts'
import { HTTP } from './peers.ts'
import { PAYLOAD, type SyncFigures } from './sync.ts'
import type { WalkFigures } from './walks.ts'

const GO = 'Go to Go'
const OURS = 'ours to ours'

/** What the package must reach beside Go v0.7.8, in the same run on the same machine. */
const REQUIRED = {
  blocksPerSecond: 1.8,
  streams: 1.5,
  memory: 1 / 10,
  announce: 2,
  growth: 20 * 2 ** 20,
  entries: { roundTrip: 40, times: 10 },
  walk: { 'dag-json': 60_000, 'dag-cbor': 90_000 }
}

export interface Measured {
  sync10000?: Map<string, SyncFigures[]>
  streams?: Map<string, SyncFigures[]>
  entries?: EntriesFigures[]
  announce?: Map<number, Latencies>
  memory?: Map<number, SyncFigures[]>
  walk?: WalkFigures[]
}

const of = (figures: SyncFigures[] | undefined, key: keyof SyncFigures): number => median((figures ?? []).map(one => one[key]))

export function syncReport (count: number, runs: number, figures: Map<string, SyncFigures[]>, wire = HTTP.name): string {
  const rate = (name: string): number => count / of(figures.get(name), 'ms') * 1e3
  const rows = [...figures].map(([name, all]) => [
    name, spread(all.map(one => one.ms)), rate(name).toFixed(0), times(rate(name) / rate(GO)),
    of(all, 'publisherCpu').toFixed(0), of(all, 'subscriberCpu').toFixed(0),
    mib(of(all, 'publisherPeak')), mib(of(all, 'subscriberPeak'))
  ])
  return [
    `Full sync of ${count} dag-json nodes with ${PAYLOAD} bytes of payload over ${wire}, ${runs} runs (min / median / max, else medians).`,
    'Memory: peak less idle before the sync, MiB (VmHWM, set back at idle, less VmRSS).\n',
    table(['', 'ms', 'blocks/s', 'of Go to Go', 'publisher CPU ms', 'subscriber CPU ms', 'publisher MiB', 'subscriber MiB'], rows)
  ].join('\n')
}

export function announceReport (figures: Map<number, Latencies>): string {
  const rows = [...figures].flatMap(([warmUp, latencies]) => {
    const base = median(latencies.get(GO) ?? [])
    return [...latencies].map(([name, all]) => [String(warmUp), name, spread(all, 2), times(median(all) / base), String(all.length)])
  })
  const header = ['after so many', '', 'ms (min / median / max)', 'of Go to Go', 'announces']
  return `Gossip announce to SyncFinished of one new node.\n\n${table(header, rows)}`
}

export function memoryReport (figures: Map<number, SyncFigures[]>): string {
  const rows = [...figures].map(([count, all]) => [
    String(count), (count / of(all, 'ms') * 1e3).toFixed(0), mib(of(all, 'publisherPeak')), mib(of(all, 'subscriberPeak'))
  ])
  const note = 'Ours to ours into a store that discards, medians; MiB as above.'
  return `${note}\n\n${table(['nodes', 'blocks/s', 'publisher MiB', 'subscriber MiB'], rows)}`
}

const chunkRate = ({ ads, ms }: EntriesFigures): number => ads * CHUNKS / median(ms) * 1e3

/** Of one with the same wire and round trip. */
function entriesRatio (all: EntriesFigures[], { wire, roundTrip, ...one }: EntriesFigures): number {
  const base = all.find(other => other.wire === wire && other.roundTrip === roundTrip && other.pair === GO)
  return base == null ? NaN : chunkRate({ wire, roundTrip, ...one }) / chunkRate(base)
}

export function entriesReport (all: EntriesFigures[]): string {
  const rows = all.map(one => [
    one.wire, String(one.roundTrip), one.pair, String(one.ads), spread(one.ms), chunkRate(one).toFixed(0),
    times(entriesRatio(all, one)), mib(median(one.peaks))
  ])
  const note = `Entries of ${ADS} advertisements with ${CHUNKS} chunks each: Go one chain after the other, ours with the default concurrency.`
  return `${note}\n\n${table(['over', 'round trip ms', '', 'ads', 'ms (min / median / max)', 'blocks/s', 'of Go to Go', 'subscriber MiB'], rows)}`
}

export function hamtReport (all: HamtFigures[]): string {
  const rate = ({ nodes, ms }: HamtFigures): number => nodes / median(ms) * 1e3
  const rows = all.map(one => {
    const base = all.find(({ wire, roundTrip, pair }) => wire === one.wire && roundTrip === one.roundTrip && pair === GO)
    const ratio = base == null ? NaN : rate(one) / rate(base)
    return [one.wire, String(one.roundTrip), one.pair, spread(one.ms), rate(one).toFixed(0), times(ratio)]
  })
  const note = `Entries of one advertisement as a HAMT of ${all[0].nodes} nodes, default options.`
  return `${note}\n\n${table(['over', 'round trip ms', '', 'ms (min / median / max)', 'blocks/s', 'of Go to Go'], rows)}`
}

export function walkReport (figures: WalkFigures[]): string {
  const rows = figures.map(one => [one.codec, one.selector, one.hashed ? 'yes' : 'no', String(one.bytes), String(one.blocksPerSecond)])
  return `The walk alone, from memory, medians.\n\n${table(['codec', 'selector', 'hashed', 'bytes', 'blocks/s'], rows)}`
}

/** Rows of what is required, what was reached, and whether it was met, of the parts that ran. */
export function requirements ({ sync10000, streams, entries, announce, memory, walk }: Measured): string[][] {
  const rows: string[][] = []
  const row = (what: string, required: string, reached: string, met: boolean): void => {
    rows.push([what, required, reached, met ? 'met' : 'MISSED'])
  }
  for (const [what, figures, wanted] of [
    ['10,000 nodes', sync10000, REQUIRED.blocksPerSecond], ['10,000 nodes over streams', streams, REQUIRED.streams]
  ] as const) {
    if (figures == null) { continue }
    const faster = of(figures.get(GO), 'ms') / of(figures.get(OURS), 'ms')
    row(`${what}, blocks/s of Go`, `>= ${times(wanted)}`, times(faster), faster >= wanted)
    const less = of(figures.get(OURS), 'subscriberPeak') / of(figures.get(GO), 'subscriberPeak')
    row(`${what}, subscriber memory of Go`, `<= ${times(REQUIRED.memory)}`, times(less), less <= REQUIRED.memory)
  }
  for (const one of entries ?? []) {
    if (one.pair !== OURS || one.roundTrip !== REQUIRED.entries.roundTrip) { continue }
    const ratio = entriesRatio(entries ?? [], one)
    row(`entries over ${one.wire} at ${one.roundTrip} ms, blocks/s of Go`, `>= ${times(REQUIRED.entries.times)}`, times(ratio), ratio >= REQUIRED.entries.times)
  }
  for (const [warmUp, latencies] of announce ?? []) {
    const slower = median(latencies.get(OURS) ?? []) / median(latencies.get(GO) ?? [])
    row(`announce to SyncFinished after ${warmUp}, of Go`, `<= ${times(REQUIRED.announce)}`, times(slower), slower <= REQUIRED.announce)
  }
  if (memory != null) {
    const growth = of(memory.get(100_000), 'subscriberPeak') - of(memory.get(10_000), 'subscriberPeak')
    row('100,000 nodes, MiB above the peak of 10,000', `<= ${mib(REQUIRED.growth)}`, mib(growth), growth <= REQUIRED.growth)
  }
  for (const [codec, required] of Object.entries(REQUIRED.walk)) {
    const rate = walk?.find(one => one.codec === codec && one.selector === 'explore all' && one.hashed)?.blocksPerSecond
    if (rate != null) { row(`walk of ${codec} with hashing, blocks/s`, `>= ${required}`, String(rate), rate >= required) }
  }
  return rows
}
