/// <reference lib="esnext.disposable" preserve="true" />
import type { Libp2p } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { toCid } from '../../shared/check.ts'
import type { HeadServer, HeadServerInit } from '../../shared/types/dtsync.ts'
import type { HttpAnswer, HttpHandler, HttpRequest } from '../../wire/http-stream/handler.ts'
import { HttpStreamServer } from '../../wire/http-stream/server.ts'
import { lastSegment, requestPath } from '../httpsync/request-path.ts'
import { headProtocol, previousHeadProtocol } from './head.ts'

const TEXT = ['Content-Type', 'text/plain; charset=utf-8']

const NO_HEAD: HttpAnswer = { status: 200, headers: [] }
const NOT_FOUND: HttpAnswer = { status: 404, headers: [...TEXT, 'X-Content-Type-Options', 'nosniff'], body: new TextEncoder().encode('\n') }

/**
 * Makes a server of one head for one topic, not started yet.
 *
 * Behaves as head.Publisher (go-libipni v0.3.2, dagsync/p2p/protocol/head/head.go). Differs: it closes the stream after an answer,
 * unless the client asks with `Connection: keep-alive`, since a Go client leaves one stream open for every query.
 */
export function createHeadServer (components: { libp2p: Pick<Libp2p, 'handle' | 'unhandle'> }, init: HeadServerInit): HeadServer {
  return new Server(components, init)
}

class Server implements HeadServer, HttpHandler {
  #root: CID | undefined
  readonly #server: HttpStreamServer

  constructor (components: { libp2p: Pick<Libp2p, 'handle' | 'unhandle'> }, { topic, previous = false }: HeadServerInit) {
    const protocols = [headProtocol(topic), ...previous ? [previousHeadProtocol(topic)] : []]
    this.#server = new HttpStreamServer(components, this, { protocols, closeByDefault: true })
  }

  get root (): CID | undefined {
    return this.#root
  }

  set root (cid: CID | undefined) {
    this.#root = cid == null ? undefined : toCid('root', cid)
  }

  handle ({ path }: HttpRequest): HttpAnswer {
    const target = requestPath(path)
    if (typeof target === 'string' || lastSegment(target.path) !== 'head') { return NOT_FOUND }
    return this.root == null ? NO_HEAD : { status: 200, headers: TEXT, body: new TextEncoder().encode(String(this.root)) }
  }

  async start (): Promise<void> {
    await this.#server.start()
  }

  async stop (): Promise<void> {
    await this.#server.stop()
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    await this.stop()
  }
}
