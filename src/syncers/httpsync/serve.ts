import type { Logger, PrivateKey } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { parseCid } from '../../shared/cid-text.ts'
import { IPNI_PATH } from '../../shared/constants.ts'
import { isNotFound } from '../../shared/not-found.ts'
import type { LinkSystem } from '../../shared/types.ts'
import { dagJson } from '../../store/dag-json.ts'
import { readBlock } from '../../store/read.ts'
import type { HttpAnswer, HttpHandler, HttpRequest, Served } from './http-types.ts'
import { lastSegment, requestPath } from './request-path.ts'
import { encodeSignedHead } from './signed-head.ts'
import { encodeProtocols, WELL_KNOWN } from './well-known.ts'

export interface HttpHandlerComponents {
  linkSystem: LinkSystem

  /** Signs heads. */
  privateKey: PrivateKey
  log?: Logger
}

export interface HttpHandlerInit {
  root: () => CID | undefined

  /** What paths must begin with. */
  handlerPath?: string

  /**
   * Whether the well-known resource is answered, which stands at the root of a server: where that is the caller's, it is not ours to
   * say what is under which path. v0.7.8 peers then take it for plain HTTP, at the address that they have.
   *
   * @default false
   */
  wellKnown?: boolean

  /** Signed into the head. v0.3.2 peers refuse a head that has one. */
  headTopic?: string

  /** Called when a head or a block is answered, also when it is not found. It must not throw. */
  onServed?: (served: Served) => void
}

// Go sets none, and sniffs this one.
const TEXT = 'text/plain; charset=utf-8'

const NO_HEAD = plain(204)
const MALFORMED = plain(400, 'invalid request')
const NOT_A_CID = plain(400, 'invalid request: not a cid')
const NOT_FOUND = plain(404, 'cid not found')
const NOT_ALLOWED = plain(405, 'Only GET requests are supported')
const NOT_JSON = plain(406, 'Only application/json is supported')
const TOO_LONG = plain(414, 'request path too long')
const NOT_ENCODED = plain(500, 'Failed to encode')
const NOT_LOADED = plain(500, 'unable to load data for cid')

/**
 * Serves the signed head and the blocks of a chain to clients of both generations: only the last segment of a path counts, so
 * that `/head`, `/CID`, `/ipni/v1/ad/head` and `/ipni/v1/ad/CID` are answered (go-libipni v0.3.2, dagsync/httpsync/publisher.go),
 * and with `wellKnown` the resource by which v0.7.8 clients find the path (go-libp2p, p2p/http).
 *
 * Differs: dag-json blocks are answered as they are stored; ETag and If-None-Match; the head is signed once per root.
 */
export function createHttpHandler (components: HttpHandlerComponents, init: HttpHandlerInit): HttpHandler {
  return new Handler(components, init)
}

interface SignedRoot {
  root: CID
  body: Promise<Uint8Array> | Uint8Array
}

class Handler implements HttpHandler {
  readonly #components: HttpHandlerComponents
  readonly #init: HttpHandlerInit
  readonly #prefix: string
  readonly #protocols?: HttpAnswer
  #signed?: SignedRoot

  constructor (components: HttpHandlerComponents, init: HttpHandlerInit) {
    this.#components = components
    this.#init = init
    const path = trimSlashes(init.handlerPath ?? '')
    this.#prefix = path === '' ? '' : `/${path}`
    if (init.wellKnown === true) {
      const body = encodeProtocols(`${encodeURI(this.#prefix)}${IPNI_PATH}/`)
      this.#protocols = { status: 200, headers: ['Content-Type', 'application/json', 'Content-Length', String(body.byteLength)], body }
    }
  }

