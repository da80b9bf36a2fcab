import { isPeerId, type PeerId, type PeerInfo } from '@libp2p/interface'
import { isMultiaddr, type Multiaddr } from '@multiformats/multiaddr'
import { InvalidOptionError } from '../shared/errors.ts'
import { peerIdOf, stripPeerId } from '../shared/multiaddrs.ts'
import type { SyncTarget } from '../shared/types.ts'

/** A publisher: its id, and its addresses without /p2p. What is passed in stays as it is. Throws InvalidOptionError. */
export function parseTarget (target: SyncTarget, field = 'target'): PeerInfo {
  if (isPeerId(target)) { return { id: target, multiaddrs: [] } }
  if (isMultiaddr(target)) { return fromAddrs([target], field) }
  if (Array.isArray(target)) { return fromAddrs(target, field) }
  if (isPeerId(target?.id) && Array.isArray(target.multiaddrs) && target.multiaddrs.every(isMultiaddr)) {
    for (const addr of target.multiaddrs) { checkId(addr, target.id, field) }
    return { id: target.id, multiaddrs: target.multiaddrs.map(stripPeerId) }
  }
  const hint = typeof target === 'string' ? ': multiaddr() makes one of text' : ''
  throw new InvalidOptionError(field, `must be a peer id, a peer info or multiaddrs${hint}`)
}

function fromAddrs (addrs: Multiaddr[], field: string): PeerInfo {
  const id = addrs.every(isMultiaddr) ? addrs.map(peerIdOf).find(id => id != null) : undefined
  if (id == null) { throw new InvalidOptionError(field, 'must be multiaddrs, one of them with /p2p/ID at its end') }
  for (const addr of addrs) { checkId(addr, id, field) }
  return { id, multiaddrs: addrs.map(stripPeerId) }
}

function checkId (addr: Multiaddr, id: PeerId, field: string): void {
  const other = peerIdOf(addr)
  if (other != null && !other.equals(id)) { throw new InvalidOptionError(field, `names two peers, ${id} and ${other}`) }
}
