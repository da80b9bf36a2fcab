import type { PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { IPNI_PATH } from '../../shared/constants.ts'
import { TransportUnavailableError } from '../../shared/errors.ts'
import { isHttpAddr, multiaddrToUrl } from '../../shared/multiaddrs.ts'

const IPNI = `${IPNI_PATH.slice(1)}/`

/** When a preferred address that failed is tried again, milliseconds; doubled each time it fails again. */
const RECHECK_AFTER = 60_000
const MAX_RECHECK_AFTER = 3_600_000

/** One address of a publisher, and what is known of the paths there. */
export class Base {
  readonly addr: Multiaddr

  /** Prefixes to ask in turn, as whole URLs; the first one alone once `known`. */
  readonly prefixes: [string, string]
  known = false

  /** Throws InvalidMultiaddrError. */
  constructor (addr: Multiaddr) {
    const url = multiaddrToUrl(addr)
    const root = url.origin + `${url.pathname}/`.replaceAll(/\/{2,}/g, '/') // Go: URL.JoinPath
    this.addr = addr
    this.prefixes = [root + IPNI, root]
    if (root.endsWith(`/${IPNI}`)) { this.prefixes.reverse() } // made for v0.3.2, which adds no path of its own
  }

  /** It answered under this prefix, so this is the one. */
  settle (prefix: string): void {
    this.known = true
    if (prefix !== this.prefixes[0]) { this.prefixes.reverse() }
  }
}

/** The addresses of a publisher in the order of preference: none is ever used up. */
export class Bases {
  private readonly list: Base[]
  private current: Base
  private recheckAfter = RECHECK_AFTER
  private recheckAt = 0
  private hasWorked = false

  /** Leaves out what has no HTTP URL. Throws TransportUnavailableError when nothing is left. */
  constructor (peerId: PeerId, addrs: Multiaddr[]) {
    const tried: string[] = []
    this.list = addrs.flatMap(addr => {
      try {
        if (isHttpAddr(addr)) { return [new Base(addr)] }
        tried.push(`http: ${addr} is not an HTTP address`)
      } catch (err) {
        tried.push(`http: ${(err as Error).message}`)
      }
      return []
    })
    if (this.list.length === 0) {
      throw new TransportUnavailableError(peerId, tried.length > 0 ? tried : ['http: no address is known'])
    }
    this.current = this.list[0]
  }

  /** The address that answered last. */
  get worked (): Multiaddr | undefined {
    return this.hasWorked ? this.current.addr : undefined
  }

  /** Where a request begins: what worked last, or what is preferred when it is time to look again. */
  first (now = performance.now()): Base {
    return this.current !== this.list[0] && now >= this.recheckAt ? this.list[0] : this.current
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
    if (base !== this.list[0]) { return }
    this.recheckAt = now + this.recheckAfter
    this.recheckAfter = Math.min(2 * this.recheckAfter, MAX_RECHECK_AFTER)
  }
}
