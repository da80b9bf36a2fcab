import type { AbortOptions, Libp2p, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { HTTP_TIMEOUT } from './constants.ts'
import { TransportUnavailableError } from './errors.ts'
import { storedAddrs } from './stored-addrs.ts'
import { unlessAborted } from './unless-aborted.ts'
import { within } from './within.ts'

/**
 * Sees to it that libp2p knows where a peer is, since streams are opened by the peer id alone; undefined: they are connected.
 *
 * Throws TransportUnavailableError, which names the transport that needs it, and the signal's reason.
 */
export function makeReachable (
  libp2p: Libp2p, peerId: PeerId, addrs: Multiaddr[], transport: string, options: AbortOptions
): Promise<void> | undefined {
  return libp2p.getConnections(peerId).length > 0 ? undefined : tellOrFind(libp2p, peerId, addrs, transport, options)
}

async function tellOrFind (
  libp2p: Libp2p, peerId: PeerId, addrs: Multiaddr[], transport: string, { signal }: AbortOptions
): Promise<void> {
  if (addrs.length > 0) {
    await libp2p.peerStore.merge(peerId, { multiaddrs: addrs }, { signal })
  } else if ((await storedAddrs(libp2p, peerId, { signal })).length === 0) {
    try {
      await within('peer routing timeout', HTTP_TIMEOUT, [signal], async signal =>
        unlessAborted(libp2p.peerRouting.findPeer(peerId, { signal }), signal)) // a router may not look at it
    } catch (cause) {
      signal?.throwIfAborted()
      throw new TransportUnavailableError(peerId, [`${transport}: no address is known, and none was found`], { cause })
    }
  }
}
