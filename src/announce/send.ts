import { toCid } from '../shared/check.ts'
import { ANNOUNCE_TIMEOUT } from '../shared/constants.ts'
import { AnnounceError, InvalidOptionError } from '../shared/errors.ts'
import { checkAddr } from '../shared/multiaddrs/bytes.ts'
import { LONGEST_TIMER, positive } from '../shared/positive.ts'
import { toError } from '../shared/reason.ts'
import { unlessAborted } from '../shared/unless-aborted.ts'
import { within } from '../shared/within.ts'
import type { AnnounceMessage, AnnounceResult, AnnounceSender } from '../shared/types.ts'
import type { AbortOptions } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { CID } from 'multiformats/cid'

/**
 * Tells a head to every sender, one after the other. One result for each, in order; none when there are no senders or
 * nothing to announce. One that takes longer than its `timeout` has failed, with a TimeoutError. Go: announce.Send.
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
      const { recipients } = await send(sender, { cid: announced, addrs: addrs.map(addr => addr.bytes) }, options.signal)
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

async function send (sender: AnnounceSender, message: AnnounceMessage, signal?: AbortSignal): ReturnType<AnnounceSender['send']> {
  const { timeout = ANNOUNCE_TIMEOUT } = sender
  // a sender may not listen to the signal
  const sent = async (signal?: AbortSignal): ReturnType<AnnounceSender['send']> => unlessAborted(sender.send(message, { signal }), signal)
  if (timeout === false) { return sent(signal) }
  positive('timeout', timeout, LONGEST_TIMER)
  return within('timeout', timeout, [signal], sent)
}
