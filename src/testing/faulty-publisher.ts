import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Libp2p, PeerId, PeerInfo, PrivateKey } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import type { CID } from 'multiformats/cid'
import { Publisher } from '../publisher/publisher.ts'
import { HTTP_STREAM_PROTOCOL, IPNI_PATH } from '../shared/constants.ts'
import { InvalidOptionError } from '../shared/errors.ts'
import type { HttpPublisherInit, LinkSystem } from '../shared/types.ts'
import { encodeProtocols, WELL_KNOWN } from '../syncers/httpsync/well-known.ts'
import { StreamSocket } from './stream-socket.ts'

/** Streams that one connection may have open. */
const MAX_INBOUND_STREAMS = 1_000

/** What a faulty publisher does with a request in place of answering it well. */
export type Fault =
  /** This status, these headers, this body. */
  { status: number, headers?: Record<string, string>, body?: string | Uint8Array } |
  /** Closes the connection (over libp2p: the stream) hard: before an answer, or half way through it. */
  'reset' | 'truncate' |
  /** Says nothing, until the other side leaves. */
  'silence' |
  /** The right headers, and a body without end. */
  'endless' |
  /** The right answer with its last byte changed. */
  'wrong-bytes' |
  /** The right answer, one byte at a time, ten milliseconds apart. */
  'drip'

/** A request as the fault script sees it. */
export interface FaultyRequest {
  /** 'head', or a CID. */
  resource: string
  path: string

  /** How many requests came before this one. */
  index: number
  headers: Record<string, string | string[] | undefined>
}

/** Decides what goes wrong; undefined: nothing. */
export type FaultScript = (request: FaultyRequest) => Fault | undefined | Promise<Fault | undefined>

/** What a faulty publisher is made of. */
export interface FaultyPublisherComponents {
  linkSystem: LinkSystem

  /** Absent: a new one. With a node: the node's. */
  privateKey?: PrivateKey

  /** Present: it is reached over HTTP on streams of this node, which is not stopped with it, and not over plain HTTP. */
  libp2p?: Libp2p
}

/** How a faulty publisher begins. */
export interface FaultyPublisherInit extends Omit<HttpPublisherInit, 'listen' | 'addrs'> {
  root?: CID
  script?: FaultScript

  /**
   * 0 takes a free one. Not used with a node.
   *
   * @default 0
   */
  port?: number
}

/** A publisher over HTTP, on loopback or on libp2p streams, that misbehaves as it is told. */
export class FaultyPublisher implements AsyncDisposable {
  /** Every request so far. */
  readonly requests: FaultyRequest[] = []
  script: FaultScript | undefined

  readonly #publisher: Publisher
  readonly #server: Server
  readonly #streams?: { libp2p: Libp2p, open: Set<StreamSocket>, protocols: Uint8Array<ArrayBuffer> }
  readonly #leave = new AbortController()

