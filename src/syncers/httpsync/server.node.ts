import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr'
import type { HttpAnswer, HttpHandler, HttpRequest, HttpServer, HttpServerInit } from './http-types.ts'

const SECOND = 1_000

/** Longer than the minute that proxies keep a connection; Go's client keeps it for 90 s. */
const KEEP_ALIVE_TIMEOUT = 65 * SECOND

/** A request has no body, so that this is ample. */
const HEADERS_TIMEOUT = 10 * SECOND
const REQUEST_TIMEOUT = 20 * SECOND

/** Neither reading the answer nor waiting for one that the store never gives may hold a connection longer. */
const INACTIVITY_TIMEOUT = 60 * SECOND

const MAX_HEADER_SIZE = 8 * 1024

/** Requests of one connection that wait for the one before them; beyond it the connection is ended. */
const MAX_PIPELINED = 256

/** Whoever has closed their side may wait for an answer, or be gone: so long it may take to be made. */
const HALF_CLOSED_GRACE = 2 * SECOND

/** For answers under way when the server stops. */
const STOP_GRACE = SECOND

/**
 * Serves a handler over plain HTTP, with node:http.
 *
 * Rejects with what listening fails with, such as EADDRINUSE, and with the signal's reason.
 */
export async function startHttpServer (handler: HttpHandler, init: HttpServerInit): Promise<HttpServer> {
  init.signal?.throwIfAborted()
  const server = new NodeHttpServer(handler)
  await server.listen(init)
  return server
}

class NodeHttpServer implements HttpServer {
  readonly #server: Server
  readonly #handler: HttpHandler
  readonly #connections = new Map<Socket, Connection>()
  readonly #addrs = new Map<string, Multiaddr>() // by host
  #address: AddressInfo = { address: '', family: 'IPv4', port: 0 }
  #stopped?: Promise<void>

