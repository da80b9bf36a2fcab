import type { AbortOptions, Libp2p, PeerId, Stream } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { parseCid } from '../../shared/cid-text.ts'
import { HTTP_TIMEOUT, USER_AGENT } from '../../shared/constants.ts'
import { checkPeerId } from '../../shared/check.ts'
import { HeadQueryError, InvalidMessageError } from '../../shared/errors.ts'
import { LONGEST_TIMER, positive } from '../../shared/positive.ts'
import { HttpStreamClient } from '../../wire/http-stream/client.ts'
import type { HttpStreamClientInit } from '../../wire/http-stream/client.ts'

/** A CIDv1 of a 64-byte digest is 553 characters in base2, the longest. */
const MAX_HEAD_SIZE = 1024

export interface QueryHeadOptions extends AbortOptions {
  /**
   * How long the whole query may take, in milliseconds.
   *
   * @default 10_000
   */
  timeout?: number
}

/** The protocol id of the head of a topic: Go's `path.Join("/legs/head", topic, "0.0.1")`. */
export function headProtocol (topic: string): string {
  const parts: string[] = []
  for (const part of previousHeadProtocol(topic).split('/')) {
    if (part === '..') {
      parts.pop()
    } else if (part !== '' && part !== '.') {
      parts.push(part)
    }
  }
  return `/${parts.join('/')}`
}

/** The one that peers had before, with the topic as it is. */
export function previousHeadProtocol (topic: string): string {
  return `/legs/head/${topic}/0.0.1`
}

/** The ones that a publisher of the topic may have, the current one first. */
export function headProtocols (topic: string): string[] {
  return [...new Set([headProtocol(topic), previousHeadProtocol(topic)])]
}

/** Of whatever topic. */
export function isHeadProtocol (protocol: string): boolean {
  return protocol.startsWith('/legs/head/')
}

/** Asks publishers for their heads, and keeps a stream to each for the next time. */
export class HeadClient {
  private readonly client: HttpStreamClient
  private readonly protocols: string[]

  constructor (components: { libp2p: Pick<Libp2p, 'dialProtocol'> }, init: { topic: string } & HttpStreamClientInit) {
    this.client = new HttpStreamClient(components, { maxIdle: 1, ...init })
    this.protocols = headProtocols(init.topic)
  }

  /** As queryHead(). */
  async query (peer: PeerId, options: QueryHeadOptions = {}): Promise<CID | undefined> {
    const { signal, timeout = HTTP_TIMEOUT } = options
    positive('timeout', timeout, LONGEST_TIMER)
    try {
      const { status, body } = await this.client.request(peer, this.protocols, {
        target: '/head', headers: { 'User-Agent': USER_AGENT }, maxBodySize: MAX_HEAD_SIZE, what: 'the head', timeout, signal
      })
      return parseHead(status, body)
    } catch (cause) {
      signal?.throwIfAborted()
      throw new HeadQueryError(peer, { cause })
    }
  }

  /** Takes a stream of the head protocol that was opened to learn what the peer speaks. */
  adopt (peer: PeerId, stream: Stream): void {
    this.client.adopt(peer, this.protocols, stream)
  }

  /** Ends the queries under way, and every stream. Queries fail from then on. */
  stop (): void {
    this.client.stop()
  }
}

/**
 * Asks a peer for its head on a topic; undefined when it has none. The answer is not signed: it is the peer's because the connection
 * is. Connects if need be, to the addresses that libp2p knows.
 *
 * Behaves as QueryRootCid (go-libipni v0.3.2, dagsync/p2p/protocol/head/head.go): only the body counts, not the status. Differs: it
 * can be aborted, it has a time limit, its stream is closed, and a line end after the CID is taken in every base.
 *
 * @throws {InvalidOptionError} an argument is wrong
 * @throws {HeadQueryError} the cause says why: no connection, another topic, no answer in time, not a CID
 */
export async function queryHead (
  components: { libp2p: Pick<Libp2p, 'dialProtocol'> }, peer: PeerId, topic: string, options?: QueryHeadOptions
): Promise<CID | undefined> {
  checkPeerId('peer', peer)
  return new HeadClient(components, { topic, maxIdle: 0 }).query(peer, options)
}

function parseHead (status: number, body: Uint8Array): CID | undefined {
  if (body.length === 0) { return undefined }
  const text = new TextDecoder().decode(body)
  try {
    return parseCid(text.replace(/\r?\n$/, ''))
  } catch (cause) {
    throw new InvalidMessageError(`status ${status} and a body that is not a CID: ${JSON.stringify(text.slice(0, 64))}`, { cause })
  }
}
