// The parity tests run over each of these.
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Libp2p } from '@libp2p/interface'
import type { Subscriber } from '../../src/subscriber/subscriber.ts'
import type { LinkSystem } from '../../src/shared/types.ts'
import type { TestNet, TestPublisher, TestPublisherInit, TestSubscriberInit } from '../../src/testing/index.ts'
import { subscribed, TOPIC } from './hall.ts'

export interface Transport {
  name: string
  isHttp: boolean
  publisher (net: TestNet, init?: TestPublisherInit): Promise<TestPublisher>
  subscriber (net: TestNet, init?: TestSubscriberInit): Promise<{ subscriber: Subscriber, linkSystem: LinkSystem }>
}

export const transports: Transport[] = [
  {
    name: 'HTTP',
    isHttp: true,
    publisher: async (net, init) => net.publisher(init),
    subscriber: async (net, init) => net.subscriber(init)
  },
  {
    name: 'HTTP by fetch',
    isHttp: true,
    publisher: async (net, init) => net.publisher(init),
    subscriber: async (net, init) => net.subscriber({ fetch: globalThis.fetch, ...init })
  },
  overLibp2p('dtsync'),
  overLibp2p('ipnisync')
]

/** Both sides with this transport only. */
function overLibp2p (name: 'dtsync' | 'ipnisync'): Transport {
  const off = name === 'dtsync' ? { ipnisync: false as const } : { dtsync: false as const }
  return {
    name,
    isHttp: false,
    publisher: async (net: TestNet, init: TestPublisherInit = {}): Promise<TestPublisher> => {
      const privateKey = init.components?.privateKey ?? await generateKeyPair('Ed25519')
      const libp2p = init.components?.libp2p ?? await net.node({ privateKey })
      const components = { ...init.components, libp2p, privateKey }
      return net.publisher({ http: false, ...off, ...init, topic: init.topic ?? TOPIC, components })
    },
    subscriber: async (net: TestNet, init: TestSubscriberInit = {}): ReturnType<Transport['subscriber']> => {
      const libp2p = init.components?.libp2p ?? await net.node()
      return net.subscriber({ topic: TOPIC, transports: ['http', name], ...init, components: { ...init.components, libp2p } })
    }
  }
}

/** The same with a publisher that misbehaves. */
export interface FaultyTransport extends Transport {
  faulty (net: TestNet, init?: Parameters<TestNet['faultyPublisher']>[0]): ReturnType<TestNet['faultyPublisher']>
}

/** What plain HTTP withstands HTTP over libp2p streams has to withstand: tests of faults run over both. */
export const faultyTransports: FaultyTransport[] = [
  { ...transports[0], faulty: async (net, init) => net.faultyPublisher(init) },
  {
    ...overLibp2p('ipnisync'),
    faulty: async (net: TestNet, init: Parameters<TestNet['faultyPublisher']>[0] = {}): ReturnType<TestNet['faultyPublisher']> => {
      const privateKey = await generateKeyPair('Ed25519')
      const libp2p = await net.node({ privateKey })
      return net.faultyPublisher({ ...init, components: { ...init.components, libp2p, privateKey } })
    }
  }
]

/** A publisher on a libp2p node that announces over gossip. */
export async function gossipPublisher (
  transport: Transport, net: TestNet, init: TestPublisherInit = {}
): Promise<TestPublisher & { node: Libp2p }> {
  const privateKey = await generateKeyPair('Ed25519')
  const node = await net.node({ privateKey })
  const made = await transport.publisher(net, { topic: TOPIC, ...init, components: { ...init.components, libp2p: node, privateKey } })
  return Object.defineProperties({ node }, Object.getOwnPropertyDescriptors(made)) as TestPublisher & { node: Libp2p }
}

/** A subscriber on a libp2p node that hears the gossip of the publishers. */
export async function gossipSubscriber (
  transport: Transport, net: TestNet, publishers: Libp2p[], init: TestSubscriberInit = {}
): Promise<{ subscriber: Subscriber, linkSystem: LinkSystem, node: Libp2p }> {
  const node = await net.node({ connect: publishers })
  const components = { ...init.components, libp2p: node }
  const made = await transport.subscriber(net, { topic: TOPIC, receiver: {}, ...init, components })
  for (const publisher of publishers) { await subscribed(publisher, node) }
  return { ...made, node }
}
