import type { Libp2p } from '@libp2p/interface'
import { HTTP_STREAM_PROTOCOL } from '../../shared/constants.ts'
import { InvalidOptionError } from '../../shared/errors.ts'
import { Turns } from '../../shared/turns.ts'
import { HttpStreamServer } from '../../wire/http-stream/server.ts'
import type { HttpAnswer, HttpHandler, HttpRequest } from './http-types.ts'
import { lastSegment, requestPath } from './request-path.ts'

const nodes = new WeakMap<Libp2p, HttpNode>()

/**
 * The publisher's half: answers over streams. Go: ipnisync.NewPublisher with a stream host (v0.7.8).
 *
 * The publishers of one node share the protocol. The blocks of all are served; but a request for the head names no publisher, so that
 * it is the head of the first one.
 */
export class IpnisyncServer {
  private readonly libp2p: Libp2p
  private readonly handler: HttpHandler
  private readonly first: boolean
  private node: HttpNode | undefined

  /** `first`: to start behind another publisher is an error. */
  constructor (libp2p: Libp2p, handler: HttpHandler, init: { first: boolean }) {
    this.libp2p = libp2p
    this.handler = handler
    this.first = init.first
  }

  /** Throws InvalidOptionError. Gives whether its head is the one that is served. */
  async start (): Promise<boolean> {
    let node = nodes.get(this.libp2p)
    if (node == null) {
      node = new HttpNode(this.libp2p)
      nodes.set(this.libp2p, node)
    }
    await node.add(this.handler, this.first)
    this.node = node
    return node.isFirst(this.handler)
  }

  async stop (): Promise<void> {
    const { node } = this
    this.node = undefined
    await node?.remove(this.handler)
  }
}

/** What the publishers of one node share: libp2p takes one handler for a protocol. Runs while there are any. */
class HttpNode implements HttpHandler {
  private handlers: HttpHandler[] = []
  private readonly server: HttpStreamServer
  private readonly turns = new Turns()

  constructor (libp2p: Libp2p) {
    this.server = new HttpStreamServer({ libp2p }, this, { protocols: [HTTP_STREAM_PROTOCOL], closeByDefault: true })
  }

  isFirst (handler: HttpHandler): boolean {
    return this.handlers[0] === handler
  }

  async add (handler: HttpHandler, first: boolean): Promise<void> {
    await this.turns.take(async () => {
      if (first && this.handlers.length > 0) {
        throw new InvalidOptionError('ipnisync', 'is served by another publisher of this node: one peer has one head over libp2p streams')
      }
      this.handlers.push(handler) // requests come before start() is over
      try {
        await this.server.start()
      } catch (cause: any) {
        this.handlers.pop()
        if (cause?.name !== 'DuplicateProtocolHandlerError') { throw cause }
        throw new InvalidOptionError('ipnisync', `finds ${HTTP_STREAM_PROTOCOL} taken on this node: switch it off (false), or the other handler`, { cause })
      }
    })
  }

  async remove (handler: HttpHandler): Promise<void> {
    await this.turns.take(async () => {
      const left = this.handlers.filter(other => other !== handler)
      try {
        if (left.length === 0) { await this.server.stop() } // until then requests come
      } finally {
        this.handlers = left
      }
    })
  }

  handle (request: HttpRequest): HttpAnswer | Promise<HttpAnswer> {
    const [first, ...others] = this.handlers
    const answer = first.handle(request)
    return others.length === 0 || isForHead(request) ? answer : this.orOthers(request, answer, others)
  }

  private async orOthers (request: HttpRequest, first: HttpAnswer | Promise<HttpAnswer>, others: HttpHandler[]): Promise<HttpAnswer> {
    let answer = await first
    for (const other of others) {
      if (answer.status !== 404 && answer.status < 500) { break }
      const next = await other.handle(request)
      if (next.status !== 404) { answer = next } // that a store fails says less than a block, and more than that there is none
    }
    return answer
  }
}

function isForHead ({ path }: HttpRequest): boolean {
  const target = requestPath(path)
  return typeof target !== 'string' && lastSegment(target.path) === 'head'
}
