import { CODE_DNS, CODE_DNS4, CODE_DNS6, CODE_HTTP, CODE_HTTP_PATH, CODE_HTTPS, CODE_IP4, CODE_IP6, CODE_IP6ZONE, CODE_TCP, CODE_TLS, CODE_UDP, CODE_WS, CODE_WSS } from '@multiformats/multiaddr'
import { concat } from '../concat.ts'
import { InvalidMultiaddrError } from '../errors.ts'
import { CODE_HTTPATH, componentBytes, componentsOf, multiaddrFromBytes, valueBytes } from './bytes.ts'
import { ipBytes, mappedIp4 } from './public.ts'
import type { Component, Multiaddr } from '@multiformats/multiaddr'

const encoder = new TextEncoder()

const SCHEMES: Record<string, number> = { 'http:': CODE_HTTP, 'https:': CODE_HTTPS, 'ws:': CODE_WS, 'wss:': CODE_WSS }

/** Go: net/url, what PathEscape leaves, and what a URL's path may hold beside it. */
const SEGMENT = /[A-Za-z0-9\-_.~$&+:=@]/
const PATH = /[A-Za-z0-9\-_.~$&+:=@,/;]/

export interface UrlToMultiaddrOptions {
  /**
   * Write the path as /httpath, which v0.3.2 reads, instead of /http-path.
   *
   * @default false
   */
  legacyPath?: boolean
}

/**
 * The URL of an HTTP or WebSocket address; one without either is taken as plain HTTP. Reads /http-path and the older /httpath;
 * a path that cannot be decoded is left out. SNI and /p2p are ignored. Go: maurl.ToURL.
 *
 * Throws InvalidMultiaddrError when the address does not begin with an IP address or a name, and where a URL object cannot
 * hold what it begins with (a zone, a unix socket).
 */
export function multiaddrToUrl (addr: Multiaddr): URL {
  const components = componentsOf(addr)
  const text = `${schemeOf(components)}://${hostOf(components, addr)}${pathOf(components)}`
  if (!URL.canParse(text)) { throw new InvalidMultiaddrError(`${addr} has no URL: ${text}`) }
  return new URL(text)
}

function schemeOf (components: Component[]): string {
  const has = (code: number): boolean => components.some(component => component.code === code)
  if (has(CODE_HTTPS)) { return 'https' }
  if (has(CODE_HTTP)) { return has(CODE_TLS) ? 'https' : 'http' }
  if (has(CODE_WSS)) { return 'wss' }
  if (has(CODE_WS)) { return has(CODE_TLS) ? 'wss' : 'ws' }
  return 'http'
}

function hostOf ([first, second, third]: Component[], addr: Multiaddr): string {
  switch (first?.code) {
    case CODE_IP4: return `${first.value}${portOf(second)}`
    case CODE_IP6: return `[${first.value}]${portOf(second)}`
    case CODE_IP6ZONE: return `[${second?.value}%25${first.value}]${portOf(third)}` // which URL refuses
    case CODE_DNS: case CODE_DNS4: case CODE_DNS6: {
      const name = first.value ?? ''
      // what would end the host in a URL, and begin something else
      if (name === '' || /[\s/\\?#@:%[\]<>^|]/.test(name)) { throw new InvalidMultiaddrError(`${addr}: not a host name`) }
      return `${name}${portOf(second)}`
    }
    default: throw new InvalidMultiaddrError(`${addr} does not begin with an IP address or a name`)
  }
}

function portOf (component?: Component): string {
  return component?.code === CODE_TCP || component?.code === CODE_UDP ? `:${component.value}` : ''
}

function pathOf (components: Array<Component & { bytes: Uint8Array }>): string {
  const path = components.find(({ code }) => code === CODE_HTTP_PATH)
  const older = components.find(({ code }) => code === CODE_HTTPATH)
  const bytes = path != null ? valueBytes(path) : older != null ? percentDecode(valueBytes(older)) : undefined
  if (bytes == null || bytes.length === 0) { return '' }
  // Go writes foo or /foo, js-multiaddr one slash more: any number of them is one
  return `/${percentEncode(bytes, PATH).replace(/^\/+/, '')}`
}

/**
 * The address of a URL: http, https, ws or wss. Its path, if it has one, becomes /http-path with the leading slash in its bytes,
 * as Go writes it. User, query and fragment are left out, and so is the port that is the scheme's default. Go: maurl.FromURL.
 *
 * Throws InvalidMultiaddrError.
 */
export function urlToMultiaddr (url: URL | string, options: UrlToMultiaddrOptions = {}): Multiaddr {
  const { protocol, hostname, port, pathname } = parse(url)
  const scheme = SCHEMES[protocol]
  if (scheme == null) { throw new InvalidMultiaddrError(`${url}: unsupported protocol ${protocol}`) }
  const parts = [hostBytes(hostname)]
  if (port !== '') { parts.push(componentBytes(CODE_TCP, Uint8Array.of(Number(port) >> 8, Number(port) & 0xff))) }
  parts.push(componentBytes(scheme))
  const addr = multiaddrFromBytes(concat(parts))
  return pathname === '/' ? addr : withHttpPath(addr, percentDecode(encoder.encode(pathname)) ?? encoder.encode(pathname), options)
}

/**
 * Appends a path, as it is: Go publishers write one without a leading slash here ('foo/bar'), where FromURL writes one with it.
 * An empty path appends nothing.
 */
export function withHttpPath (addr: Multiaddr, path: Uint8Array | string, options: UrlToMultiaddrOptions = {}): Multiaddr {
  const bytes = typeof path === 'string' ? encoder.encode(path) : path
  if (bytes.length === 0) { return addr }
  const base = multiaddrFromBytes(addr.bytes) // makes httpath known
  return multiaddrFromBytes(concat([base.bytes, options.legacyPath === true
    ? componentBytes(CODE_HTTPATH, encoder.encode(percentEncode(bytes, SEGMENT)))
    : componentBytes(CODE_HTTP_PATH, bytes)]))
}

function parse (url: URL | string): URL {
  if (typeof url !== 'string') { return url }
  try {
    return new URL(url)
  } catch (cause) {
    throw new InvalidMultiaddrError(`${url}: not a URL`, { cause })
  }
}

function hostBytes (hostname: string): Uint8Array {
  const ip = ipBytes(hostname.replace(/^\[(.*)\]$/, '$1'))
  if (ip == null) { return componentBytes(CODE_DNS, encoder.encode(hostname)) }
  const ip4 = ip.length === 4 ? ip : mappedIp4(ip)
  return ip4 != null ? componentBytes(CODE_IP4, ip4) : componentBytes(CODE_IP6, ip)
}

function percentEncode (bytes: Uint8Array, plain: RegExp): string {
  let text = ''
  for (const byte of bytes) {
    const char = String.fromCharCode(byte)
    text += plain.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return text
}

/** Undefined when a % is not followed by two hex digits. */
function percentDecode (bytes: Uint8Array): Uint8Array | undefined {
  const out = new Uint8Array(bytes.length)
  let length = 0
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] !== 0x25) {
      out[length++] = bytes[i]
      continue
    }
    const hex = String.fromCharCode(...bytes.subarray(i + 1, i + 3))
    if (!/^[0-9a-f]{2}$/i.test(hex)) { return undefined }
    out[length++] = parseInt(hex, 16)
    i += 2
  }
  return out.subarray(0, length)
}
