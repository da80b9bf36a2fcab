import { CODE_DNS, CODE_DNS4, CODE_DNS6, CODE_DNSADDR, CODE_IP4, CODE_IP6, CODE_IP6ZONE, CODE_IPCIDR } from '@multiformats/multiaddr'
import type { Multiaddr } from '@multiformats/multiaddr'
import { checkAddr } from './bytes.ts'

type Range = [prefix: number[], bits: number]

/** Private, shared, loopback, link-local, documentation, multicast, reserved. Go: go-multiaddr/net, Private4 and Unroutable4. */
const NOT_PUBLIC_4: Range[] = [
  [[0], 8], [[10], 8], [[100, 64], 10], [[127], 8], [[169, 254], 16], [[172, 16], 12], [[192, 0, 0], 26], [[192, 0, 2], 24],
  [[192, 88, 99], 24], [[192, 168], 16], [[198, 18], 15], [[198, 51, 100], 24], [[203, 0, 113], 24], [[224], 4], [[240], 4]
]

const GLOBAL_UNICAST: Range = [[0x20], 3]
const DOCUMENTATION: Range = [[0x20, 0x01, 0x0d, 0xb8], 32]
const NAT64: Range = [[0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0], 96]
const LOCAL_NAT64: Range = [[0x00, 0x64, 0xff, 0x9b, 0, 1], 48]
const SIX_TO_FOUR: Range = [[0x20, 0x02], 16]

/** The bytes of an IP address in text form, 4 or 16; a zone is left out. Undefined when it is none. */
export function ipBytes (ip: string): Uint8Array | undefined {
  if (/^(?:0|[1-9]\d{0,2})(?:\.(?:0|[1-9]\d{0,2})){3}$/.test(ip)) {
    const numbers = ip.split('.').map(Number)
    return numbers.every(n => n <= 255) ? Uint8Array.from(numbers) : undefined
  }
  const text = ip.replace(/%.*$/, '')
  if (!/^[0-9a-f:.]+$/i.test(text) || !text.includes(':') || !URL.canParse(`http://[${text}]`)) { return undefined }
  const [head, tail] = new URL(`http://[${text}]`).hostname.slice(1, -1).split('::')
  const before = words(head)
  const after = words(tail ?? '')
  const all = [...before, ...new Array(8 - before.length - after.length).fill(0), ...after]
  return Uint8Array.from(all.flatMap(word => [word >> 8, word & 0xff]))
}

function words (text: string): number[] {
  return text === '' ? [] : text.split(':').map(word => parseInt(word, 16))
}

/** The IPv4 address in a v4-mapped IPv6 one. */
export function mappedIp4 (ip: Uint8Array): Uint8Array | undefined {
  return ip.length === 16 && inRange(ip, [[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff], 96]) ? ip.subarray(12) : undefined
}

/**
 * Whether an IP address is one of the public internet, for the check of resolved names. As filterPublic(), and stricter where
 * an IPv6 address stands for an IPv4 one: that has to be public too. What is not an IP address is not public.
 */
export function isPublicIp (ip: string): boolean {
  const bytes = ipBytes(ip)
  if (bytes == null || !inPublicRange(bytes)) { return false }
  if (bytes.length === 4) { return true }
  if (inRange(bytes, NAT64)) { return inPublicRange(bytes.subarray(12)) }
  if (inRange(bytes, SIX_TO_FOUR)) { return inPublicRange(bytes.subarray(2, 6)) }
  return !inRange(bytes, LOCAL_NAT64)
}

function inPublicRange (ip: Uint8Array): boolean {
  if (ip.length === 4) { return !NOT_PUBLIC_4.some(range => inRange(ip, range)) }
  return (inRange(ip, GLOBAL_UNICAST) && !inRange(ip, DOCUMENTATION)) || inRange(ip, NAT64) || inRange(ip, LOCAL_NAT64)
}

function inRange (ip: Uint8Array, [prefix, bits]: Range): boolean {
  for (let i = 0; i * 8 < bits; i++) {
    const mask = 0xff & (0xff << Math.max(0, (i + 1) * 8 - bits))
    if ((ip[i] & mask) !== ((prefix[i] ?? 0) & mask)) { return false }
  }
  return true
}

/**
 * Whether an address is public by its first component: an IP address by its range, a name unless it is `localhost` (a name
 * may still resolve to a private address: isPublicIp()), everything else is.
 */
export function isPublicAddr (addr: Multiaddr): boolean {
  checkAddr(addr)
  const components = addr.getComponents()
  const first = components[0]
  switch (first?.code) {
    case undefined: return false
    case CODE_IPCIDR: return false
    case CODE_DNS: case CODE_DNS4: case CODE_DNS6: case CODE_DNSADDR: return first.value !== 'localhost'
    case CODE_IP4: case CODE_IP6: case CODE_IP6ZONE: {
      const ip = first.code === CODE_IP6ZONE ? components[1] : first
      const bytes = ipBytes(ip?.value ?? '')
      return bytes != null && inPublicRange(bytes)
    }
    default: return true
  }
}

/** The addresses that are public, as a new list. Go v0.7.8: mautil.FilterPublic. */
export function filterPublic (addrs: Multiaddr[]): Multiaddr[] {
  return addrs.filter(isPublicAddr)
}