  handle (request: HttpRequest): HttpAnswer | Promise<HttpAnswer> {
    const target = requestPath(request.path)
    if (target === 'long') { return forMethod(request, TOO_LONG) }
    if (this.#protocols != null && target !== 'malformed' && target.path === WELL_KNOWN) {
      return wellKnown(request, this.#protocols)
    }
    if (target === 'malformed' || !target.path.startsWith(this.#prefix)) { return forMethod(request, MALFORMED) }
    const name = lastSegment(target.path.slice(this.#prefix.length))
    return name === 'head' ? this.#head(request) : this.#block(request, name)
  }

  #head (request: HttpRequest): HttpAnswer | Promise<HttpAnswer> {
    const root = this.#init.root()
    if (root == null) { return this.#finish(request, 'head', root, NO_HEAD) }
    const body = this.#sign(root)
    if (body instanceof Uint8Array) { return this.#finish(request, 'head', root, found(request, String(root), body)) }
    return body.then(bytes => this.#finish(request, 'head', root, found(request, String(root), bytes)), error => {
      this.#components.log?.error('could not sign the head %c', root, error)
      return this.#finish(request, 'head', root, NOT_ENCODED)
    })
  }

  /** Signed once per root: a head is asked for much more often than it changes. */
  #sign (root: CID): Promise<Uint8Array> | Uint8Array {
    if (this.#signed?.root.equals(root) === true) { return this.#signed.body }
    const body = encodeSignedHead(root, this.#components.privateKey, this.#init.headTopic)
    const signed: SignedRoot = { root, body }
    this.#signed = signed
    body.then(bytes => { signed.body = bytes }, () => {
      if (this.#signed === signed) { this.#signed = undefined }
    })
    return body
  }

  #block (request: HttpRequest, name: string): HttpAnswer | Promise<HttpAnswer> {
    let cid: CID
    try {
      cid = parseCid(name)
    } catch {
      return forMethod(request, NOT_A_CID)
    }
    try {
      const read = readBlock(this.#components.linkSystem.blockstore, cid, { signal: request.signal })
      if (read instanceof Uint8Array) { return this.#loaded(request, name, cid, read) }
      return read.then(bytes => this.#loaded(request, name, cid, bytes), error => this.#notLoaded(request, cid, error))
    } catch (error) {
      return this.#notLoaded(request, cid, error)
    }
  }

  #loaded (request: HttpRequest, name: string, cid: CID, bytes: Uint8Array): HttpAnswer {
    const text = name.startsWith('b') ? name : String(cid) // base32: what the CID's own text would be
    if (cid.code === dagJson.code) { return this.#finish(request, 'block', cid, found(request, text, bytes)) }
    try {
      const json = dagJson.encode(this.#components.linkSystem.getCodec(cid.code).decode(bytes))
      return this.#finish(request, 'block', cid, found(request, text, json))
    } catch (error) {
      return this.#notLoaded(request, cid, error)
    }
  }

  #notLoaded (request: HttpRequest, cid: CID, error: any): HttpAnswer {
    if (isNotFound(error)) { return this.#finish(request, 'block', cid, NOT_FOUND) }
    if (request.signal?.aborted !== true) { this.#components.log?.error('could not load %c', cid, error) }
    return this.#finish(request, 'block', cid, NOT_LOADED)
  }

  #finish (request: HttpRequest, kind: Served['kind'], cid: CID | undefined, answer: HttpAnswer): HttpAnswer {
    const sent = forMethod(request, answer)
    this.#init.onServed?.({ kind, cid, status: sent.status, bytes: sent.body?.byteLength ?? 0 })
    return sent
  }
}

function wellKnown (request: HttpRequest, protocols: HttpAnswer): HttpAnswer {
  if (!/^$|application\/json|\*\/\*/i.test(request.headers.get('accept') ?? '')) { return forMethod(request, NOT_JSON) }
  return request.method === 'GET' ? protocols : forMethod(request, NOT_ALLOWED)
}

function trimSlashes (path: string): string {
  return path.replace(/^\/+|\/+$/g, '')
}

function found (request: HttpRequest, cid: string, body: Uint8Array): HttpAnswer {
  const tag = `"${cid}"`
  const known = request.headers.get('if-none-match')
  if (known != null && matches(known, tag)) { return { status: 304, headers: ['ETag', tag] } }
  return { status: 200, headers: ['Content-Type', TEXT, 'Content-Length', String(body.byteLength), 'ETag', tag], body }
}

function matches (known: string, tag: string): boolean {
  return known.trim() === '*' || known.split(',').some(one => one.trim().replace(/^W\//, '') === tag)
}

/** Every method is answered like GET, as in Go; HEAD without a body. */
function forMethod (request: HttpRequest, answer: HttpAnswer): HttpAnswer {
  return request.method === 'HEAD' && answer.body != null ? { status: answer.status, headers: answer.headers } : answer
}

/** What Go's http.Error writes. */
function plain (status: number, text?: string): HttpAnswer {
  const headers = ['Content-Type', TEXT, 'X-Content-Type-Options', 'nosniff']
  if (text == null) { return { status, headers } }
  const body = new TextEncoder().encode(`${text}\n`)
  return { status, headers: [...headers, 'Content-Length', String(body.byteLength)], body }
}
