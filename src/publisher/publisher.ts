/// <reference lib="esnext.disposable" preserve="true" />
import { startHttpServer } from '#http-server'
import type { AbortOptions, Logger, PeerId, Startable } from '@libp2p/interface'
import { CODE_HTTP, CODE_P2P, type Multiaddr } from '@multiformats/multiaddr'
import type { CID } from 'multiformats/cid'
import { gossipSender, sendAnnounce } from '../announce/index.ts'
import { toCid } from '../shared/check.ts'
import { PublisherStoppedError } from '../shared/errors.ts'
import { stripPeerId } from '../shared/multiaddrs.ts'
import { Turns } from '../shared/turns.ts'
import { unlessAborted } from '../shared/unless-aborted.ts'
import type { AnnounceResult, AnnounceSender, PublisherComponents, PublisherInit } from '../shared/types.ts'
import { DtsyncServer } from '../syncers/dtsync/serve.ts'
import type { HttpHandler, HttpServer } from '../syncers/httpsync/http-types.ts'
import { IpnisyncServer } from '../syncers/httpsync/over-libp2p-serve.ts'
import { createHttpHandler } from '../syncers/httpsync/serve.ts'
import { handleWebRequest } from '../syncers/httpsync/web.ts'
import { tuneConnections } from '../wire/streams.ts'
import { chooseAnnounceAddrs, keptWhileSame, reachable, withHandlerPath } from './addrs.ts'
import { servedMetrics } from './metrics.ts'
import { publisherConfig, type PublisherConfig } from './options.ts'
import { Root } from './root.ts'

/** What start() opened. */
interface Session {
  server?: HttpServer
  senders: AnnounceSender[]
  controller: AbortController
  untune?: () => void
}

/**
 * Serves a chain and tells others of its new heads.
 *
 * Behaves as the publishers of go-libipni (v0.3.2, dagsync/httpsync/publisher.go; v0.7.8, dagsync/ipnisync/publisher.go) and
 * answers the clients of both. Differs: it can keep its root across restarts, and it announces. Nothing is opened before
 * start(), and start() may follow stop().
 */
export class Publisher implements Startable, AsyncDisposable {
  /** The node's peer id, or that of the key: who signs heads. */
  readonly id: PeerId

  /** Multiaddr code of the preferred transport: 421 (p2p) with a node, else 480 (http). */
  readonly protocol: number

  readonly #config: Readonly<PublisherConfig>
  readonly #root: Root
  readonly #handler?: HttpHandler
  readonly #dtsync?: DtsyncServer
  readonly #ipnisync?: IpnisyncServer
  readonly #log?: Logger
  #session?: Session
  readonly #starting = new Set<AbortController>()
  readonly #turns = new Turns()
  readonly #announceAddrs = keptWhileSame((http, libp2p) => chooseAnnounceAddrs(this.#withPath(http), libp2p.map(stripPeerId)))