  constructor (handler: HttpHandler) {
    this.#handler = handler
    this.#server = createServer({
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT,
      headersTimeout: HEADERS_TIMEOUT,
      requestTimeout: REQUEST_TIMEOUT,
      connectionsCheckingInterval: 5 * SECOND,
      maxHeaderSize: MAX_HEADER_SIZE,
      noDelay: true
    })
    this.#server.timeout = INACTIVITY_TIMEOUT
    this.#server.closeIdleConnections = () => {} // close() calls it, and it cuts off answers that are not written out yet
    Object.assign(this.#server, { httpAllowHalfOpen: true }) // which the types do not have
    this.#server.on('connection', (socket: Socket) => {
      const connection = new Connection()
      let timer: ReturnType<typeof setTimeout> | undefined
      this.#connections.set(socket, connection)
      socket.once('end', () => {
        timer = setTimeout(() => { if (connection.current?.headersSent !== true) { socket.destroy() } }, HALF_CLOSED_GRACE)
      })
      socket.once('close', () => {
        clearTimeout(timer)
        connection.close()
        this.#connections.delete(socket)
      })
    })
    this.#server.on('request', (request, response) => { this.#request(request, response) })
  }

  get host (): string {
    return this.#address.address
  }

  get port (): number {
    return this.#address.port
  }

  async listen ({ host, port, signal }: HttpServerInit): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const abort = (): void => { reject(signal?.reason) }
    signal?.addEventListener('abort', abort, { once: true })
    this.#server.on('error', reject) // stays, for sockets that cannot be accepted
    this.#server.listen({ host, port }, resolve)
    try {
      await promise
    } catch (error) {
      this.#server.close()
      this.#server.once('listening', () => { this.#server.close() }) // the name of the host was still being looked up
      throw error
    } finally {
      signal?.removeEventListener('abort', abort)
    }
    this.#address = this.#server.address() as AddressInfo
  }

  addrs (): Multiaddr[] {
    return hosts(this.host).map(host => {
      let addr = this.#addrs.get(host)
      if (addr == null) {
        addr = multiaddr(`/${host.includes(':') ? 'ip6' : 'ip4'}/${host}/tcp/${this.port}/http`)
        this.#addrs.set(host, addr)
      }
      return addr
    })
  }

  stop (): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop (): Promise<void> {
    const closed = new Promise<void>(resolve => { this.#server.close(() => { resolve() }) })
    for (const [socket, connection] of this.#connections) {
      if (connection.current == null || connection.free) {
        socket.destroy()
      } else {
        connection.current.once('close', () => { socket.destroySoon() })
      }
    }
    const timer = setTimeout(() => {
      for (const socket of this.#connections.keys()) { socket.destroy() }
    }, STOP_GRACE)
    try {
      await closed
    } finally {
      clearTimeout(timer)
    }
  }

  /** One answer at a time per connection: a reader who asks much and reads little holds one block, not many. */
  #request (request: IncomingMessage, response: ServerResponse): void {
    const connection = this.#connections.get(request.socket)
    if (connection == null) { return }
    if (connection.current == null || connection.free) {
      this.#answer(connection, request, response)
    } else if (connection.waiting.length < MAX_PIPELINED) {
      connection.waiting.push(() => { this.#answer(connection, request, response) })
      if (connection.waiting.length === 1) { connection.current.once('close', () => { connection.next() }) }
    } else {
      request.socket.destroy()
    }
  }

  #answer (connection: Connection, request: IncomingMessage, response: ServerResponse): void {
    connection.current = response
    // A body is not looked at; whoever sends one may not be done when the answer is.
    if (request.method !== 'GET' && request.method !== 'HEAD') { response.shouldKeepAlive = false }
    const answer = this.#handler.handle(new NodeRequest(request, connection))
    if (answer instanceof Promise) {
      void answer.then(answer => { this.#write(response, answer) })
    } else {
      this.#write(response, answer)
    }
    if (connection.waiting.length > 0) { response.once('close', () => { connection.next() }) }
  }

  #write (response: ServerResponse, { status, headers, body }: HttpAnswer): void {
    if (response.destroyed) { return }
    if (this.#stopped != null) { response.shouldKeepAlive = false }
    response.writeHead(status, headers as string[])
    response.end(body)
  }
}

/** What is known of one socket. */
class Connection {
  current?: ServerResponse
  readonly waiting: Array<() => void> = []
  #controller?: AbortController

  /** Whether the answer under way has been handed to the system, or will never be. */
  get free (): boolean {
    return this.current == null || this.current.writableFinished || this.current.destroyed
  }

  /** One for all requests of the connection: they end with it. */
  get signal (): AbortSignal {
    this.#controller ??= new AbortController()
    return this.#controller.signal
  }

  next (): void {
    this.waiting.shift()?.()
  }

  close (): void {
    this.waiting.length = 0
    this.#controller?.abort()
  }
}

/** Reads what is asked for only: node:http makes its object of headers on first use, and nearly all requests need none. */
class NodeRequest implements HttpRequest {
  readonly #message: IncomingMessage
  readonly #connection: Connection

  constructor (message: IncomingMessage, connection: Connection) {
    this.#message = message
    this.#connection = connection
  }

  get method (): string {
    return this.#message.method ?? 'GET'
  }

  get path (): string {
    return this.#message.url ?? '/'
  }

  get headers (): HttpRequest['headers'] {
    return this
  }

  get signal (): AbortSignal {
    return this.#connection.signal
  }

  get (name: string): string | undefined {
    const raw = this.#message.rawHeaders
    for (let i = 0; i < raw.length; i += 2) {
      if (raw[i].length === name.length && raw[i].toLowerCase() === name) { return raw[i + 1] }
    }
    return undefined
  }
}

/** An unspecified address is nowhere to be reached: those that stand behind it are. */
function hosts (host: string): string[] {
  if (host !== '0.0.0.0' && host !== '::') { return [host] }
  return Object.values(networkInterfaces()).flatMap(list => list ?? [])
    .filter(({ address, family }) => family === 'IPv4' || (host === '::' && !/^fe[89ab]/i.test(address)))
    .map(({ address }) => address)
}
