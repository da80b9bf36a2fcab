import { TransferFailedError } from '../../shared/errors.ts'

/** How one request is made. */
export interface HttpRequestInit {
  /** @default 'GET' */
  method?: 'GET' | 'HEAD'
  headers?: Record<string, string>

  /** From the call to the last byte of the body, redirects included; milliseconds. */
  timeout: number

  /** Bytes, also of the decoded body. */
  maxBodySize: number

  /** Told before so many bytes of the body, in all, are held; the request ends with the DagsyncError that it throws. */
  onBody?: (size: number) => void
  signal?: AbortSignal
}

/** A whole response. */
export interface HttpResponse {
  status: number
  headers: { get(name: string): string | undefined }

  /** Empty unless the status is 2xx: other bodies are drained and dropped. */
  body: Uint8Array

  /** Where the last redirect led. */
  url: string
}

/** How a body is encoded, in lower case; undefined: not at all. */
export function contentEncoding ({ headers }: Pick<HttpResponse, 'headers'>): string | undefined {
  const encoding = headers.get('content-encoding')?.toLowerCase()
  return encoding === '' || encoding === 'identity' ? undefined : encoding
}

/** Whether a status is none of those whose body is wanted. */
export function isNoSuccess (status: number): boolean {
  return status < 200 || status > 299
}

/** What requests fail with after stop(). */
export function stoppedError (): TransferFailedError {
  return new TransferFailedError('the HTTP client is stopped')
}

/** Asks for small resources over kept connections. */
export interface HttpClient {
  /** After stop(): requests fail, and trying again is of no use. */
  readonly stopped: boolean

  /**
   * Throws TransferFailedError (no connection, a broken answer, a redirect that may not be followed), TimeoutError,
   * BlockTooLargeError, and what the signal was aborted with. A status is not an error.
   */
  request(url: URL | string, init: HttpRequestInit): Promise<HttpResponse>

  /** Ends the requests under way, and every connection. */
  stop(): Promise<void>
}

/** What createHttpClient() of client.node.ts and client.ts takes. */
export interface HttpClientInit {
  /** Used in place of our own connections. */
  fetch?: typeof globalThis.fetch

  /**
   * Connect to public addresses only, after redirects too; or to those that this function takes. Where names cannot be
   * resolved (browsers), only addresses in URLs are checked.
   *
   * @default false
   */
  filterIPs?: boolean | ((ip: string) => boolean)
}
