import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Libp2p, PeerId, PeerInfo, PrivateKey } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { Publisher } from '../publisher/publisher.ts'
import type {
  LinkSystem, PublisherComponents, PublisherInit, SubscriberComponents, SubscriberInit
} from '../shared/types.ts'
import { createLinkSystem } from '../store/link-system.ts'
import { Subscriber } from '../subscriber/subscriber.ts'
import { chain } from './chain.ts'
import { FaultyPublisher, type FaultyPublisherInit } from './faulty-publisher.ts'
import { createNode } from './node.ts'

/** How a publisher of a TestNet begins. */
export interface TestPublisherInit extends PublisherInit {
  /**
   * How many nodes its chain has.
   *
   * @default 0
   */
  chain?: number

  /** Payload of each node, in bytes; chain()'s default. */
  payload?: number

  /** Chains of other seeds have other CIDs. Absent: each publisher of the net has its own. */
  seed?: number

  /** Present: what the publisher is made with, in place of what the net makes. */
  components?: Partial<PublisherComponents>
}

/** How a subscriber of a TestNet begins. */
export interface TestSubscriberInit extends SubscriberInit {
  components?: Partial<SubscriberComponents>
}

/** A publisher with a chain. */
export interface TestPublisher {
  publisher: Publisher
  linkSystem: LinkSystem
  id: PeerId
  info: PeerInfo

  /** CIDs of its chain, the newest first. */
  cids: CID[]

  /** Adds nodes to the chain and makes the last one the root; gives their CIDs, the newest first. */
  extend(count: number): Promise<CID[]>
}

/**
 * Nodes, publishers and subscribers in one process, on loopback; all of them end with the net.
 *
 * node() needs libp2p, @libp2p/tcp, @libp2p/tls, @libp2p/noise, @libp2p/yamux, @libp2p/identify and @libp2p/gossipsub beside
 * this package; the rest needs nothing.
 */
export class TestNet implements AsyncDisposable {
  readonly #open: Array<() => Promise<unknown> | unknown> = []
  #seed = 0

  /** A libp2p node with the gossip settings that Go peers of dagsync have, connected to the given ones. */
  async node (options: { privateKey?: PrivateKey, connect?: Libp2p[] } = {}): Promise<Libp2p> {
    const node = await createNode(options.privateKey)
    this.#open.push(async () => node.stop())
    for (const other of options.connect ?? []) { await node.dial(other.getMultiaddrs()) }
    return node
  }

  /** A publisher over plain HTTP (and over what else its components give) with a chain. */
  async publisher (init: TestPublisherInit = {}): Promise<TestPublisher> {
    const { chain: count = 0, payload, seed = ++this.#seed, components = {}, ...rest } = init
    const linkSystem = components.linkSystem ?? createLinkSystem()
    const privateKey = components.privateKey ?? await generateKeyPair('Ed25519')
    const cids = await chain(linkSystem, count, { payload, seed })
    const publisher = new Publisher({ ...components, linkSystem, privateKey }, { http: { listen: '127.0.0.1:0' }, root: cids[0], ...rest })
    await publisher.start()
    this.#open.push(async () => publisher.stop())
    return {
      publisher,
      linkSystem,
      cids,
      id: publisher.id,
      get info () { return { id: publisher.id, multiaddrs: publisher.addrs() } },
      async extend (more) {
        const added = await chain(linkSystem, more, { payload, seed, previous: cids[0], index: cids.length })
        cids.unshift(...added)
        await publisher.setRoot(cids[0])
        return added
      }
    }
  }

  /** A publisher that misbehaves; see FaultyPublisher. */
  async faultyPublisher (init: FaultyPublisherInit & Pick<TestPublisherInit, 'chain' | 'payload' | 'components'> = {}):
  Promise<{ publisher: FaultyPublisher, linkSystem: LinkSystem, cids: CID[] }> {
    const { chain: count = 0, payload, components: { linkSystem = createLinkSystem(), privateKey, libp2p } = {}, ...rest } = init
    const cids = await chain(linkSystem, count, { payload, seed: ++this.#seed })
    const publisher = await FaultyPublisher.start({ linkSystem, privateKey, libp2p }, { root: cids[0], ...rest })
    this.#open.push(async () => publisher.stop())
    return { publisher, linkSystem, cids }
  }

  /** A started subscriber; its store is in memory unless components say otherwise. */
  async subscriber (init: TestSubscriberInit = {}): Promise<{ subscriber: Subscriber, linkSystem: LinkSystem }> {
    const { components = {}, ...rest } = init
    const linkSystem = components.linkSystem ?? createLinkSystem()
    const subscriber = new Subscriber({ ...components, linkSystem }, rest)
    await subscriber.start()
    this.#open.push(async () => subscriber.stop())
    return { subscriber, linkSystem }
  }

  /** Ends all of it, the newest first. Throws what the first one that failed throws, when all have ended. */
  async [Symbol.asyncDispose] (): Promise<void> {
    const errors: unknown[] = []
    for (let end = this.#open.pop(); end != null; end = this.#open.pop()) {
      try { await end() } catch (error) { errors.push(error) }
    }
    if (errors.length > 0) { throw errors[0] }
  }
}
