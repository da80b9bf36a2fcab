import type { Run } from './run.ts'

/**
 * Does the work for each item, for so many at once, begun in their order. The first failure aborts the run, and with it the others;
 * it is thrown when they have ended.
 */
export async function each<T> (items: T[], concurrency: number, run: Run, work: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values()
  const worker = async (): Promise<void> => {
    try {
      for (const item of rest) {
        run.signal.throwIfAborted()
        await work(item)
      }
    } catch (error) {
      run.abort(error)
    }
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, worker))
  run.signal.throwIfAborted()
}
