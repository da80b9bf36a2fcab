/// <reference lib="esnext.disposable" preserve="true" />
import type { ComponentLogger, Libp2p, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { HTTP_STREAM_PROTOCOL, IPNI_PATH, USER_AGENT } from '../../shared/constants.ts'
import { checkNode, checkPublisher } from '../../shared/components.ts'
import { HttpStatusError, InvalidMessageError, TransferFailedError, TransportUnavailableError } from '../../shared/errors.ts'
import { makeReachable } from '../../shared/reachable.ts'
import type { LinkSystem } from '../../shared/types.ts'
import { HttpStreamClient } from '../../wire/http-stream/client.ts'
import { Base, Bases } from './bases.ts'
import type { Ask } from './bases.ts'
import { contentEncoding, isNoSuccess } from './http-client.ts'
import type { HttpClient, HttpRequestInit, HttpResponse } from './http-client.ts'
import { redirectTarget } from './redirects.ts'
import { HttpSyncer } from './sync.ts'
import type { HttpSyncerInit } from './sync.ts'
import { ipniPath, LEGACY_WELL_KNOWN, MAX_WELL_KNOWN_SIZE, WELL_KNOWN } from './well-known.ts'

const IPNI = `${IPNI_PATH}/`

/** Streams to one peer that wait for the next request. */
const MAX_IDLE_STREAMS = 32

export interface IpnisyncSyncerComponents {
  linkSystem: LinkSystem
  libp2p: Libp2p

  /** Shared with other syncers, and not stopped with this one. */
  streams?: HttpStreamClient
  logger?: ComponentLogger
}

/** As over plain HTTP; `addrs` are where the publisher is, when libp2p does not know it. */
export type IpnisyncSyncerInit = Omit<HttpSyncerInit, 'addrs' | 'filterIPs'> & { addrs?: Multiaddr[] }

/** The streams of one node, for the syncers of all its peers. */
export function createHttpStreams (libp2p: Libp2p): HttpStreamClient {
  return new HttpStreamClient({ libp2p }, { maxIdle: MAX_IDLE_STREAMS, openAhead: true })
}

/**
 * Syncs with one publisher by HTTP over libp2p streams. Go: ipnisync.Syncer with a stream host (v0.7.8). Differs as over plain HTTP;
 * streams are kept where the publisher lets us, and the well-known resource is asked for only where nothing is found without it.
 */
export class IpnisyncSyncer extends HttpSyncer {
  private readonly ownStreams: HttpStreamClient | undefined

  /** Throws InvalidOptionError. */
  constructor (components: IpnisyncSyncerComponents, init: IpnisyncSyncerInit) {
    const { libp2p } = components
    checkNode(libp2p)
    checkPublisher(init)
    const { peerId, addrs = [] } = init
    const streams = components.streams ?? createHttpStreams(libp2p)
    const client = new StreamsToPeer(libp2p, streams, peerId, addrs)
    super(components, { ...init, addrs }, { client, bases: new Bases([new StreamBase(peerId)]) })
    this.ownStreams = components.streams == null ? streams : undefined
  }

  override async stop (): Promise<void> {
    await super.stop()
    this.ownStreams?.stop()
  }
}

/** Syncs with one publisher by HTTP over libp2p streams. Throws InvalidOptionError. Go: ipnisync.NewSync, NewSyncer. */
export function createIpnisyncSyncer (components: IpnisyncSyncerComponents, init: IpnisyncSyncerInit): IpnisyncSyncer {
  return new IpnisyncSyncer(components, init)
}

/** An HttpClient that asks one peer, whatever the host of a URL. */
class StreamsToPeer implements HttpClient {
  private readonly libp2p: Libp2p
  private readonly streams: HttpStreamClient
  private readonly peerId: PeerId
  private readonly addrs: Multiaddr[]
  private readonly root: string

  constructor (libp2p: Libp2p, streams: HttpStreamClient, peerId: PeerId, addrs: Multiaddr[]) {
    this.libp2p = libp2p
    this.streams = streams
    this.peerId = peerId
    this.addrs = addrs
    this.root = rootOf(peerId)
  }

  get stopped (): boolean {
    return this.streams.stopped
  }

  async request (url: URL | string, init: HttpRequestInit): Promise<HttpResponse> {
    const ready = makeReachable(this.libp2p, this.peerId, this.addrs, 'ipnisync', init)
    if (ready != null) { await ready }
    const end = performance.now() + init.timeout
    for (let followed = 0, at = String(url); ; followed++) {
      const response = await this.ask(at, init, Math.max(1, Math.ceil(end - performance.now())))
      if (response.status < 300 || response.status > 399) { return response }
      const next = redirectTarget(response.status, response.headers.get('location'), new URL(at), followed)
      if (next == null) { return response }
      at = next.href
    }
  }

  /** The streams are not its own. */
  async stop (): Promise<void> {}

  private async ask (url: string, init: HttpRequestInit, timeout: number): Promise<HttpResponse> {
    const { method, headers, maxBodySize, onBody, signal } = init
    try {
      const response = await this.streams.request(this.peerId, [HTTP_STREAM_PROTOCOL], {
        method,
        target: url.slice(this.root.length),
        headers: { 'User-Agent': USER_AGENT, ...headers },
        timeout,
        maxBodySize,
        onBody,
        signal,
        what: url,
        skipBody: isNoSuccess,
        limit: 'httpTimeout'
      })
      const encoding = contentEncoding(response)
      if (encoding != null && response.body.length > 0) {
        throw new TransferFailedError(`${url}: content encoding ${encoding}, which was not asked for`)
      }
      return { ...response, url }
    } catch (err: any) {
      if (err?.cause?.name === 'UnsupportedProtocolError') {
        throw new TransportUnavailableError(this.peerId, [`ipnisync: it does not speak ${HTTP_STREAM_PROTOCOL}`], { cause: err })
      }
      throw err instanceof InvalidMessageError ? new TransferFailedError(`request of ${url} failed: ${err.message}`, { cause: err }) : err
    }
  }
}

/** A publisher that is asked over streams: `/ipni/v1/ad/`, or where it says that ipnisync is. */
class StreamBase extends Base {
  private readonly peerId: PeerId
  private readonly root: string

  constructor (peerId: PeerId) {
    const root = rootOf(peerId)
    super([root + IPNI])
    this.peerId = peerId
    this.root = root
  }

  /** A server that has it elsewhere may call any other path wrong: Go's client would not have asked for it. */
  override isMissing (status: number): boolean {
    return super.isMissing(status) || status === 400
  }

  /**
   * What the well-known resource says, and behind it the whole path again: what Go's client asks for there.
   *
   * Throws InvalidMessageError, and TransportUnavailableError when the peer says that it has no ipnisync.
   */
  override async others (asked: string, ask: Ask): Promise<string[]> {
    const resource = await this.wellKnown(ask)
    if (resource == null) { return [] }
    const path = ipniPath(resource)
    if (path == null) { throw new TransportUnavailableError(this.peerId, [`ipnisync: it has HTTP, but no ${IPNI_PATH}`]) }
    const prefix = this.root + path
    return [...new Set([prefix, prefix + IPNI.slice(1)])].filter(other => other !== asked)
  }

  private async wellKnown (ask: Ask): Promise<Uint8Array | undefined> {
    for (const path of [WELL_KNOWN, LEGACY_WELL_KNOWN]) {
      const { status, body, url } = await ask(this.root + path, MAX_WELL_KNOWN_SIZE)
      if (status === 200) { return body }
      if (status === 429 || status >= 500) { throw new HttpStatusError(status, url) }
    }
    return undefined
  }
}

function rootOf (peerId: PeerId): string {
  return `libp2p://${peerId}`
}
