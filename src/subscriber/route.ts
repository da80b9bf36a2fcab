import type { AbortOptions, Libp2p, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { createAddressBook } from '../shared/address-book.ts'
import { TransportUnavailableError } from '../shared/errors.ts'
import { findHttpAddrs, isHttpAddr, isPublicAddr, stripPeerId } from '../shared/multiaddrs.ts'
import { storedAddrs } from '../shared/stored-addrs.ts'
import type { AddressBook } from '../shared/types.ts'
import { ChosenSyncer, type RoutedSyncer } from './chosen-syncer.ts'
import type { SubscriberConfig } from './options.ts'
import { Transports, type Components } from './transports.ts'

/** Where a sync may go. */
export interface Destination {
  peerId: PeerId

  /** As given by the caller or the announcement, without /p2p. */
  addrs: Multiaddr[]

  /** They come from an announcement, so the receiver's filterIPs holds for them. */
  announced?: boolean

  /** The announcement is a hint of an unknown relay: what is known already goes first. */
  doubtful?: boolean
}

/** A syncer and what it was made for; a handler keeps its last one, so that connections, paths and the transport are found once. */
export interface Route {
  /** Over HTTP it knows which address worked; over libp2p it finds out which transport the peer speaks. */
  syncer: RoutedSyncer
  over: 'http' | 'libp2p'
  addrs: Multiaddr[]
  key: string
}

/** Peer and addresses to a syncer. By default HTTP when an address is known, else what the peer speaks over libp2p. */
export class Router {
  readonly #libp2p?: Libp2p
  readonly #config: SubscriberConfig
  readonly #book: AddressBook
  readonly #libp2pBook = createAddressBook()
  readonly #transports: Transports

  constructor (components: Components, config: SubscriberConfig, book: AddressBook) {
    this.#libp2p = components.libp2p
    this.#config = config
    this.#book = book
    this.#transports = new Transports(components, config)
  }

  /** Throws TransportUnavailableError. */
  async route (to: Destination, last?: Route, options?: AbortOptions): Promise<Route> {
    const { peerId } = to
    const { receiver, transports, httpTimeout: timeout } = this.#config
    const given = findHttpAddrs(to.addrs)
    // filterIPs lets no private address in from an announcement: those in the book are the caller's own
    const own = given.length === 0 && receiver?.filterIPs === true ? this.#book.get(peerId).filter(addr => !isPublicAddr(addr)) : []
    const known = own.length > 0 ? own : await this.#knownHttp(peerId, options)
    const http = transports.includes('http') ? ordered(to, given, known) : []
    const knownLibp2p = this.#libp2pBook.get(peerId)
    const libp2p = ordered(to, to.addrs.filter(addr => !isHttpAddr(addr)), knownLibp2p)
    const filterIPs = receiver?.filterIPs === true && own.length === 0 && (to.announced === true || given.length === 0)
    // said to be at libp2p addresses alone: what is known of HTTP may be where it was. Go does not ask there at all
    const isElsewhere = http.length > 0 && given.length === 0 && to.addrs.length > 0 && !(to.announced === true && own.length > 0)
    // known over libp2p alone, and said to be at HTTP by who may say anything
    const isHinted = to.doubtful === true && http.length > 0 && known.length === 0 && knownLibp2p.length > 0
    const httpIs = isHinted ? 'last' : isElsewhere ? (to.doubtful === true ? 'doubtful' : 'last') : undefined
    const { candidates, lacking } = this.#transports.candidates({ peerId, http, libp2p, filterIPs, httpIs })
    if (candidates.length === 0) { throw new TransportUnavailableError(peerId, lacking) }
    if (candidates.length === 1 && candidates[0].transport === 'http') {
      const key = `http ${filterIPs} ${http.map(String).join(' ')}`
      return last?.key === key ? last : { syncer: candidates[0].make(), over: 'http', addrs: http, key }
    }
    const key = `libp2p ${libp2p.map(String).join(' ')} http ${httpIs} ${filterIPs} ${http.map(String).join(' ')}`
    if (last?.key === key) { return last }
    const syncer = new ChosenSyncer(this.#libp2p as Libp2p, { peerId, addrs: libp2p, candidates, lacking, timeout })
    return { syncer, over: 'libp2p', addrs: libp2p, key }
  }

  /** The sync was good: given addresses replace older ones, unless it was an older one that worked. */
  remember (to: Destination, route: Route): void {
    const isHttp = route.over === 'http' || route.syncer.workingAddr != null
    const book = isHttp ? this.#book : this.#libp2pBook
    const given = to.addrs.filter(addr => isHttpAddr(addr) === isHttp)
    const worked = isHttp ? route.syncer.workingAddr : this.#connectedAddr(to.peerId)
    const replace = given.length > 0 && (worked == null || given.some(addr => addr.equals(worked)))
    if (replace) { book.delete(to.peerId) }
    if (!isHttp && given.length > 0 && given.length === to.addrs.length) { this.#book.delete(to.peerId) } // it has left HTTP
    book.add(to.peerId, replace ? given : worked == null ? route.addrs : [worked], this.#config.addrTTL)
  }

  async stop (): Promise<void> {
    await this.#transports.stop()
  }

  /** Where a connection goes that was not opened by the peer. */
  #connectedAddr (peerId: PeerId): Multiaddr | undefined {
    const out = this.#libp2p?.getConnections(peerId).find(({ direction }) => direction === 'outbound')
    return out == null ? undefined : stripPeerId(out.remoteAddr)
  }

  async #knownHttp (peerId: PeerId, options?: AbortOptions): Promise<Multiaddr[]> {
    const booked = this.#book.get(peerId)
    if (booked.length > 0 || this.#libp2p == null) { return booked }
    return findHttpAddrs(await storedAddrs(this.#libp2p, peerId, options))
  }
}

/** Given ones first, unless they are doubtful; each once. */
function ordered ({ doubtful }: Destination, given: Multiaddr[], known: Multiaddr[]): Multiaddr[] {
  const addrs = doubtful === true ? [...known, ...given] : [...given, ...known]
  return addrs.filter((addr, i) => addrs.findIndex(other => other.equals(addr)) === i)
}
