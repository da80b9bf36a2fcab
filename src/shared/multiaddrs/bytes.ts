import { peerIdFromMultihash } from '@libp2p/peer-id'
import { CODE_DNS, CODE_DNS4, CODE_DNS6, CODE_DNSADDR, CODE_HTTP_PATH, CODE_IP6ZONE, CODE_P2P, CODE_SNI, V, isMultiaddr, multiaddr, registry } from '@multiformats/multiaddr'
import { varint } from 'multiformats'
import * as Digest from 'multiformats/hashes/digest'
import { concat } from '../concat.ts'
import { InvalidMultiaddrError, InvalidOptionError } from '../errors.ts'
import type { PeerId } from '@libp2p/interface'
import type { Component, Multiaddr } from '@multiformats/multiaddr'

/** Path component of v0.3.2, before `http-path` was official. Go: maurl, oldProtoHTTPath. */
export const CODE_HTTPATH = 0x300200

/** Their values are names: text, and a slash in one would turn into more components. */
const NAMES = new Set([CODE_DNS, CODE_DNS4, CODE_DNS6, CODE_DNSADDR, CODE_SNI, CODE_IP6ZONE])

const decoder = new TextDecoder()

/** An address that may be fine, with a protocol that is not known here. */
export class UnknownProtocol extends InvalidMultiaddrError {}

/**
 * Makes `httpath` known to this process's copy of @multiformats/multiaddr, unless it is. Nothing that is known is replaced.
 * Called by whatever reads an address here; call it before `multiaddr()` is to read such an address by itself.
 */
export function registerHttpath (): void {
  try {
    registry.getProtocol(CODE_HTTPATH)
  } catch {
    registry.addProtocol({
      code: CODE_HTTPATH,
      name: 'httpath',
      size: V,
      validate: value => {
        if (value.includes('/')) { throw new InvalidMultiaddrError('httpath: the value holds a slash') }
      }
    })
  }
}

/**
 * What js-multiaddr puts before the value of /http-path when it reads text, and takes off when it writes it: a slash, in the
 * version at hand, unless somebody has registered the protocol anew.
 */
export function httpPathPrefix (): string {
  return registry.getProtocol(CODE_HTTP_PATH).stringToValue?.('x').slice(0, -1) ?? ''
}

/** One component of a binary address; the value is without its length. */
interface Part { code: number, value: Uint8Array }

/** Splits a binary address as strictly as Go does; js-multiaddr itself reads past the end and takes what is cut off. */
function split (bytes: Uint8Array): Part[] {
  registerHttpath()
  if (bytes.length === 0) { throw new InvalidMultiaddrError('empty multiaddr') }
  const parts: Part[] = []
  for (let start = 0; start < bytes.length;) {
    const [code, codeLength] = readVarint(bytes, start)
    const size = sizeOf(code)
    const [length, prefix] = size === V ? readVarint(bytes, start + codeLength) : [size / 8, 0]
    const from = start + codeLength + prefix
    const end = from + length
    if (end > bytes.length) { throw new InvalidMultiaddrError(`protocol ${code}: ${length} bytes are said to follow, ${bytes.length - from} do`) }
    const value = bytes.subarray(from, end)
    checkValue(code, size, value)
    parts.push({ code, value })
    start = end
  }
  return parts
}

function readVarint (bytes: Uint8Array, offset: number): [number, number] {
  try {
    return varint.decode(bytes.subarray(offset, offset + 10))
  } catch (cause) {
    throw new InvalidMultiaddrError('bad varint in a multiaddr', { cause })
  }
}

function sizeOf (code: number): number {
  try {
    return registry.getProtocol(code).size ?? 0
  } catch (cause) {
    throw new UnknownProtocol(`no protocol with code ${code}`, { cause })
  }
}

function checkValue (code: number, size: number, value: Uint8Array): void {
  if (size === V && value.length === 0) { throw new InvalidMultiaddrError(`protocol ${code} has an empty value`) }
  if (NAMES.has(code) && value.includes(0x2f)) { throw new InvalidMultiaddrError(`protocol ${code}: the value holds a slash`) }
  if (code === CODE_P2P) {
    try {
      Digest.decode(value)
    } catch (cause) {
      throw new InvalidMultiaddrError('p2p: not a multihash', { cause })
    }
  }
}

