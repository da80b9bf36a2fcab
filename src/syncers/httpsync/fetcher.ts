import type { AbortOptions, Logger } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { CID } from 'multiformats/cid'
import { delay } from '../../shared/delay.ts'
import { CID_SCHEMA_HEADER } from '../../shared/constants.ts'
import { ContentNotFoundError, HttpStatusError, TransferFailedError } from '../../shared/errors.ts'
import type { SyncerSyncOptions } from '../../shared/types.ts'
import type { Ask, Base, Bases } from './bases.ts'
import type { HttpClient, HttpResponse } from './http-client.ts'
import type { HttpLimits } from './limits.ts'
import { isRetryStatus, retryDelay } from './retry.ts'

/** What a CID is, as a publisher may want to know. Go: ipnisync.CidSchemaAdvertisement, CidSchemaEntryChunk. */
export type SchemaType = NonNullable<SyncerSyncOptions['schemaType']>

export type FetcherInit = Omit<HttpLimits, 'prefetch'>

export interface BlockOptions extends AbortOptions {
  /** The CID as it was published, in whatever base. */
  text?: string
  schemaType?: SchemaType

  /** As that of a request (HttpRequestInit). */
  onBody?: (size: number) => void
}

type RequestOptions = Pick<BlockOptions, 'signal' | 'onBody'>

const NO_HEADERS: Record<string, string> = {}
const SCHEMA_HEADERS: Record<SchemaType, Record<string, string>> = {
  Advertisement: { [CID_SCHEMA_HEADER]: 'Advertisement' },
  EntryChunk: { [CID_SCHEMA_HEADER]: 'EntryChunk' }
}

// Other ETags than these we do not remember: this one is sent back.
const ETAG = /^(?:W\/)?"[!#-~]*"$/

/**
 * One publisher's resources over HTTP: which address, which path, how often. Follows the client of go-libipni v0.7.8
 * (dagsync/ipnisync, Syncer.fetch). Differs: no well-known request; addresses are never used up; the path is known per
 * address once anything was found there; retries; no second path for a block once the path is known.
 */
export class Fetcher {
  private readonly client: HttpClient
  private readonly init: FetcherInit
  private readonly bases: Bases
  private readonly log: Logger | undefined
  private readonly stopping = new AbortController()
  private lastHead: KnownHead | undefined

  constructor (client: HttpClient, bases: Bases, init: FetcherInit, log?: Logger) {
    this.client = client
    this.bases = bases
    this.init = init
    this.log = log
  }

  /** The address that answered last, as it was given. */
  get workingAddr (): Multiaddr | undefined {
    return this.bases.worked
  }

  /**
   * The signed head; undefined when there is none (204). The same object as before when the publisher says that nothing changed.
   *
   * Throws HttpStatusError, TransferFailedError, TimeoutError, BlockTooLargeError and the signal's reason.
   */
  async head (options: AbortOptions = {}): Promise<Uint8Array | undefined> {
    const response = await this.get('head', NO_HEADERS, options)
    const { status, url, body, known } = response
    if (status === 204) { return undefined }
    if (status === 304 && known != null) { return known.body }
    if (status !== 200) { throw new HttpStatusError(status, url) }
    const etag = response.headers.get('etag')
    this.lastHead = etag != null && ETAG.test(etag) ? { url: response.asked, etag, body } : undefined
    return body
  }

  /** The last head was not good: it is to come again, and not as unchanged. */
  forgetHead (): void {
    this.lastHead = undefined
  }

  /** The bytes under a CID, not verified. Throws as head() does, and ContentNotFoundError. */
  async block (cid: CID, options: BlockOptions = {}): Promise<Uint8Array> {
    const headers = options.schemaType == null ? NO_HEADERS : SCHEMA_HEADERS[options.schemaType]
    const { status, url, body } = await this.get(pathSegment(options.text ?? cid.toString()), headers, options)
    if (status === 200) { return body }
    throw status === 404 ? new ContentNotFoundError(cid) : new HttpStatusError(status, url)
  }

  /** Ends the waits between retries; requests are the client's to end. */
  stop (): void {
    this.stopping.abort(new TransferFailedError('the syncer is stopped'))
  }

