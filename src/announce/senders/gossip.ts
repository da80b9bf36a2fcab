import { InvalidOptionError } from '../../shared/errors.ts'
import { unlessAborted } from '../../shared/unless-aborted.ts'
import { encodeAnnounce } from '../message.ts'
import type { AnnounceMessage, AnnounceSender, PubSub } from '../../shared/types.ts'

/** How long a publish waits for streams, in milliseconds. They are open within some ms of a subscription, if at all. */
const STREAM_WAIT = 1_000
const STREAM_POLL = 5

/** What @libp2p/gossipsub shows of itself beyond PubSub. */
interface Gossipsub extends PubSub {
  streamsOutbound?: { has(peer: string): boolean }
  opts?: { emitSelf?: boolean }
}

export interface GossipSenderComponents { pubsub: PubSub }

export interface GossipSenderInit {
  topic: string

  /** Takes the place of a message's own. */
  extraData?: Uint8Array
}

/**
 * Announces over gossip, signed by the node. That nobody is subscribed is no error: `recipients` says how many peers it was
 * sent to. Go: announce/p2psender.
 *
 * Throws InvalidOptionError. send() throws InvalidMessageError, what the service throws, and the signal's reason.
 */
export function gossipSender (components: GossipSenderComponents, init: GossipSenderInit): AnnounceSender {
  const { pubsub } = components
  const { topic, extraData } = init
  if (typeof pubsub?.publish !== 'function') { throw new InvalidOptionError('pubsub', 'must be a pubsub service') }
  if (typeof topic !== 'string' || topic === '') { throw new InvalidOptionError('topic', 'must be a name') }
  if (extraData != null && !(extraData instanceof Uint8Array)) { throw new InvalidOptionError('extraData', 'must be a Uint8Array') }

  return {
    async send (message, { signal } = {}) {
      const goOn = (): void => signal?.throwIfAborted()
      const published = publish(pubsub, topic, { ...message, ...(extraData?.length && { extraData }) }, goOn)
      return { recipients: await unlessAborted(published, signal) }
    }
  }
}

/**
 * Publishes, and gives the number of peers that it was sent to.
 *
 * Gossipsub names a subscriber some ms before it can reach it. What is published in between goes to nobody, and cannot be
 * published again for two minutes. So wait, within limits; and when nobody can be reached, leave it unpublished.
 *
 * `goOn` throws when it is to end. The service itself takes no signal, and may be left behind.
 */
export async function publish (pubsub: Gossipsub, topic: string, message: AnnounceMessage, goOn: () => void): Promise<number> {
  goOn()
  const data = encodeAnnounce(message)
  if (pubsub.streamsOutbound != null) {
    const reached = await openStreams(pubsub, pubsub.streamsOutbound, topic, goOn)
    // with emitSelf it would still be heard here
    if (reached === 0 && pubsub.opts?.emitSelf !== true) { return 0 }
  }
  try {
    const { recipients } = await pubsub.publish(topic, data)
    return recipients.length
  } catch (err) {
    // plain errors, known by their text alone
    if (/^PublishError\.(Duplicate|NoPeersSubscribedToTopic|InsufficientPeers)/.test((err as Error)?.message)) { return 0 }
    throw err
  }
}

/** Waits for a stream to every subscriber, and gives how many have one. */
async function openStreams (
  pubsub: Gossipsub, streams: NonNullable<Gossipsub['streamsOutbound']>, topic: string, goOn: () => void
): Promise<number> {
  for (let waited = 0; ; waited += STREAM_POLL) { // not by the clock, which may be set
    const subscribers = pubsub.getSubscribers(topic)
    const reached = subscribers.filter(peer => streams.has(peer.toString())).length
    if (reached === subscribers.length || waited >= STREAM_WAIT) { return reached }
    await new Promise(resolve => setTimeout(resolve, STREAM_POLL))
    goOn()
  }
}
