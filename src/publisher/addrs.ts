import { CODE_HTTP_PATH, type Multiaddr } from '@multiformats/multiaddr'
import { MAX_ANNOUNCE_ADDRS } from '../shared/constants.ts'
import { isPublicAddr, withHttpPath } from '../shared/multiaddrs.ts'

/**
 * HTTP addresses with the path that the resources are under, each in two spellings: /http-path, which is the official one,
 * and /httpath, which is the only one that go-libipni knew before v0.6.9. Peers of either kind skip the address that they
 * do not know; where there is no path, there is one address for all.
 */
export function withHandlerPath (addrs: Multiaddr[], handlerPath = ''): Multiaddr[] {
  const path = handlerPath.replace(/^\//, '')
  if (path === '') { return addrs }
  return [false, true].flatMap(legacyPath => addrs.map(addr => hasPath(addr) ? addr : withHttpPath(addr, path, { legacyPath })))
}

function hasPath (addr: Multiaddr): boolean {
  return addr.getComponents().some(({ code, name }) => code === CODE_HTTP_PATH || name === 'httpath')
}

/** What can be told to others: not 0.0.0.0 and ::, which are everybody's own; and each one once. */
export function reachable (addrs: Multiaddr[]): Multiaddr[] {
  const seen = new Set<string>()
  return addrs.filter(addr => {
    const text = addr.bytes.toString()
    const again = seen.has(text)
    seen.add(text)
    return !again && !/^\/(?:ip4\/0\.0\.0\.0|ip6\/::)(?:\/|$)/.test(addr.toString())
  })
}

/** What `make` makes of lists of addresses: kept as long as these stay the same, which they do from one announcement to the next. */
export function keptWhileSame<T> (make: (http: Multiaddr[], libp2p: Multiaddr[]) => T): (http: Multiaddr[], libp2p: Multiaddr[]) => T {
  let kept: { key: string, made: T } | undefined
  return (http, libp2p) => {
    const key = `${http.join(' ')} ${libp2p.join(' ')}`
    if (kept?.key !== key) { kept = { key, made: make(http, libp2p) } }
    return kept.made
  }
}

/**
 * Public HTTP addresses if there are any, else public libp2p ones; private ones only when nothing else exists. As many as others read:
 * a host may have more.
 */
export function chooseAnnounceAddrs (http: Multiaddr[], libp2p: Multiaddr[] = []): Multiaddr[] {
  const lists = [http.filter(isPublicAddr), libp2p.filter(isPublicAddr), [...http, ...libp2p]]
  return reachable(lists.find(list => list.length > 0) ?? []).slice(0, MAX_ANNOUNCE_ADDRS)
}
