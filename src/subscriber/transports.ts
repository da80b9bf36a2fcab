import { createHttpClient } from '#http-client'
import type { ComponentLogger, Libp2p, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { HTTP_STREAM_PROTOCOL } from '../shared/constants.ts'
import type { LinkSystem, SyncTransport } from '../shared/types.ts'
import { DtsyncClient } from '../syncers/dtsync/client.ts'
import { headProtocols, isHeadProtocol } from '../syncers/dtsync/head.ts'
import { DtsyncSyncer } from '../syncers/dtsync/sync.ts'
import type { HttpClient } from '../syncers/httpsync/client.ts'
import { createHttpStreams, IpnisyncSyncer } from '../syncers/httpsync/over-libp2p.ts'
import { HttpSyncer } from '../syncers/httpsync/sync.ts'
import { DATA_TRANSFER_PROTOCOL } from '../wire/data-transfer/constants.ts'
import type { HttpStreamClient } from '../wire/http-stream/client.ts'
import type { Candidate } from './chosen-syncer.ts'
import type { SubscriberConfig } from './options.ts'

export interface Components {
  linkSystem: LinkSystem
  libp2p?: Libp2p
  logger?: ComponentLogger
}

/** Where a publisher is. */
export interface Places {
  peerId: PeerId
  http: Multiaddr[]
  libp2p: Multiaddr[]

  /** Of HTTP: whether to connect to public addresses only. */
  filterIPs: boolean

  /** The publisher may have left it: `last`, it is asked after the others; `doubtful`, it is asked as ever, and then they are. */
  httpIs?: 'last' | 'doubtful'
}

/** What the syncers of one subscriber share, and how each kind is made. */
export class Transports {
  readonly #components: Components
  readonly #config: SubscriberConfig
  readonly #http = new Map<boolean, HttpClient>()
  readonly #dtsync?: DtsyncClient
  readonly #streams?: HttpStreamClient

  constructor (components: Components, config: SubscriberConfig) {
    const { libp2p } = components
    const { topic, transports } = config
    this.#components = components
    this.#config = config
    if (libp2p == null) { return }
    if (topic != null && transports.includes('dtsync')) { this.#dtsync = new DtsyncClient(libp2p, { ...config, topic }) }
    if (transports.includes('ipnisync')) { this.#streams = createHttpStreams(libp2p) }
  }

  /** Those that may be had of a publisher, the preferred one first, and what the others lack. */
  candidates (places: Places): { candidates: Candidate[], lacking: string[] } {
    const candidates: Candidate[] = []
    const lacking: string[] = []
    const { transports } = this.#config
    const inOrder = places.httpIs === 'last' ? [...transports.filter(transport => transport !== 'http'), 'http' as const] : transports
    for (const transport of inOrder) {
      const candidate = this.#candidate(transport, places)
      if (typeof candidate === 'string') {
        lacking.push(`${transport}: needs ${candidate}`)
      } else {
        candidates.push(candidate)
        if (transport === 'http' && places.httpIs == null) { break } // it can be had for sure: what is preferred less is never asked
      }
    }
    return { candidates, lacking }
  }

  async stop (): Promise<void> {
    const clients = [...this.#http.values()]
    this.#http.clear()
    this.#streams?.stop()
    await Promise.all([...clients.map(async client => client.stop()), this.#dtsync?.stop()])
  }

  #candidate (transport: SyncTransport, places: Places): Candidate | string {
    if (transport === 'http') { return this.#overHttp(places) }
    if (this.#components.libp2p == null) { return 'a libp2p node' }
    return transport === 'dtsync' ? this.#overDtsync(places, this.#components.libp2p) : this.#overStreams(places, this.#components.libp2p)
  }

  #overHttp ({ peerId, http: addrs, libp2p, filterIPs }: Places): Candidate | string {
    if (addrs.length === 0) {
      return `an HTTP address, ${libp2p.length === 0 ? 'none is known' : `none among ${libp2p.map(String).join(', ')}`}`
    }
    const { linkSystem, logger } = this.#components
    const { fetch: _, ...limits } = this.#config
    return {
      transport: 'http',
      protocols: [],
      make: () => new HttpSyncer({ linkSystem, logger, client: this.#client(filterIPs) }, { ...limits, peerId, addrs })
    }
  }

  #overDtsync ({ peerId, libp2p: addrs }: Places, libp2p: Libp2p): Candidate | string {
    const { topic, stallTimeout, maxBlockSize, httpTimeout: headTimeout } = this.#config
    const client = this.#dtsync
    if (topic == null || client == null) { return 'a topic' }
    const init = { peerId, topic, addrs, stallTimeout, maxBlockSize, headTimeout }
    return {
      transport: 'dtsync',
      protocols: headProtocols(topic),
      lesserProtocols: [DATA_TRANSFER_PROTOCOL], // without the topic's head: a CID that is known can be synced
      adopt: stream => { client.adopt(peerId, stream) },
      make: () => new DtsyncSyncer({ linkSystem: this.#components.linkSystem, libp2p, client }, init)
    }
  }

  #overStreams ({ peerId, libp2p: addrs }: Places, libp2p: Libp2p): Candidate {
    const { linkSystem, logger } = this.#components
    const { fetch: _, topic, ...limits } = this.#config
    const streams = this.#streams
    const heads = this.#dtsync == null ? [] : headProtocols(topic as string)
    return {
      transport: 'ipnisync',
      protocols: [HTTP_STREAM_PROTOCOL],
      // A head over HTTP is of any topic: one who has heads by topic, and none of ours, is another topic's publisher.
      signsAgainst: heads.length === 0
        ? undefined
        : protocols => heads.some(protocol => protocols.includes(protocol)) ? [] : protocols.filter(isHeadProtocol),
      adopt: stream => { streams?.adopt(peerId, [HTTP_STREAM_PROTOCOL], stream) },
      make: () => new IpnisyncSyncer({ linkSystem, libp2p, logger, streams }, { ...limits, peerId, addrs })
    }
  }

  #client (filterIPs: boolean): HttpClient {
    let client = this.#http.get(filterIPs)
    if (client == null) {
      client = createHttpClient({ fetch: this.#config.fetch, filterIPs })
      this.#http.set(filterIPs, client)
    }
    return client
  }
}
