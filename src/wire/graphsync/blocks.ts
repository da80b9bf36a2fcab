import type { GraphsyncBlock } from '../../shared/types/graphsync.ts'

/** What gives its blocks one by one, without a promise where there is nothing to wait for. */
export interface BlockSource {
  /** undefined at the end. */
  next(): GraphsyncBlock | undefined | Promise<GraphsyncBlock | undefined>
  close(): void
}

/** Its blocks as a generator, which closes it. */
export async function * blocksOf (source: BlockSource): AsyncGenerator<GraphsyncBlock, void, undefined> {
  try {
    for (;;) {
      const step = source.next()
      const block = step instanceof Promise ? await step : step
      if (block == null) { return }
      yield block
    }
  } finally {
    source.close()
  }
}
