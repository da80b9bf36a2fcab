import { TransferFailedError } from '../../shared/errors.ts'
import { isPublicIp } from '../../shared/multiaddrs.ts'
import { createFetchClient } from './fetch-client.ts'
import type { HttpClient, HttpClientInit } from './http-client.ts'

export type { HttpClient, HttpClientInit, HttpRequestInit, HttpResponse } from './http-client.ts'

const IP_LITERAL = /^(?:[0-9.]+|.*:.*)$/

/** The HTTP client where there is no Node: fetch, under the same rules as far as the platform lets us. */
export function createHttpClient (init: HttpClientInit = {}): HttpClient {
  const { filterIPs = false } = init
  const allow = filterIPs === true ? isPublicIp : filterIPs
  return createFetchClient(init.fetch ?? globalThis.fetch, {
    checkHost: allow === false
      ? undefined
      : host => {
        if (IP_LITERAL.test(host) && !allow(host)) {
          throw new TransferFailedError(`${host} is not an address that filterIPs takes`)
        }
      }
  })
}
