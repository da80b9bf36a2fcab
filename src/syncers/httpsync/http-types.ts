import type { Multiaddr } from '@multiformats/multiaddr'
import type { CID } from 'multiformats/cid'

export type { HttpAnswer, HttpHandler, HttpRequest } from '../../wire/http-stream/handler.ts'

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