  /** start() makes one that is served. */
  constructor (publisher: Publisher, script?: FaultScript, streams?: { libp2p: Libp2p, handlerPath?: string }) {
    this.#publisher = publisher
    this.script = script
    if (streams != null) {
      const path = `/${streams.handlerPath ?? ''}${IPNI_PATH}/`.replaceAll(/\/+/g, '/')
      this.#streams = { libp2p: streams.libp2p, open: new Set(), protocols: Uint8Array.from(encodeProtocols(path)) }
    }
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => { response.destroy() })
    })
  }

  /** Throws InvalidOptionError, and what listening fails with. */
  static async start (components: FaultyPublisherComponents, init: FaultyPublisherInit = {}): Promise<FaultyPublisher> {
    const { linkSystem, libp2p } = components
    const { root, script, port = 0, ...http } = init
    const privateKey = components.privateKey ?? await generateKeyPair('Ed25519')
    const publisher = new Publisher({ linkSystem, privateKey }, { root, http })
    if (libp2p?.peerId.equals(publisher.id) === false) { throw new InvalidOptionError('privateKey', 'must be the key of the node') }
    await publisher.start()
    const faulty = new FaultyPublisher(publisher, script, libp2p == null ? undefined : { libp2p, handlerPath: http.handlerPath })
    await faulty.#listen(port)
    return faulty
  }

  get id (): PeerId {
    return this.#publisher.id
  }

  /** Over plain HTTP. */
  get port (): number {
    return (this.#server.address() as AddressInfo).port
  }

  get info (): PeerInfo {
    const multiaddrs = this.#streams?.libp2p.getMultiaddrs() ?? [multiaddr(`/ip4/127.0.0.1/tcp/${this.port}/http`)]
    return { id: this.id, multiaddrs }
  }

  async setRoot (cid: CID | undefined): Promise<void> {
    await this.#publisher.setRoot(cid)
  }

  /** The first `count` requests are answered, each later one is reset. */
  resetAfter (count: number): void {
    const from = this.requests.length + count
    this.script = ({ index }) => index >= from ? 'reset' : undefined
  }

  /** How many connections, or streams, are open now. */
  async connections (): Promise<number> {
    if (this.#streams != null) { return this.#streams.open.size }
    return new Promise((resolve, reject) => {
      this.#server.getConnections((error, count) => { error == null ? resolve(count) : reject(error) })
    })
  }

  async stop (): Promise<void> {
    this.#leave.abort()
    await this.#streams?.libp2p.unhandle(HTTP_STREAM_PROTOCOL)
    for (const socket of this.#streams?.open ?? []) { socket.resetAndDestroy() }
    this.#server.closeAllConnections()
    if (this.#server.listening) {
      const closed = once(this.#server, 'close')
      this.#server.close()
      await closed
    }
    await this.#publisher.stop()
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    return this.stop()
  }

  async #listen (port: number): Promise<void> {
    if (this.#streams == null) {
      this.#server.listen(port, '127.0.0.1')
      await once(this.#server, 'listening')
      return
    }
    const { libp2p, open } = this.#streams
    await libp2p.handle(HTTP_STREAM_PROTOCOL, stream => {
      const socket = new StreamSocket(stream)
      open.add(socket)
      socket.once('close', () => { open.delete(socket) })
      this.#server.emit('connection', socket)
    }, { maxInboundStreams: MAX_INBOUND_STREAMS })
  }

  async #answer (request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '/'
    const seen = { resource: path.slice(path.lastIndexOf('/') + 1), path, index: this.requests.length, headers: request.headers }
    this.requests.push(seen)
    const fault = await this.script?.(seen)
    if (fault == null || typeof fault === 'string') { return this.#serve(request, response, fault) }
    response.writeHead(fault.status, fault.headers).end(fault.body)
  }

  async #serve (request: IncomingMessage, response: ServerResponse, fault?: Fault): Promise<void> {
    if (fault === 'silence') { return }
    if (fault === 'endless') { return this.#endless(response) }
    if (fault === 'reset') {
      request.socket.resetAndDestroy()
      return
    }
    const right = await this.#right(request)
    const body = new Uint8Array(await right.arrayBuffer())
    const headers = Object.fromEntries(right.headers)
    if (fault === 'wrong-bytes') { body[body.length - 1] ^= 1 }
    response.writeHead(right.status, fault === 'truncate' ? { ...headers, 'content-length': String(body.length) } : headers)
    if (fault === 'drip') { return this.#drip(response, body) }
    if (fault === 'truncate') {
      response.write(body.subarray(0, body.length >> 1), () => { request.socket.destroy() })
    } else {
      response.end(body)
    }
  }

  async #right ({ url, method, headers: { 'if-none-match': known } }: IncomingMessage): Promise<Response> {
    if (url === WELL_KNOWN && this.#streams != null) { return new Response(this.#streams.protocols) }
    const headers: Record<string, string> = known == null ? {} : { 'if-none-match': known }
    return this.#publisher.handleRequest(new Request(`http://localhost${url}`, { method, headers }))
  }

  async #endless (response: ServerResponse): Promise<void> {
    const piece = new Uint8Array(64 * 1024).fill(0x20)
    response.writeHead(200)
    const left = once(response, 'close')
    while (!response.destroyed) {
      if (!response.write(piece)) { await Promise.race([once(response, 'drain'), left]) }
    }
  }

  async #drip (response: ServerResponse, body: Uint8Array): Promise<void> {
    for (const byte of body) {
      if (response.destroyed || this.#leave.signal.aborted) { return }
      response.write(Uint8Array.of(byte))
      await new Promise(resolve => setTimeout(resolve, 10))
    }
    response.end()
  }
}
