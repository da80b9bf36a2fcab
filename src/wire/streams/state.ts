import { ConnectionClosedError } from '@libp2p/interface'
import type { Stream } from '@libp2p/interface'

/** Whether either side has reset it. */
export function isBroken ({ status }: Stream): boolean {
  return status === 'reset' || status === 'aborted'
}

/** Throws ConnectionClosedError for a stream that was over before anyone listened: no event will tell. */
export function checkOpen ({ status }: Stream): void {
  if (status !== 'open') { throw new ConnectionClosedError(`the stream is ${status}`) }
}
