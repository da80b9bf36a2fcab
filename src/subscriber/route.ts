import { createHttpClient } from '#http-client'
import type { AbortOptions, ComponentLogger, Libp2p, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { TransportUnavailableError } from '../shared/errors.ts'
import { createAddressBook } from '../shared/address-book.ts'
import { findHttpAddrs, stripPeerId } from '../shared/multiaddrs.ts'
import { storedAddrs } from '../shared/stored-addrs.ts'
import type { AddressBook, LinkSystem, Syncer } from '../shared/types.ts'
import { DtsyncClient } from '../syncers/dtsync/client.ts'
import { DtsyncSyncer } from '../syncers/dtsync/sync.ts'
import type { HttpClient } from '../syncers/httpsync/client.ts'
import { HttpSyncer } from '../syncers/httpsync/sync.ts'
import type { SubscriberConfig } from './options.ts'

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

/** A syncer and what it was made for; a handler keeps its last one, so that connections and paths are found once. */
export interface Route {
  /** Over HTTP it knows which address worked. */
  syncer: Syncer & { readonly workingAddr?: Multiaddr }
  transport: 'http' | 'dtsync'
  addrs: Multiaddr[]
  key: string
}

interface Components {
  linkSystem: LinkSystem
  libp2p?: Libp2p
  logger?: ComponentLogger
}

/** Peer and addresses to a syncer: HTTP when an address is known, else dtsync. */
export class Router {
  readonly #components: Components
  readonly #config: SubscriberConfig
  readonly #book: AddressBook
  readonly #libp2pBook = createAddressBook()
  readonly #clients = new Map<boolean, HttpClient>()
  readonly #dtsync?: DtsyncClient

  constructor (components: Components, config: SubscriberConfig, book: AddressBook) {
    const { libp2p } = components
    const { topic } = config
    this.#components = components
    this.#config = config
    this.#book = book
    if (libp2p != null && topic != null) { this.#dtsync = new DtsyncClient(libp2p, { ...config, topic }) }
  }

  /** Throws TransportUnavailableError. */
  async route (to: Destination, last?: Route, options?: AbortOptions): Promise<Route> {
    const given = findHttpAddrs(to.addrs)
    const known = await this.#knownHttp(to.peerId, options)
    const addrs = ordered(to, given, known)
    if (addrs.length === 0) { return this.#dtsyncRoute(to, last) }
    const filterIPs = this.#config.receiver?.filterIPs === true && (to.announced === true || given.length === 0)
    const key = `http ${filterIPs} ${addrs.map(String).join(' ')}`
    if (last?.key === key) { return last }
    const { fetch: _, ...limits } = this.#config
    const syncer = new HttpSyncer(
      { linkSystem: this.#components.linkSystem, client: this.#client(filterIPs), logger: this.#components.logger },
      { peerId: to.peerId, addrs, ...limits }
    )
    return { syncer, transport: 'http', addrs, key }
  }

  /** The sync was good: given addresses replace older ones, unless it was an older one that worked. */
  remember (to: Destination, route: Route): void {
    const isHttp = route.transport === 'http'
    const book = isHttp ? this.#book : this.#libp2pBook
    const given = isHttp ? findHttpAddrs(to.addrs) : to.addrs
    const worked = isHttp ? route.syncer.workingAddr : this.#connectedAddr(to.peerId)
    const replace = given.length > 0 && (worked == null || given.some(addr => addr.equals(worked)))
    if (replace) { book.delete(to.peerId) }
    book.add(to.peerId, replace ? given : worked == null ? route.addrs : [worked], this.#config.addrTTL)
  }

  async stop (): Promise<void> {
    const clients = [...this.#clients.values()]
    this.#clients.clear()
    await Promise.all([...clients.map(async client => client.stop()), this.#dtsync?.stop()])
  }

  #dtsyncRoute (to: Destination, last?: Route): Route {
    const { linkSystem, libp2p } = this.#components
    const { topic, stallTimeout, maxBlockSize, httpTimeout: headTimeout } = this.#config
    if (libp2p == null || topic == null || this.#dtsync == null) {
      const seen = to.addrs.length === 0 ? 'none is known' : `none among ${to.addrs.map(String).join(', ')}`
      const lacking = libp2p == null ? 'a libp2p node' : 'a topic'
      throw new TransportUnavailableError(to.peerId, [`http: needs an HTTP address, ${seen}`, `dtsync: needs ${lacking}`])
    }
    const addrs = ordered(to, to.addrs, this.#libp2pBook.get(to.peerId))
    const key = `dtsync ${addrs.map(String).join(' ')}`
    if (last?.key === key) { return last }
    const init = { peerId: to.peerId, topic, addrs, stallTimeout, maxBlockSize, headTimeout }
    return { syncer: new DtsyncSyncer({ linkSystem, libp2p, client: this.#dtsync }, init), transport: 'dtsync', addrs, key }
  }

  /** Where a connection goes that was not opened by the peer. */
  #connectedAddr (peerId: PeerId): Multiaddr | undefined {
    const out = this.#components.libp2p?.getConnections(peerId).find(({ direction }) => direction === 'outbound')
    return out == null ? undefined : stripPeerId(out.remoteAddr)
  }

  async #knownHttp (peerId: PeerId, options?: AbortOptions): Promise<Multiaddr[]> {
    const booked = this.#book.get(peerId)
    if (booked.length > 0 || this.#components.libp2p == null) { return booked }
    return findHttpAddrs(await storedAddrs(this.#components.libp2p, peerId, options))
  }

  #client (filterIPs: boolean): HttpClient {
    let client = this.#clients.get(filterIPs)
    if (client == null) {
      client = createHttpClient({ fetch: this.#config.fetch, filterIPs })
      this.#clients.set(filterIPs, client)
    }
    return client
  }
}

/** Given ones first, unless they are doubtful; each once. */
function ordered ({ doubtful }: Destination, given: Multiaddr[], known: Multiaddr[]): Multiaddr[] {
  const addrs = doubtful === true ? [...known, ...given] : [...given, ...known]
  return addrs.filter((addr, i) => addrs.findIndex(other => other.equals(addr)) === i)
}
