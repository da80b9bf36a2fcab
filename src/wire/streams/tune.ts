import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { joinWrites } from './join.ts'
import { updateByHalves } from './window.ts'

const tuned = new WeakSet<Connection>()

/**
 * Spares packets, and the other side being woken for each: small frames go out in one write, and of what was read on the streams that
 * the other side opens it hears by halves of the window. What is not as @libp2p/yamux over TCP has it is left alone.
 */
export function tuneConnection (connection: Connection): void {
  if (tuned.has(connection)) { return }
  tuned.add(connection)
  joinWrites(connection)
  const { muxer, streams } = connection as Partial<Connection> & { muxer?: Partial<EventTarget> }
  streams?.forEach(updateByHalves)
  muxer?.addEventListener?.('stream', event => { updateByHalves((event as CustomEvent<Stream>).detail) })
}

/** Every connection of the node, until the function that it gives is called: gossip goes over streams that are not ours. */
export function tuneConnections (libp2p: Partial<Libp2p>): () => void {
  const onOpen = ({ detail }: CustomEvent<Connection>): void => { tuneConnection(detail) }
  libp2p.addEventListener?.('connection:open', onOpen)
  libp2p.getConnections?.().forEach(tuneConnection)
  return () => { libp2p.removeEventListener?.('connection:open', onOpen) }
}
