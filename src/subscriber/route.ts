import { createHttpClient } from '#http-client'
import type { AbortOptions, ComponentLogger, Libp2p, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { TransportUnavailableError } from '../shared/errors.ts'
import { findHttpAddrs } from '../shared/multiaddrs.ts'
import type { AddressBook, LinkSystem } from '../shared/types.ts'
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
  syncer: HttpSyncer
  addrs: Multiaddr[]
  key: string
}

interface Components {
  linkSystem: LinkSystem
  libp2p?: Libp2p
  logger?: ComponentLogger
}

/** Peer and addresses to a syncer. HTTP is preferred when it is known. */
export class Router {
  readonly #components: Components
  readonly #config: SubscriberConfig
  readonly #book: AddressBook
  readonly #clients = new Map<boolean, HttpClient>()

  constructor (components: Components, config: SubscriberConfig, book: AddressBook) {
    this.#components = components
    this.#config = config
    this.#book = book
  }

  /** Throws TransportUnavailableError. */
  async route (to: Destination, last?: Route, options?: AbortOptions): Promise<Route> {
    const given = findHttpAddrs(to.addrs)
    const known = await this.#known(to.peerId, options)
    const addrs = unique(to.doubtful === true ? [...known, ...given] : [...given, ...known])
    if (addrs.length === 0) {
      const seen = to.addrs.length === 0 ? 'none is known' : `none among ${to.addrs.map(String).join(', ')}`
      throw new TransportUnavailableError(to.peerId, [`http: needs an HTTP address, ${seen}`])
    }
    const filterIPs = this.#config.receiver?.filterIPs === true && (to.announced === true || given.length === 0)
    const key = `${filterIPs} ${addrs.map(String).join(' ')}`
    if (last?.key === key) { return last }
    const { fetch: _, ...limits } = this.#config
    const syncer = new HttpSyncer(
      { linkSystem: this.#components.linkSystem, client: this.#client(filterIPs), logger: this.#components.logger },
      { peerId: to.peerId, addrs, ...limits }
    )
    return { syncer, addrs, key }
  }

  /** The sync was good: given addresses replace older ones, unless it was an older one that worked. */
  remember (to: Destination, route: Route): void {
    const given = findHttpAddrs(to.addrs)
    const worked = route.syncer.workingAddr
    const replace = given.length > 0 && (worked == null || given.some(addr => addr.equals(worked)))
    if (replace) { this.#book.delete(to.peerId) }
    this.#book.add(to.peerId, replace ? given : worked == null ? route.addrs : [worked], this.#config.addrTTL)
  }

  async stop (): Promise<void> {
    const clients = [...this.#clients.values()]
    this.#clients.clear()
    await Promise.all(clients.map(async client => client.stop()))
  }

  async #known (peerId: PeerId, options?: AbortOptions): Promise<Multiaddr[]> {
    const booked = this.#book.get(peerId)
    if (booked.length > 0 || this.#components.libp2p == null) { return booked }
    try {
      const { addresses } = await this.#components.libp2p.peerStore.get(peerId, options)
      return findHttpAddrs(addresses.map(({ multiaddr }) => multiaddr))
    } catch (error) {
      if (error instanceof Error && error.name === 'NotFoundError') { return [] }
      throw error
    }
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

function unique (addrs: Multiaddr[]): Multiaddr[] {
  return addrs.filter((addr, i) => addrs.findIndex(other => other.equals(addr)) === i)
}
