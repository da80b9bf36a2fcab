/**
 * @packageDocumentation
 *
 * A publisher has a chain of IPLD blocks with a moving head; subscribers keep a copy of it in step. This is the TypeScript
 * port of Go's `dagsync` (go-libipni), and talks with Go peers of both of its generations.
 *
 * @example A subscriber
 *
 * ```ts
 * import { multiaddr } from '@multiformats/multiaddr'
 * import { createLinkSystem, createSubscriber } from 'dagsync'
 *
 * await using subscriber = await createSubscriber({ linkSystem: createLinkSystem() })
 * const head = await subscriber.sync(multiaddr('/ip4/127.0.0.1/tcp/3104/http/p2p/12D3KooW...'))
 * ```
 *
 * @example A publisher
 *
 * ```ts
 * import { generateKeyPair } from '@libp2p/crypto/keys'
 * import { createLinkSystem, createPublisher } from 'dagsync'
 *
 * const linkSystem = createLinkSystem()
 * const privateKey = await generateKeyPair('Ed25519')
 * await using publisher = await createPublisher({ linkSystem, privateKey }, { http: { listen: '127.0.0.1:3104' } })
 * await publisher.updateRoot(await linkSystem.store({ hello: 'world' }))
 * ```
 */

import { Publisher } from './publisher/publisher.ts'
import type { PublisherComponents, PublisherInit, SubscriberComponents, SubscriberInit } from './shared/types.ts'
import { Subscriber } from './subscriber/subscriber.ts'

export { gossipsubInit } from './announce/topic.ts'
export * from './shared/errors.ts'
export type * from './shared/types.ts'
export { createLinkSystem } from './store/link-system.ts'
export { makeGeneralBlockHook } from './subscriber/general-hook.ts'
export type { PreviousAdCid } from './subscriber/general-hook.ts'
export { Publisher, Subscriber }

/**
 * new Subscriber + start. Throws InvalidOptionError and, with a receiver, what the pubsub service throws, e.g. when the node is not
 * started.
 */
export async function createSubscriber (components: SubscriberComponents, init?: SubscriberInit): Promise<Subscriber> {
  const subscriber = new Subscriber(components, init)
  await subscriber.start()
  return subscriber
}

/** new Publisher + start. Throws InvalidOptionError, and what listening throws. */
export async function createPublisher (components: PublisherComponents, init?: PublisherInit): Promise<Publisher> {
  const publisher = new Publisher(components, init)
  await publisher.start()
  return publisher
}
