import { toHex } from 'multiformats/bytes'
import { MAX_ANNOUNCE_ADDRS } from './constants.ts'
import { InvalidOptionError } from './errors.ts'
import { checkAddrs } from './multiaddrs/bytes.ts'
import { positive } from './positive.ts'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { AddressBook } from './types.ts'

/** Peers that are remembered; beyond it the ones whose addresses were added longest ago are forgotten. */
const MAX_PEERS = 16_384

export interface AddressBookInit {
  /** The time, in milliseconds. Absent: time that passes; a clock may be set. */
  now?: () => number

  /**
   * Beyond it the address that would expire first is forgotten.
   *
   * @default 64
   */
  maxAddrsPerPeer?: number
}

interface Entry { addr: Multiaddr, expires: number }

/**
 * Addresses per peer, each with its own time to live, which libp2p's peer store does not have. Bounded; what has expired is
 * swept when addresses are added, without a timer. Addresses are the same when their bytes are.
 */
export function createAddressBook (init: AddressBookInit = {}): AddressBook {
  const { now = () => performance.now(), maxAddrsPerPeer = MAX_ANNOUNCE_ADDRS } = init
  positive('maxAddrsPerPeer', maxAddrsPerPeer)
  // peer -> bytes -> entry; the peer that was added to last is the last one
  const peers = new Map<string, Map<string, Entry>>()
  let sweepAt = 64

  function prune (peer: string, entries: Map<string, Entry>): void {
    const time = now()
    for (const [key, { expires }] of entries) {
      if (expires <= time) { entries.delete(key) }
    }
    if (entries.size === 0) { peers.delete(peer) }
  }

  /** Costs nothing on average: the book has to double in between. */
  function sweep (): void {
    if (peers.size >= sweepAt) {
      peers.forEach((entries, peer) => prune(peer, entries))
      sweepAt = Math.max(64, peers.size * 2)
    }
    if (peers.size > MAX_PEERS) { peers.delete(peers.keys().next().value as string) }
  }

  return {
    get (peer) {
      const entries = peers.get(peer.toString())
      if (entries == null) { return [] }
      prune(peer.toString(), entries)
      return Array.from(entries.values(), ({ addr }) => addr)
    },

    add (peer, addrs, ttl) {
      if (typeof ttl !== 'number' || Number.isNaN(ttl)) { throw new InvalidOptionError('ttl', 'must be a number of milliseconds') }
      checkAddrs('addrs', addrs)
      if (ttl <= 0 || addrs.length === 0) { return }
      const id = peer.toString()
      const entries = peers.get(id) ?? new Map<string, Entry>()
      prune(id, entries)
      peers.delete(id)
      peers.set(id, entries)
      for (const addr of addrs) {
        const key = keyOf(addr)
        const known = entries.get(key)
        const expires = Math.max(now() + ttl, known?.expires ?? 0)
        if (known != null) { known.expires = expires } else { entries.set(key, { addr, expires }) }
        if (entries.size > maxAddrsPerPeer) { entries.delete(firstToExpire(entries)) }
      }
      sweep()
    },

    delete (peer, addrs) {
      const entries = peers.get(peer.toString())
      addrs?.forEach(addr => entries?.delete(keyOf(addr)))
      if (addrs == null || entries?.size === 0) { peers.delete(peer.toString()) }
    }
  }
}

function keyOf (addr: Multiaddr): string {
  return toHex(addr.bytes)
}

/** The oldest of those. */
function firstToExpire (entries: Map<string, Entry>): string {
  let first = ''
  let expires = Infinity
  for (const [key, entry] of entries) {
    if (entry.expires < expires) {
      first = key
      expires = entry.expires
    }
  }
  return first
}
