import { syncOnce, type SyncFigures } from './sync.ts'

const COUNTS = [10_000, 100_000]

/** Ours to ours into a store that discards: what is left is what a sync itself needs, which the chain's length must not change. */
export async function benchMemory (runs: number, say: (text: string) => void): Promise<Map<number, SyncFigures[]>> {
  const figures = new Map<number, SyncFigures[]>(COUNTS.map(count => [count, []]))
  for (let run = 1; run <= runs; run++) {
    for (const count of COUNTS) {
      const one = await syncOnce({ publisher: 'ours', subscriber: 'ours' }, count, { store: 'discard' })
      figures.get(count)?.push(one)
      say(`sync of ${count} into a store that discards, run ${run}/${runs}: ${one.ms.toFixed(0)} ms`)
    }
  }
  return figures
}
