import { toCid } from '../shared/check.ts'
import { AnnounceError, InvalidOptionError } from '../shared/errors.ts'
import { checkAddr } from '../shared/multiaddrs/bytes.ts'
import { toError } from '../shared/reason.ts'
import { unlessAborted } from '../shared/unless-aborted.ts'
import type { AnnounceResult, AnnounceSender } from '../shared/types.ts'
import type { AbortOptions } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { CID } from 'multiformats/cid'

/**
 * Tells a head to every sender, one after the other. One result for each, in order; none when there are no senders or
 * nothing to announce. Go: announce.Send.
 *
 * Throws InvalidOptionError, InvalidMultiaddrError, AnnounceError when all of them failed, and the signal's reason.
 */
export async function sendAnnounce (
  cid: CID, addrs: Multiaddr[], senders: AnnounceSender[], options: AbortOptions = {}
): Promise<AnnounceResult[]> {
  if (!Array.isArray(senders)) { throw new InvalidOptionError('senders', 'must be a list of announce senders') }
  if (cid == null || senders.length === 0) { return [] }
  const announced = toCid('cid', cid)
  addrs.forEach(checkAddr)
  const results: AnnounceResult[] = []
  for (const sender of senders) {
    options.signal?.throwIfAborted()
    try {
      const sent = sender.send({ cid: announced, addrs: addrs.map(addr => addr.bytes) }, options)
      const { recipients } = await unlessAborted(sent, options.signal) // a sender may not listen to it
      results.push({ sender, ...(recipients != null && { recipients }) })
    } catch (err) {
      options.signal?.throwIfAborted()
      results.push({ sender, error: toError(err) })
    }
  }
  const errors = results.flatMap(({ error }) => error ?? [])
  if (errors.length === senders.length) { throw new AnnounceError(errors) }
  return results
}
