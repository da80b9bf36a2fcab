// HTTP over sockets and over libp2p streams: what one withstands the other has to withstand, so tests run over both.
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { after } from 'node:test'
import type { ComponentLogger, Libp2p, Stream } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import type { LinkSystem } from '../../src/shared/types.ts'
import { createHttpSyncer, createIpnisyncSyncer } from '../../src/syncers/index.ts'
import type { HttpSyncer, HttpSyncerInit } from '../../src/syncers/index.ts'
import { send, StreamReader } from '../../src/wire/streams.ts'
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

/** What a publisher over sockets has been made reachable by. */
const relays = new WeakMap<TestPublisher, Libp2p>()

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
      const relay = await createNode('tls', publisher.privateKey)
      await relay.handle('/http/1.1', stream => { join(stream, connect(publisher.port, '127.0.0.1')) }, { maxInboundStreams: 1_000 })
      relays.set(publisher, relay)
      const end = publisher[Symbol.asyncDispose].bind(publisher)
      publisher[Symbol.asyncDispose] = async () => {
        await relay.stop()
        await end()
      }
      return publisher
    },
    syncer: (publisher, linkSystem, init = {}, logger) =>
      createIpnisyncSyncer({ linkSystem, libp2p: client, logger }, {
        peerId: publisher.peerId, addrs: relays.get(publisher)?.getMultiaddrs(), ...init
      })
  }
]

/** Bytes go both ways as they come; an end is passed on as an end, a reset as a reset. */
function join (stream: Stream, socket: Socket): void {
  const reader = new StreamReader(stream)
  const reset = (): void => {
    socket.resetAndDestroy()
    stream.abort(new Error('the other side is gone'))
  }
  const outwards = async (): Promise<void> => {
    for (let chunk = await reader.read(); chunk != null; chunk = await reader.read()) { socket.write(chunk) }
    socket.end()
  }
  const inwards = async (): Promise<void> => {
    for await (const chunk of socket) { await send(stream, [chunk], { timeout: 60_000 }) }
    await stream.close()
  }
  outwards().catch(reset)
  inwards().catch(reset)
}