  private async get (resource: string, headers: Record<string, string>, options: RequestOptions): Promise<Answer> {
    const retry = this.init.httpRetry
    for (let attempt = 0; ; attempt++) {
      const last = retry === false || attempt >= retry.retries
      let retryAfter: string | undefined
      try {
        const response = await this.anyAddress(resource, headers, options)
        if (last || !isRetryStatus(response.status)) { return response }
        this.log?.('status %d for %s, trying again', response.status, response.url)
        retryAfter = response.headers.get('retry-after')
      } catch (err) {
        if (last || !this.isTransportError(err, options.signal)) { throw err }
        this.log?.('%s failed, trying again: %s', resource, (err as Error).message)
      }
      await delay(retryDelay(attempt, retry, retryAfter), options.signal, this.stopping.signal)
    }
  }

  /** Each address once, until one answers; the first error when none does. */
  private async anyAddress (resource: string, headers: Record<string, string>, options: RequestOptions): Promise<Answer> {
    const first = this.bases.first()
    try {
      return await this.ask(first, resource, headers, options)
    } catch (failure) {
      for (const base of this.isTransportError(failure, options.signal) ? this.bases.after(first) : []) {
        this.log?.('%a does not answer, trying %a', first.addr, base.addr)
        try {
          return await this.ask(base, resource, headers, options)
        } catch (err) {
          if (!this.isTransportError(err, options.signal)) { throw err }
        }
      }
      throw failure
    }
  }

  private async ask (base: Base, resource: string, headers: Record<string, string>, options: RequestOptions): Promise<Answer> {
    try {
      const answer = await this.anyPrefix(base, resource, headers, options)
      this.bases.succeeded(base)
      return answer
    } catch (err) {
      if (this.isTransportError(err, options.signal)) { this.bases.failed(base) }
      throw err
    }
  }

  /** A head has to be under one of the paths. */
  private async anyPrefix (base: Base, resource: string, headers: Record<string, string>, options: RequestOptions): Promise<Answer> {
    const { prefix } = base
    let answer = await this.request(prefix + resource, headers, options)
    if (isFound(answer)) {
      base.settle(prefix)
      return answer
    }
    const known = base.known && base.prefix === prefix // another request may have found it elsewhere meanwhile
    if (!base.isMissing(answer.status) || (known && resource !== 'head')) { return answer }
    const ask: Ask = async (url, maxBodySize) => this.request(url, { Accept: 'application/json' }, options, maxBodySize)
    for (const other of await base.others(prefix, ask)) {
      const next = await this.request(other + resource, headers, options)
      if (isFound(next)) {
        base.settle(other)
        return next
      }
      // What is missing under one path and refused under the other is missing.
      if (isRetryStatus(next.status) || (next.status === 404 && base.isMissing(answer.status))) { answer = next }
    }
    return answer
  }

  private async request (
    asked: string, headers: Record<string, string>, { signal, onBody }: RequestOptions, maxBodySize = this.init.maxBlockSize
  ): Promise<Answer> {
    const known = asked === this.lastHead?.url ? this.lastHead : undefined
    if (known != null) { headers = { ...headers, 'If-None-Match': known.etag } }
    const response = await this.client.request(asked, { headers, timeout: this.init.httpTimeout, maxBodySize, onBody, signal })
    return Object.assign(response, { asked, known })
  }

  private isTransportError (err: unknown, signal?: AbortSignal): boolean {
    if (signal?.aborted === true || this.client.stopped || this.stopping.signal.aborted) { return false }
    return err instanceof Error && (err.name === 'TransferFailedError' || err.name === 'TimeoutError')
  }
}

/** The last head that came with an ETag. */
interface KnownHead { url: string, etag: string, body: Uint8Array }

/** A response, the URL that was asked for it, before redirects, and which head need not come again. */
type Answer = HttpResponse & { asked: string, known?: KnownHead }

function isFound ({ status }: HttpResponse): boolean {
  return (status >= 200 && status < 300) || status === 304
}

/** Base64 text of a CID may hold a slash. */
function pathSegment (text: string): string {
  return /^[A-Za-z0-9]+$/.test(text) ? text : encodeURIComponent(text)
}
