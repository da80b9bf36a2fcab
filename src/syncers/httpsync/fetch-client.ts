import { concat } from '../../shared/concat.ts'
import { BlockTooLargeError, DagsyncError, TransferFailedError } from '../../shared/errors.ts'
import { Deadline } from '../../shared/deadline.ts'
import { eachPart } from '../../shared/each-part.ts'
import { stoppedError } from './http-client.ts'
import { redirectTarget } from './redirects.ts'
import type { HttpClient, HttpRequestInit, HttpResponse } from './http-client.ts'

const EMPTY = new Uint8Array(0)
const MAX_DRAINED = 64 * 1024

/** What differs between platforms. */
export interface FetchClientInit {
  /** Sent with every request. */
  headers?: Record<string, string>

  /** Throws when this host, a name or an address without brackets, may not be asked. */
  checkHost?: (host: string) => void | Promise<void>
}

/** An HttpClient on a fetch, with the limits and rules of our own one. */
export function createFetchClient (fetch: typeof globalThis.fetch, init: FetchClientInit = {}): HttpClient {
  return new FetchClient(fetch, init)
}

class FetchClient implements HttpClient {
  stopped = false
  private readonly fetch: typeof globalThis.fetch
  private readonly init: FetchClientInit
  private readonly running = new Set<(reason: unknown) => void>()

  constructor (fetch: typeof globalThis.fetch, init: FetchClientInit) {
    this.fetch = fetch
    this.init = init
  }

  async request (url: URL | string, init: HttpRequestInit): Promise<HttpResponse> {
    if (this.stopped) { throw stoppedError() }
    const deadline = new Deadline('httpTimeout', init.timeout, init.signal)
    const controller = new AbortController()
    let end: (reason: unknown) => void = () => {}
    try {
      return await new Promise((resolve, reject) => {
        // Not by the signal alone: a fetch of the user's may not listen to it.
        end = deadline.onEnd = reason => { controller.abort(reason); reject(reason) }
        this.running.add(end)
        this.follow(new URL(url), init, controller.signal).then(resolve, reject)
      })
    } catch (err) {
      deadline.check()
      throw err instanceof DagsyncError ? err : failed(url, err)
    } finally {
      deadline.clear()
      this.running.delete(end)
    }
  }

  async stop (): Promise<void> {
    this.stopped = true
    for (const end of this.running) { end(stoppedError()) }
  }

  private async follow (url: URL, init: HttpRequestInit, signal: AbortSignal): Promise<HttpResponse> {
    for (let followed = 0, at = url; ; followed++) {
      await this.init.checkHost?.(at.hostname.replace(/^\[|\]$/g, ''))
      signal.throwIfAborted()
      const response = await this.get(at, init, signal, 'manual')
      const next = redirectTarget(response.status, response.headers.get('location') ?? undefined, at, followed)
      if (next == null) { return await read(response, at, init, signal) }
      await drain(response, signal)
      at = next
    }
  }

  private async get (url: URL, init: HttpRequestInit, signal: AbortSignal, redirect: 'manual' | 'follow'): Promise<Response> {
    const { method = 'GET' } = init
    const headers = { ...this.init.headers, ...(inPage() ? {} : init.headers) }
    const response = await this.fetch.call(globalThis, url.href, { method, headers, signal, redirect, cache: 'no-store', credentials: 'omit' })
    if (response.type !== 'opaqueredirect') { return response }
    // A browser does not show where a redirect leads: it follows 20 of them, over HTTP(S) only, or none.
    if (this.init.checkHost != null) {
      throw new TransferFailedError(`${url} redirects to what filterIPs cannot check here`)
    }
    return await this.get(url, init, signal, 'follow')
  }
}

/** In a page each header that is not safelisted (Fetch standard) costs a preflight, which publishers do not answer. */
function inPage (): boolean {
  return 'document' in globalThis || 'importScripts' in globalThis
}

async function read (response: Response, asked: URL, init: HttpRequestInit, signal: AbortSignal): Promise<HttpResponse> {
  const { status, headers } = response
  const url = response.redirected ? response.url : asked.href
  const body = response.ok ? await readBody(response, url, init, signal) : await drain(response, signal)
  return { status, headers: { get: (name: string) => headers.get(name) ?? undefined }, body, url }
}

/** Reads a body that nobody wants, so that the connection is kept; a long one is cut off. */
async function drain (response: Response, signal: AbortSignal): Promise<Uint8Array> {
  let left = MAX_DRAINED
  await eachPart(response, signal, part => (left -= part.length) > 0)
  return EMPTY
}

async function readBody (
  response: Response, url: string, { maxBodySize, onBody }: HttpRequestInit, signal: AbortSignal
): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let size = 0
  await eachPart(response, signal, part => {
    size += part.length
    if (size > maxBodySize) { throw new BlockTooLargeError(url, maxBodySize) }
    onBody?.(size)
    return parts.push(part) > 0
  })
  return parts.length === 1 ? new Uint8Array(parts[0]) : concat(parts) // copied: a part may be a little of a big buffer, or a Buffer
}

function failed (url: URL | string, cause: unknown): TransferFailedError {
  const { message, cause: inner } = cause as { message?: string, cause?: { message?: string, code?: string } }
  return new TransferFailedError(`request of ${url} failed: ${inner?.message || inner?.code || message}`, { cause })
}