  /** Throws InvalidOptionError. */
  constructor (components: PublisherComponents, init: PublisherInit = {}) {
    const { linkSystem, libp2p, datastore } = components ?? {}
    this.#config = publisherConfig(components, init)
    const { id, http, dtsync, ipnisync, topic, root } = this.#config
    this.id = id
    this.protocol = libp2p == null ? CODE_HTTP : CODE_P2P
    this.#log = (components.logger ?? libp2p?.logger)?.forComponent('dagsync:publisher')
    this.#root = new Root({ id, topic, datastore, initial: root })
    if (dtsync != null) {
      const { allowPeer } = dtsync
      this.#dtsync = new DtsyncServer(dtsync.libp2p, { topic: dtsync.topic, linkSystem, allowPeer }, dtsync)
    }
    const handlerInit = { root: () => this.root, onServed: servedMetrics(components.metrics ?? libp2p?.metrics, this.#log) }
    if (http != null) {
      const { privateKey, handlerPath, headTopic } = http
      this.#handler = createHttpHandler({ linkSystem, privateKey, log: this.#log }, {
        ...handlerInit, handlerPath, headTopic, wellKnown: http.listen != null
      })
    }
    if (ipnisync != null) {
      const { privateKey, headTopic } = ipnisync
      const handler = createHttpHandler({ linkSystem, privateKey, log: this.#log }, { ...handlerInit, headTopic, wellKnown: true })
      this.#ipnisync = new IpnisyncServer(ipnisync.libp2p, handler, ipnisync)
    }
  }

  /** The head of the chain that is served; undefined: there is none. */
  get root (): CID | undefined {
    return this.#root.value
  }

  /**
   * Every address that it can be synced from, without /p2p; empty ones (0.0.0.0) are those of the interfaces. With a
   * handlerPath each comes twice, since peers before go-libipni v0.6.9 only read the older /httpath (which multiaddr()
   * refuses, and parsePeers() of dagsync/multiaddr reads).
   */
  addrs (): Multiaddr[] {
    return reachable([...this.#withPath(this.#httpAddrs()), ...this.#libp2pAddrs().map(stripPeerId)])
  }

  /** Serves another root, without announcing it; undefined: no head. With a datastore it is stored first. Throws InvalidOptionError. */
  async setRoot (cid: CID | undefined, options?: AbortOptions): Promise<void> {
    const root = cid === undefined ? undefined : toCid('cid', cid)
    const set = async (): Promise<void> => {
      await this.#root.set(root, options)
      this.#dtsync?.setRoot(this.root)
    }
    await unlessAborted(set(), options?.signal) // a datastore may not look at it
  }

  /**
   * Tells the root to every sender, and gives what became of it at each; an empty list when there is no root or no sender.
   *
   * Throws AnnounceError when every sender failed, and PublisherStoppedError when the publisher is not running or is stopped meanwhile.
   */
  async announce (options?: AbortOptions): Promise<AnnounceResult[]> {
    return this.#announce(this.root, options)
  }

  /** setRoot() and announce(). Throws what these throw; when announcing fails the root is set nevertheless. */
  async updateRoot (cid: CID, options?: AbortOptions): Promise<AnnounceResult[]> {
    const root = toCid('cid', cid) // no head is for setRoot() to say
    await this.setRoot(root, options)
    return this.#announce(root, options)
  }

  /**
   * Answers a request of any web-standard server. 503 while the publisher is not running, and without `http`. Throws
   * InvalidOptionError for what is no Request, such as that of node:http.
   */
  async handleRequest (request: Request): Promise<Response> {
    if (this.#session == null || this.#handler == null) {
      return new Response(this.#handler == null ? 'plain HTTP is off\n' : 'the publisher is not running\n', { status: 503 })
    }
    return handleWebRequest(this.#handler, request)
  }

  /** Reads the stored root and listens. Rejects with InvalidOptionError, or with what the datastore or listening fails with. */
  async start (options?: AbortOptions): Promise<void> {
    const starting = new AbortController()
    this.#starting.add(starting)
    const signal = anySignal(starting.signal, options?.signal)
    try {
      await this.#turns.take(async () => {
        if (this.#session != null) { return }
        signal.throwIfAborted()
        this.#session = await this.#open(signal)
        this.#log?.('%p serves %c on %a', this.id, this.root ?? 'no head', this.addrs())
      })
    } finally {
      this.#starting.delete(starting)
    }
  }

  /** Ends what runs and frees everything. Idempotent, safe at any moment. */
  async stop (): Promise<void> {
    const reason = new PublisherStoppedError()
    for (const starting of this.#starting) { starting.abort(reason) }
    return this.#turns.take(async () => {
      const session = this.#session
      this.#session = undefined
      session?.controller.abort(reason)
      session?.untune?.()
      await Promise.all([session?.server?.stop(), this.#stopStreams()])
    })
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    await this.stop()
  }

  #httpAddrs (): Multiaddr[] {
    return [...this.#config.http?.addrs ?? [], ...this.#session?.server?.addrs() ?? []]
  }

  #withPath (http: Multiaddr[]): Multiaddr[] {
    return withHandlerPath(http, this.#config.http?.handlerPath)
  }

  #libp2pAddrs (): Multiaddr[] {
    const { dtsync, ipnisync } = this.#config
    return (dtsync ?? ipnisync)?.libp2p.getMultiaddrs() ?? []
  }

  async #open (signal: AbortSignal): Promise<Session> {
    const { http, libp2p, senders = this.#gossip() } = this.#config
    await unlessAborted(this.#root.load({ signal }), signal)
    const server = http?.listen == null || this.#handler == null
      ? undefined
      : await startHttpServer(this.#handler, { ...http.listen, signal })
    try {
      this.#dtsync?.setRoot(this.root)
      await this.#dtsync?.start()
      if (await this.#ipnisync?.start() === false) { this.#log?.('another publisher has the head of %p over libp2p streams', this.id) }
    } catch (error) {
      await Promise.all([server?.stop(), this.#stopStreams()])
      throw error
    }
    const untune = libp2p && tuneConnections(libp2p)
    return { server, senders, controller: new AbortController(), untune }
  }

  #gossip (): AnnounceSender[] {
    const { pubsub, topic } = this.#config
    if (topic == null) { return [] }
    if (pubsub != null) { return [gossipSender({ pubsub }, { topic })] }
    this.#log?.('no pubsub: nobody is told of new heads')
    return []
  }

  async #stopStreams (): Promise<void> {
    await Promise.all([this.#dtsync?.stop(), this.#ipnisync?.stop()])
  }

  async #announce (root: CID | undefined, options?: AbortOptions): Promise<AnnounceResult[]> {
    const session = this.#session
    if (session == null) { throw new PublisherStoppedError('the publisher is not running') }
    const signal = anySignal(session.controller.signal, options?.signal)
    signal.throwIfAborted()
    if (root == null || session.senders.length === 0) { return [] }
    const addrs = this.#config.announceAddrs ?? this.#announceAddrs(this.#httpAddrs(), this.#libp2pAddrs())
    return sendAnnounce(root, addrs, session.senders, { signal })
  }
}

function anySignal (own: AbortSignal, given?: AbortSignal): AbortSignal {
  return given == null ? own : AbortSignal.any([own, given])
}
