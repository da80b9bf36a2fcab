// HTTP over sockets and over libp2p streams: what one withstands the other has to withstand, so tests run over both.
import { after } from 'node:test'
import type { ComponentLogger, Libp2p } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import type { LinkSystem } from '../../src/shared/types.ts'
import { createHttpSyncer, createIpnisyncSyncer } from '../../src/syncers/index.ts'
import type { HttpSyncer, HttpSyncerInit } from '../../src/syncers/index.ts'
import { StreamSocket } from '../../src/testing/stream-socket.ts'
import { createNode } from '../wire/nodes.ts'
import { publish } from './httpsync-servers.ts'
import type { TestPublisher } from './httpsync-servers.ts'

type Answer = Parameters<typeof publish>[2]

export interface Carrier {
  name: string
  overStreams: boolean

  /** As publish(), reachable over this carrier. */
  publish (linkSystem: LinkSystem, root: CID | undefined, answer?: Answer): Promise<TestPublisher>
  syncer (publisher: TestPublisher, linkSystem: LinkSystem, init?: Partial<HttpSyncerInit>, logger?: ComponentLogger): HttpSyncer
}

const client = await createNode()
after(async () => { await client.stop() })

/** What a publisher is reached by. */
const nodes = new WeakMap<TestPublisher, Libp2p>()

export const carriers: Carrier[] = [
  {
    name: 'HTTP',
    overStreams: false,
    publish,
    syncer: (publisher, linkSystem, init = {}, logger) =>
      createHttpSyncer({ linkSystem, logger }, { peerId: publisher.peerId, addrs: [publisher.addr], ...init })
  },
  {
    name: 'HTTP on libp2p streams',
    overStreams: true,
    publish: async (linkSystem: LinkSystem, root: CID | undefined, answer?: Answer): Promise<TestPublisher> => {
      const publisher = await publish(linkSystem, root, answer)
      const node = await createNode('tls', publisher.privateKey)
      await node.handle('/http/1.1', stream => { publisher.accept(new StreamSocket(stream)) }, { maxInboundStreams: 1_000 })
      nodes.set(publisher, node)
      const end = publisher[Symbol.asyncDispose].bind(publisher)
      publisher[Symbol.asyncDispose] = async () => {
        await node.stop()
        await end()
      }
      return publisher
    },
    syncer: (publisher, linkSystem, init = {}, logger) =>
      createIpnisyncSyncer({ linkSystem, libp2p: client, logger }, {
        peerId: publisher.peerId, addrs: nodes.get(publisher)?.getMultiaddrs(), ...init
      })
  }
]
