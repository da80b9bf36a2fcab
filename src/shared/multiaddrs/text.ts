import { CODE_HTTP, CODE_HTTP_PATH, CODE_HTTPS, multiaddr } from '@multiformats/multiaddr'
import { InvalidMultiaddrError } from '../errors.ts'
import { checkAddr, componentBytes, httpPathPrefix, multiaddrFromBytes, peerIdOf, registerHttpath, stripPeerId } from './bytes.ts'
import type { PeerInfo } from '@libp2p/interface'
import type { Component, Multiaddr } from '@multiformats/multiaddr'

const encoder = new TextEncoder()

/**
 * Reads addresses in text form, the way Go does: /httpath is known, and the bytes of /http-path/foo are `foo`.
 * Go: mautil.StringsToMultiaddrs, which gives the good ones beside the last error.
 *
 * Throws InvalidMultiaddrError, which names the address.
 */
export function parseMultiaddrs (addrs: string[]): Multiaddr[] {
  if (!Array.isArray(addrs)) { throw new InvalidMultiaddrError('the addresses must be a list of texts') }
  registerHttpath()
  return addrs.map(text => {
    try {
      return parseText(text)
    } catch (cause) {
      throw new InvalidMultiaddrError(`${JSON.stringify(text)}: ${cause instanceof Error ? cause.message : cause}`, { cause })
    }
  })
}

function parseText (text: string): Multiaddr {
  // Go writes a space as +, and a plus as %2B
  const addr = multiaddr(text.replace(/\/http-path\/[^/]*/g, path => path.replaceAll('+', '%20')))
  const components = addr.getComponents().map(component => component.code === CODE_HTTP_PATH ? withGoBytes(component) : component)
  return multiaddrFromBytes(multiaddr(components).bytes) // which checks what js-multiaddr leaves unchecked
}

function withGoBytes (component: Component): Component {
  const value = encoder.encode(component.value?.slice(httpPathPrefix().length))
  return { ...component, bytes: componentBytes(CODE_HTTP_PATH, value) as Uint8Array<ArrayBuffer> }
}

/**
 * Reads addresses that end with /p2p/ID, and groups them by peer, in the order of first appearance. An address that is only
 * /p2p/ID gives a peer without addresses. Go: mautil.ParsePeers.
 *
 * Throws InvalidMultiaddrError, also for an address without a peer.
 */
export function parsePeers (addrs: string[]): PeerInfo[] {
  const peers = new Map<string, PeerInfo>()
  for (const addr of parseMultiaddrs(addrs)) {
    const id = peerIdOf(addr)
    if (id == null) { throw new InvalidMultiaddrError(`${addr} does not end with /p2p/ID`) }
    const peer = peers.get(id.toString()) ?? { id, multiaddrs: [] }
    peers.set(id.toString(), peer)
    const rest = stripPeerId(addr)
    if (rest.getComponents().length > 0) { peer.multiaddrs.push(rest) }
  }
  return [...peers.values()]
}

/** Whether the address is for HTTP: /http or /https anywhere in it. */
export function isHttpAddr (addr: Multiaddr): boolean {
  checkAddr(addr)
  return addr.getComponents().some(({ code }) => code === CODE_HTTP || code === CODE_HTTPS)
}

/** The addresses that are for HTTP, as a new list. Go: mautil.FindHTTPAddrs. */
export function findHttpAddrs (addrs: Multiaddr[]): Multiaddr[] {
  return addrs.filter(isHttpAddr)
}
