import type { ComponentLogger, Libp2p, Metrics, PeerId, PrivateKey } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Datastore } from 'interface-datastore'
import type { CID } from 'multiformats/cid'
import type { AnnounceSender, PubSub } from './announce.ts'
import type { DataTransfer } from './data-transfer.ts'
import type { LinkSystem } from './store.ts'

export interface PublisherComponents {
  /** Where the blocks are that are served. */
  linkSystem: LinkSystem

  /** Serves over libp2p. Absent: only HTTP. */
  libp2p?: Libp2p

  /** Absent: `libp2p.services.pubsub` when there is one. */
  pubsub?: PubSub

  /** Signs heads. With a node it is the node's own key, and needed unless `ipnisync: false`; else InvalidOptionError. */
  privateKey?: PrivateKey

  /** Keeps the root across restarts, under /dagsync/v1. Absent: in memory. */
  datastore?: Datastore

  /** Absent: the node's logger when there is a node, else none. */
  logger?: ComponentLogger

  /** Absent: the node's metrics when there are any. */
  metrics?: Metrics
}

/** Each transport: absent is its default, false is off. Nothing left to serve on: InvalidOptionError. */
export interface PublisherInit {
  /** What it is announced on over gossip, and the head's over dtsync: e.g. '/indexer/ingest/mainnet'. */
  topic?: string

  /** The head at the start. Absent: what the datastore has. */
  root?: CID

  /** Plain HTTP; needs privateKey. Absent: off. */
  http?: HttpPublisherInit | false

  /** Head protocol, graphsync and data transfer. Absent: on with a node and a topic. */
  dtsync?: DtsyncPublisherInit | false

  /**
   * HTTP over libp2p streams; needs privateKey. Absent: on with a node. A node has one head there: that of its first publisher, while
   * the blocks of all are served; where there is one already, asking for it (`{}`) is an InvalidOptionError.
   */
  ipnisync?: IpnisyncPublisherInit | false

  /** Absent: a gossip sender when there is pubsub and a topic. The caller stops senders that it passes in. */
  senders?: AnnounceSender[]

  /**
   * What announcements carry. Absent: public HTTP addresses if there are any, else public libp2p ones; private ones only
   * when nothing else exists. At most 64.
   */
  announceAddrs?: Multiaddr[]
}

export interface DtsyncPublisherInit {
  /** Whether a peer may sync; heads are told to everybody. Says so at once: a promise is no yes. Absent: all may. */
  allowPeer?: (peer: PeerId) => boolean

  /**
   * Graphsync requests in progress on the node, each way; further ones wait. The same for all that share the node.
   *
   * @default { inbound: 1024, outbound: 1024 }
   */
  maxGraphsyncRequests?: { inbound?: number, outbound?: number }

  /** An existing data transfer manager, which its owner starts and stops. Absent: one per node is made and shared. */
  dataTransfer?: DataTransfer
}

export interface IpnisyncPublisherInit {
  /** Signed into the head. v0.3.2 peers refuse a head that has one. Absent: none. */
  headTopic?: string
}

export interface HttpPublisherInit {
  /** 'host:port'; port 0 takes a free one. Absent: no server, mount handleRequest(). */
  listen?: string

  /** Where handleRequest() is reachable when it is mounted elsewhere: HTTP addresses, without the handlerPath. */
  addrs?: Multiaddr[]

  /** A path that all resources are under, such as 'ipni-provider'. */
  handlerPath?: string

  /** Signed into the head. v0.3.2 peers refuse a head that has one. Absent: none. */
  headTopic?: string
}
