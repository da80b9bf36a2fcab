import { isPeerId } from '@libp2p/interface'
import { ANNOUNCE_TIMEOUT, DEFAULT_ANNOUNCE_PATH, USER_AGENT } from '../../shared/constants.ts'
import { eachPart } from '../../shared/each-part.ts'
import { AnnounceError, HttpStatusError, InvalidOptionError, TransferFailedError } from '../../shared/errors.ts'
import { withPeerId } from '../../shared/multiaddrs.ts'
import { LONGEST_TIMER, positive } from '../../shared/positive.ts'
import { unlessAborted } from '../../shared/unless-aborted.ts'
import { within } from '../../shared/within.ts'
import { announceToJson } from '../json.ts'
import { encodeAnnounce } from '../message.ts'
import type { AnnounceMessage, AnnounceSender } from '../../shared/types.ts'
import type { PeerId } from '@libp2p/interface'

/** What is read of an answer, in bytes: enough to keep the connection, and to say what was wrong. */
const MAX_ANSWER = 64 * 1024
const MAX_ERROR_TEXT = 1024

export interface HttpSenderInit {
  /** The indexers. A URL without a path gets DEFAULT_ANNOUNCE_PATH; so does a URL object with the path '/', which is the same. */
  urls: Array<URL | string>

  /** The publisher: over HTTP its id is told by /p2p/ID at the end of each address. */
  peerId: PeerId

  /** Takes the place of a message's own. */
  extraData?: Uint8Array

  /**
   * @default 'cbor'
   */
  encoding?: 'cbor' | 'json'

  /**
   * The limit for one announcement, in milliseconds.
   *
   * @default 60_000
   */
  timeout?: number

  /** Absent: globalThis.fetch. */
  fetch?: typeof globalThis.fetch

  /**
   * @default 'dagsync/<version>'
   */
  userAgent?: string
}

/**
 * Announces to indexers by HTTP PUT, to all of them at once. Needs no key. Go: announce/httpsender.
 *
 * Throws InvalidOptionError. send() throws InvalidMessageError, and the signal's reason; HttpStatusError for an answer other
 * than 200 and 204, TimeoutError or TransferFailedError. With more than one URL these are collected in an AnnounceError, also
 * when only some of them failed.
 */
export function httpSender (init: HttpSenderInit): AnnounceSender {
  checkInit(init)
  const { encoding = 'cbor', timeout = ANNOUNCE_TIMEOUT, userAgent = USER_AGENT, peerId, extraData } = init
  const urls = [...new Set(init.urls.map(readUrl))]
  const headers = { 'content-type': encoding === 'json' ? 'application/json' : 'application/octet-stream', 'user-agent': userAgent }

  return {
    timeout: false,
    async send (message, options = {}) {
      options.signal?.throwIfAborted()
      const body = encode({
        ...message,
        addrs: message.addrs.map(addr => withPeerId(addr, peerId)),
        ...(extraData?.length && { extraData })
      }, encoding)

      await within('timeout', timeout, [options.signal], async signal => {
        const put = async (url: string): Promise<void> =>
          announce(init.fetch ?? globalThis.fetch, url, { method: 'PUT', headers, body, signal })
        const errors = (await Promise.allSettled(urls.map(put))).flatMap(result => result.status === 'rejected' ? result.reason as Error : [])
        options.signal?.throwIfAborted()
        if (errors.length > 0) { throw urls.length === 1 ? errors[0] : collect(errors, urls.length) }
      })
      return { recipients: urls.length }
    }
  }
}

/** A fetch may not look at signals. */
async function announce (fetch: typeof globalThis.fetch, url: string, request: RequestInit & { signal: AbortSignal }): Promise<void> {
  const { signal } = request
  const answering = (async () => fetch(url, request))()
  try {
    const response = await unlessAborted(answering, signal)
    const good = response.status === 200 || response.status === 204
    const answer = await unlessAborted(readSome(response, signal), signal).catch(() => '') // the status says it all
    if (!good) { throw statusError(response.status, url, answer) }
  } catch (cause) {
    if (cause instanceof HttpStatusError) { throw cause }
    answering.then(async ({ body }) => body?.cancel()).catch(() => {}) // it may answer yet
    signal.throwIfAborted()
    throw new TransferFailedError(`announce to ${url} failed: ${reason(cause)}`, { cause })
  }
}

/** Reads the body to its end, or to the limit. */
async function readSome (response: Response, signal: AbortSignal): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  let size = 0
  await eachPart(response, signal, part => {
    size += part.length
    if (text.length < MAX_ERROR_TEXT) { text += decoder.decode(part.subarray(0, MAX_ERROR_TEXT), { stream: true }) }
    return size <= MAX_ANSWER
  })
  return text.slice(0, MAX_ERROR_TEXT).trim()
}

function statusError (status: number, url: string, answer: string): HttpStatusError {
  const err = new HttpStatusError(status, url)
  if (answer !== '') { err.message += `: ${answer}` }
  return err
}

function collect (errors: Error[], count: number): AnnounceError {
  const err = new AnnounceError(errors)
  err.message = `${errors.length} of ${count} announce URLs failed: ${errors.map(reason).join('; ')}`
  return err
}

/** fetch says what went wrong in the cause. */
function reason (err: unknown): string {
  if (!(err instanceof Error)) { return String(err) }
  return err.cause instanceof Error && err instanceof TypeError ? `${err.message}: ${err.cause.message}` : err.message
}

function encode (message: AnnounceMessage, encoding: 'cbor' | 'json'): BodyInit {
  return encoding === 'json' ? announceToJson(message) : encodeAnnounce(message) as Uint8Array<ArrayBuffer>
}

function readUrl (from: URL | string): string {
  if (!URL.canParse(String(from))) { throw new InvalidOptionError('urls', `holds ${from}, which is not a URL`) }
  const url = new URL(from)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') { throw new InvalidOptionError('urls', `holds ${from}, which is not for HTTP`) }
  if (url.username !== '' || url.password !== '') { throw new InvalidOptionError('urls', `holds a user for ${url.host}, which fetch refuses`) }
  // a URL object always has a path; text says whether it was given
  const noPath = typeof from === 'string' ? /^\s*[a-z]+:[/\\]*[^/\\?#]*([?#]|\s*$)/i.test(from) : url.pathname === '/'
  if (noPath) { url.pathname = DEFAULT_ANNOUNCE_PATH }
  url.hash = ''
  return url.href
}

function checkInit ({ urls, peerId, extraData, encoding, timeout, fetch, userAgent }: HttpSenderInit): void {
  const check = (field: string, good: boolean, problem: string): void => {
    if (!good) { throw new InvalidOptionError(field, problem) }
  }
  check('urls', Array.isArray(urls) && urls.length > 0, 'must be a list of at least one URL')
  check('peerId', isPeerId(peerId), 'must be a peer id')
  check('extraData', extraData === undefined || extraData instanceof Uint8Array, 'must be a Uint8Array')
  check('encoding', encoding === undefined || encoding === 'cbor' || encoding === 'json', "must be 'cbor' or 'json'")
  if (timeout !== undefined) { positive('timeout', timeout, LONGEST_TIMER) }
  check('fetch', fetch === undefined || typeof fetch === 'function', 'must be a function')
  check('userAgent', userAgent === undefined || typeof userAgent === 'string', 'must be text')
}
