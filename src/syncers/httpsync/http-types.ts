import type { Multiaddr } from '@multiformats/multiaddr'
import type { CID } from 'multiformats/cid'

/** A request as a handler sees it, whatever carried it. */
export interface HttpRequest {
  readonly method: string

  /** As on the request line: percent-encoded; a query is ignored. */
  readonly path: string
  readonly headers: { get (name: string): string | null | undefined }

  /** Aborts when nobody waits for the answer any more. */
  readonly signal?: AbortSignal
}

/** Not changed by anybody: one object may answer many requests. */
export interface HttpAnswer {
  readonly status: number

  /** Names and values in turn, which is what node:http writes fastest. */
  readonly headers: readonly string[]
  readonly body?: Uint8Array
}

/** Answers requests over plain HTTP, Request and Response, or anything else. Never throws, never rejects. */
export interface HttpHandler {
  handle (request: HttpRequest): HttpAnswer | Promise<HttpAnswer>
}

/** What became of a request for the head or for a block. */
export interface Served {
  kind: 'head' | 'block'

  /** Absent: there is no head. */
  cid?: CID
  status: number

  /** Of the body. */
  bytes: number
}

export interface HttpServerInit {
  /** Absent: every interface. */
  host?: string

  /** 0: a free one. */
  port: number

  /** Aborts the start only. */
  signal?: AbortSignal
}

/** A server that listens. */
export interface HttpServer {
  readonly host: string
  readonly port: number

  /** `/ip4|ip6/HOST/tcp/PORT/http`; for an unspecified host, one of each interface address that there is now. */
  addrs (): Multiaddr[]

  /** Ends every connection; answers under way have a second. Idempotent. */
  stop (): Promise<void>
}