/**
 * An address that keeps exactly these bytes. The bytes are copied.
 *
 * js-multiaddr reads the value of `http-path` with a slash that Go does not write; here the component's value has that
 * slash and its bytes do not, so that `bytes` and `toString()` are both Go's.
 *
 * Throws InvalidMultiaddrError; of its kind UnknownProtocol when a protocol is not known.
 */
export function multiaddrFromBytes (bytes: Uint8Array): Multiaddr {
  const parts = split(bytes)
  try {
    const addr = multiaddr(new Uint8Array(bytes)) // a Buffer's slice() is no copy
    if (!parts.some(part => part.code === CODE_HTTP_PATH)) { return addr }
    return multiaddr(addr.getComponents().map((component, i) => {
      return component.code === CODE_HTTP_PATH ? { ...component, value: httpPathPrefix() + decoder.decode(parts[i].value) } : component
    }))
  } catch (cause) {
    throw new InvalidMultiaddrError(`bad multiaddr: ${cause instanceof Error ? cause.message : cause}`, { cause })
  }
}

/** Throws InvalidMultiaddrError. */
export function checkAddr (addr: unknown): void {
  if (!isMultiaddr(addr)) { throw new InvalidMultiaddrError(`${String(addr)} is no multiaddr; parseMultiaddrs() makes them of text`) }
}

/** Throws InvalidOptionError. */
export function checkAddrs (field: string, value: unknown): asserts value is Multiaddr[] {
  if (!Array.isArray(value) || !value.every(isMultiaddr)) { throw new InvalidOptionError(field, 'must be a list of multiaddrs') }
}

/** The components, each with its bytes. */
export function componentsOf (addr: Multiaddr): Array<Component & { bytes: Uint8Array }> {
  checkAddr(addr)
  // reading the address's bytes makes those of its components
  return addr.bytes.length === 0 ? [] : addr.getComponents() as Array<Component & { bytes: Uint8Array }>
}

/** The bytes of a component's value, for one of variable length. */
export function valueBytes (component: { bytes: Uint8Array }): Uint8Array {
  const [, codeLength] = readVarint(component.bytes, 0)
  const [, prefix] = readVarint(component.bytes, codeLength)
  return component.bytes.subarray(codeLength + prefix)
}

/** The bytes of a component. */
export function componentBytes (code: number, value?: Uint8Array): Uint8Array {
  const variable = value != null && sizeOf(code) === V
  const codeLength = varint.encodingLength(code)
  const from = codeLength + (variable ? varint.encodingLength(value.length) : 0)
  const bytes = new Uint8Array(from + (value?.length ?? 0))
  varint.encodeTo(code, bytes)
  if (variable) { varint.encodeTo(value.length, bytes, codeLength) }
  if (value != null) { bytes.set(value, from) }
  return bytes
}

/** The address without the /p2p/ID at its end, if there is one; the bytes before it stay as they are. */
export function stripPeerId (addr: Multiaddr): Multiaddr {
  const components = componentsOf(addr)
  return components.at(-1)?.code === CODE_P2P ? multiaddr(components.slice(0, -1) as Component[]) : addr
}

/** The peer that the address ends with (/p2p/ID); undefined when it ends otherwise, or the id is of no kind known here. */
export function peerIdOf (addr: Multiaddr): PeerId | undefined {
  const last = componentsOf(addr).at(-1)
  if (last?.code !== CODE_P2P) { return undefined }
  try {
    return peerIdFromMultihash(Digest.decode(valueBytes(last)))
  } catch {
    return undefined
  }
}

/** Appends /p2p/ID to a binary address, which need not be readable. One that ends with it already is given back as it is. */
export function withPeerId (addr: Uint8Array, peerId: PeerId): Uint8Array {
  const suffix = componentBytes(CODE_P2P, peerId.toMultihash().bytes)
  const start = addr.length - suffix.length
  if (start >= 0 && suffix.every((byte, i) => addr[start + i] === byte)) { return addr }
  return concat([addr, suffix])
}

/** Whether both lists hold the same addresses, in any order. Neither is changed. Go v0.7.8: mautil.MultiaddrsEqual, which sorts both. */
export function sameAddrs (a: Multiaddr[], b: Multiaddr[]): boolean {
  if (a.length !== b.length) { return false }
  const left = b.slice()
  return a.every(addr => {
    const i = left.findIndex(other => other.equals(addr))
    if (i >= 0) { left.splice(i, 1) }
    return i >= 0
  })
}
