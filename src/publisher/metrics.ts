import type { Counter, Metrics } from '@libp2p/interface'
import type { Served } from '../syncers/httpsync/http-types.ts'

/** Counts what a publisher serves, where metrics are injected. */
export function servedMetrics (metrics?: Metrics): ((served: Served) => void) | undefined {
  if (metrics == null) { return undefined }
  const counter = (name: string, help: string): Counter => metrics.registerCounter(`dagsync_publisher_${name}_total`, { help })
  const heads = counter('heads', 'Answers with the head, or that it has not changed or is not there')
  const blocks = counter('blocks', 'Answers with a block, or that it has not changed')
  const bytes = counter('bytes', 'Bytes of heads and blocks')
  const missing = counter('missing', 'Requests for blocks that the store does not have')
  const failures = counter('failures', 'Requests that failed here')
  return ({ kind, status, bytes: size }) => {
    if (status >= 500) { return failures.increment() }
    if (status === 404) { return missing.increment() }
    (kind === 'head' ? heads : blocks).increment()
    bytes.increment(size)
  }
}
