import type { PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { IPNI_PATH } from '../../shared/constants.ts'
import { TransportUnavailableError } from '../../shared/errors.ts'
import { isHttpAddr, multiaddrToUrl } from '../../shared/multiaddrs.ts'
import type { HttpResponse } from './http-client.ts'

const IPNI = `${IPNI_PATH.slice(1)}/`

/** When a preferred address that failed is tried again, milliseconds; doubled each time it fails again. */
const RECHECK_AFTER = 60_000
const MAX_RECHECK_AFTER = 3_600_000

/** Gives the answer to a URL, its body limited to so many bytes. */
export type Ask = (url: string, maxBodySize: number) => Promise<HttpResponse>

/** One place of a publisher, and what is known of the paths there. */
export class Base {
  /** As it was given; a peer that is asked over streams has none. */
  readonly addr: Multiaddr | undefined

  /** Prefixes to ask in turn, as whole URLs; the first one alone once `known`. */
  private prefixes: string[]
  known = false

  constructor (prefixes: string[], addr?: Multiaddr) {
    this.prefixes = prefixes
    this.addr = addr
  }

  get prefix (): string {
    return this.prefixes[0]
  }

  /** Whether it may be that the publisher knows another path only. */
  isMissing (status: number): boolean {
    return status === 404 || status === 403
  }

  /** What else to ask when nothing is found under this prefix. */
  others (asked: string, _ask: Ask): string[] | Promise<string[]> {
    return this.prefixes.filter(prefix => prefix !== asked)
  }

  /** It answered under this prefix, so this is the one. */
  settle (prefix: string): void {
    this.known = true
    if (prefix !== this.prefix) { this.prefixes = [prefix, ...this.prefixes.filter(other => other !== prefix)] }
  }
}

/** Throws InvalidMultiaddrError. */
function httpBase (addr: Multiaddr): Base {
  const url = multiaddrToUrl(addr)
  const root = url.origin + `${url.pathname}/`.replaceAll(/\/{2,}/g, '/') // Go: URL.JoinPath
  const prefixes = [root + IPNI, root]
  if (root.endsWith(`/${IPNI}`)) { prefixes.reverse() } // made for v0.3.2, which adds no path of its own
  return new Base(prefixes, addr)
}

/** The HTTP addresses; what has no HTTP URL is left out. Throws TransportUnavailableError when nothing is left. */
export function httpBases (peerId: PeerId, addrs: Multiaddr[]): Bases {
  const tried: string[] = []
  const list = addrs.flatMap(addr => {
    try {
      if (isHttpAddr(addr)) { return [httpBase(addr)] }
      tried.push(`http: ${addr} is not an HTTP address`)
    } catch (err) {
      tried.push(`http: ${(err as Error).message}`)
    }
    return []
  })
  if (list.length === 0) {
    throw new TransportUnavailableError(peerId, tried.length > 0 ? tried : ['http: no address is known'])
  }
  return new Bases(list)
}

/** The places of a publisher in the order of preference: none is ever used up. */
export class Bases {
  private readonly list: Base[]
  private current: Base
  private recheckAfter = RECHECK_AFTER
  private recheckAt = 0
  private hasWorked = false

  /** At least one. */
  constructor (list: Base[]) {
    this.list = list
    this.current = list[0]
  }

  /** The address that answered last. */
  get worked (): Multiaddr | undefined {
    return this.hasWorked ? this.current.addr : undefined
  }

  /** Where a request begins: what worked last, or what is preferred when it is time to look again. */
  first (now = performance.now()): Base {
    return now >= this.recheckAt ? this.list[0] : this.current
  }

  /** The others, preferred ones first. */
  after (failed: Base): Base[] {
    return this.list.filter(base => base !== failed)
  }

  succeeded (base: Base): void {
    if (base === this.list[0]) { this.recheckAfter = RECHECK_AFTER }
    this.current = base
    this.hasWorked = true
  }

  failed (base: Base, now = performance.now()): void {
    if (base !== this.list[0] || now < this.recheckAt) { return } // requests under way together fail together
    this.recheckAt = now + this.recheckAfter
    this.recheckAfter = Math.min(2 * this.recheckAfter, MAX_RECHECK_AFTER)
  }
}
