import type { AbortOptions, Libp2p, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { isNotFound } from './not-found.ts'

/** The addresses that a node's peer store has of a peer; none when it does not know the peer. */
export async function storedAddrs (libp2p: Pick<Libp2p, 'peerStore'>, peerId: PeerId, options?: AbortOptions): Promise<Multiaddr[]> {
  try {
    const { addresses } = await libp2p.peerStore.get(peerId, options)
    return addresses.map(({ multiaddr }) => multiaddr)
  } catch (error) {
    if (isNotFound(error)) { return [] }
    throw error
  }
}
