import { multiaddrFromBytes } from '../shared/multiaddrs/bytes.ts'
import type { Multiaddr } from '@multiformats/multiaddr'

/** Addresses that are kept, and the bytes of one. With more they are all forgotten, which costs no more than to read them again. */
const MAX_KNOWN = 1_024
const MAX_SIZE = 256

/** Publishers announce the same addresses each time: these are checked and read once. */
export class KnownAddrs {
  private readonly known = new Map<string, Multiaddr>()

  /** Throws as multiaddrFromBytes() does. */
  read (bytes: Uint8Array): Multiaddr {
    if (bytes.length > MAX_SIZE) { return multiaddrFromBytes(bytes) }
    const key = String.fromCharCode(...bytes)
    let addr = this.known.get(key)
    if (addr == null) {
      addr = multiaddrFromBytes(bytes)
      if (this.known.size >= MAX_KNOWN) { this.known.clear() }
      this.known.set(key, addr)
    }
    return addr
  }
}
