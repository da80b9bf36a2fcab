import type { Stream } from '@libp2p/interface'

/** Whether either side has reset it. */
export function isBroken ({ status }: Stream): boolean {
  return status === 'reset' || status === 'aborted'
}
