import type { Logger, Metrics as Libp2pMetrics } from '@libp2p/interface'
import { counters } from '../shared/counters.ts'
import type { SyncedBlock } from '../shared/types.ts'

/** What a Subscriber counts, where metrics are injected. */
export interface Metrics {
  block(block: SyncedBlock): void
  sync(result: 'finished' | 'failed'): void
  announce(): void
}

export function createMetrics (metrics?: Libp2pMetrics, log?: Logger): Metrics | undefined {
  if (metrics == null) { return undefined }
  const counter = counters(metrics, 'dagsync', log)
  const local = counter('blocks_local', 'Block loads of syncs that the store had')
  const fetched = counter('blocks_fetched', 'Blocks that syncs fetched, verified and stored')
  const bytes = counter('bytes_fetched', 'Bytes of the fetched blocks')
  const finished = counter('syncs_finished', 'Syncs that ended well')
  const failed = counter('syncs_failed', 'Syncs that failed or were aborted')
  const announces = counter('announces', 'Announcements that were let in')
  return {
    block (block) {
      if (block.local) { return local() }
      fetched()
      bytes(block.bytes)
    },
    sync: result => { (result === 'finished' ? finished : failed)() },
    announce: () => { announces() }
  }
}
