import type { Logger, Metrics } from '@libp2p/interface'
import { counters } from '../shared/counters.ts'
import type { Served } from '../syncers/httpsync/http-types.ts'

/** Counts what a publisher serves, where metrics are injected. */
export function servedMetrics (metrics?: Metrics, log?: Logger): ((served: Served) => void) | undefined {
  if (metrics == null) { return undefined }
  const counter = counters(metrics, 'dagsync_publisher', log)
  const heads = counter('heads', 'Answers with the head, or that it has not changed or is not there')
  const blocks = counter('blocks', 'Answers with a block, or that it has not changed')
  const bytes = counter('bytes', 'Bytes of heads and blocks')
  const missing = counter('missing', 'Requests for blocks that the store does not have')
  const failures = counter('failures', 'Requests that failed here')
  return ({ kind, status, bytes: size }) => {
    if (status >= 500) { return failures() }
    if (status === 404) { return missing() }
    const served = kind === 'head' ? heads : blocks
    served()
    bytes(size)
  }
}
