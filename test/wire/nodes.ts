import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import type { Connection, Libp2p, PrivateKey, Stream } from '@libp2p/interface'
import { createLibp2p } from 'libp2p'

export type Encrypter = 'tls' | 'noise'

/** A node that speaks nothing but what a test makes it speak: TCP on loopback, yamux. */
export async function createNode (encrypter: Encrypter = 'tls', privateKey?: PrivateKey): Promise<Libp2p> {
  return await createLibp2p({
    ...(privateKey == null ? {} : { privateKey }),
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [encrypter === 'tls' ? tls() : noise()],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
    connectionManager: { inboundConnectionThreshold: 10_000, maxIncomingPendingConnections: 1_000 }
  })
}

export interface Pair extends AsyncDisposable {
  a: Libp2p
  b: Libp2p
}

/** Two nodes, a connected to b. */
export async function createPair (encrypter: Encrypter = 'tls', keys: { a?: PrivateKey, b?: PrivateKey } = {}): Promise<Pair> {
  const [a, b] = await Promise.all([createNode(encrypter, keys.a), createNode(encrypter, keys.b)])
  await a.dial(b.getMultiaddrs())
  return {
    a,
    b,
    async [Symbol.asyncDispose] () {
      await Promise.all([a.stop(), b.stop()])
    }
  }
}

/** A stream that a has opened to b, both ends. */
export async function openStream ({ a, b }: Pair, protocol = '/test/1.0.0'): Promise<[Stream, Stream]> {
  const { promise, resolve } = Promise.withResolvers<Stream>()
  await b.handle(protocol, stream => { resolve(stream) })
  const near = await a.dialProtocol(b.peerId, protocol)
  near.send(new Uint8Array(0))
  return [near, await promise]
}

/** Counts what goes to the socket that is under a connection of TCP from now on. */
export function countWrites (connection: Connection): { writes: number } {
  const count = { writes: 0 }
  const { socket } = (connection as any).maConn
  const { write } = socket
  socket.write = (...args: unknown[]) => {
    count.writes++
    return write.apply(socket, args)
  }
  return count
}
