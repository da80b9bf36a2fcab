import type { AbortOptions } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { TransportUnavailableError } from '../shared/errors.ts'
import type { Announce, LinkSystem } from '../shared/types.ts'

/** What an announced sync has failed with, for its event. */
export function announceError ({ addrs, peerId }: Announce, cause: unknown, filterIPs = false): Error {
  if (cause instanceof TransportUnavailableError && addrs.length === 0 && filterIPs) {
    return new TransportUnavailableError(peerId, [...cause.tried, 'announced: no address that filterIPs takes'], { cause })
  }
  return cause instanceof Error ? cause : new Error(String(cause), { cause })
}

/** Whether all these blocks are stored. */
export async function hasAll (linkSystem: LinkSystem, cids: CID[], { signal }: AbortOptions): Promise<boolean> {
  for (const cid of cids) {
    if (!await linkSystem.has(cid, { signal })) { return false }
  }
  return true
}
