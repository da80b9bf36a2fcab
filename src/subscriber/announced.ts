import type { AbortOptions } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { TransportUnavailableError } from '../shared/errors.ts'
import { toError } from '../shared/reason.ts'
import type { Announce, LinkSystem } from '../shared/types.ts'
import type { Pulled, PullInit } from './pull.ts'

/** What an announced sync has failed with, for its event. */
export function announceError ({ addrs, peerId }: Announce, cause: unknown, filterIPs = false): Error {
  if (cause instanceof TransportUnavailableError && addrs.length === 0 && filterIPs) {
    return new TransportUnavailableError(peerId, [...cause.tried, 'announced: no address that filterIPs takes'], { cause })
  }
  return toError(cause)
}

/** Those of the blocks that are not stored. */
export async function lacking (linkSystem: LinkSystem, cids: CID[], { signal }: AbortOptions): Promise<CID[]> {
  const lacking: CID[] = []
  for (const cid of cids) {
    if (!await linkSystem.has(cid, { signal })) { lacking.push(cid) }
  }
  return lacking
}

/** Pulls those that may be above what is here, where no head says which one is the newest: it is the one that the others are below. */
export async function pullAbove (
  newest: CID, cids: CID[], pull: (order: Pick<PullInit, 'cid' | 'stop' | 'expected'>) => Promise<Pulled>
): Promise<{ newest: CID, count: number }> {
  let count = 0
  while (cids.length > 0) {
    const [cid, ...expected] = cids
    const pulled = await pull({ cid, stop: newest, expected })
    count += pulled.count
    if (pulled.metStop) { newest = cid }
    cids = pulled.unmet
  }
  return { newest, count }
}
