import type { Libp2p } from '@libp2p/interface'
import { checkPeerId } from './check.ts'
import { InvalidOptionError } from './errors.ts'
import { checkAddrs } from './multiaddrs/bytes.ts'
import { isThenable } from './thenable.ts'
import type { PubSub } from './types.ts'

const NO_NODE = 'must be a node: await createLibp2p()'

interface Components {
  linkSystem?: unknown
  libp2p?: unknown
  pubsub?: unknown
  datastore?: unknown
  logger?: unknown
  metrics?: unknown
}

/** What a subscriber and a publisher are made from. Throws InvalidOptionError. */
export function checkComponents (components: Components | undefined): void {
  if (components?.linkSystem == null) { throw new InvalidOptionError('linkSystem', 'is needed') }
  const { linkSystem, libp2p, pubsub, datastore, logger, metrics } = components
  has('linkSystem', linkSystem, 'load', 'must be a link system, as createLinkSystem() makes it')
  if (libp2p != null) { checkNode(libp2p) }
  has('libp2p', libp2p, 'services', NO_NODE)
  if (pubsub != null && !isPubSub(pubsub)) { throw new InvalidOptionError('pubsub', 'must be a pubsub service, such as services.pubsub of a node') }
  has('datastore', datastore, 'get', 'must be a datastore')
  has('datastore', datastore, 'put', 'must be a datastore')
  has('logger', logger, 'forComponent', 'must be a logger, such as defaultLogger() of @libp2p/logger')
  has('metrics', metrics, 'registerCounter', 'must be metrics of js-libp2p')
}

/** Whom a syncer asks, and where. Throws InvalidOptionError. */
export function checkPublisher ({ peerId, addrs }: { peerId: unknown, addrs?: unknown }): void {
  checkPeerId('peerId', peerId)
  if (addrs !== undefined) { checkAddrs('addrs', addrs) }
}

/** The node's own pubsub service, under the name that is usual. */
export function pubsubOf (libp2p: Libp2p | undefined): PubSub | undefined {
  const pubsub = (libp2p?.services as Record<string, unknown> | undefined)?.pubsub
  return isPubSub(pubsub) ? pubsub : undefined
}

/** One who only announces needs less of it than one who listens. */
function isPubSub (value: any): value is PubSub {
  return typeof value?.publish === 'function' || typeof value?.getTopics === 'function'
}

/** Throws InvalidOptionError. */
export function checkNode (libp2p: unknown): void {
  if (libp2p == null || isThenable(libp2p)) { throw new InvalidOptionError('libp2p', NO_NODE) }
}

function has (field: string, component: unknown, member: string, problem: string): void {
  if (component != null && (component as any)[member] == null) { throw new InvalidOptionError(field, problem) }
}
