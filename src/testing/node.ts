import type { Libp2p, PrivateKey } from '@libp2p/interface'
import { gossipsubInit } from '../announce/topic.ts'

/** A libp2p node on loopback: TCP, TLS and noise, yamux, identify, gossipsub. */
export async function createNode (privateKey?: PrivateKey): Promise<Libp2p> {
  // Loaded when a node is asked for: the rest of the kit needs none of them.
  const [{ createLibp2p }, { tcp }, { tls }, { noise }, { yamux }, { identify }, { gossipsub }] = await Promise.all([
    import('libp2p'), import('@libp2p/tcp'), import('@libp2p/tls'), import('@libp2p/noise'), import('@libp2p/yamux'),
    import('@libp2p/identify'), import('@libp2p/gossipsub')
  ])
  return createLibp2p({
    ...(privateKey == null ? {} : { privateKey }),
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [tls(), noise()],
    streamMuxers: [yamux()],
    connectionManager: { inboundConnectionThreshold: 1_000, maxIncomingPendingConnections: 100 }, // all nodes of a test have one host
    services: { identify: identify(), pubsub: gossipsub(gossipsubInit()) }
  })
}
