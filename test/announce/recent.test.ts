import { deepEqual, equal, notEqual, throws } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Recent } from '../../src/announce/recent.ts'
import type { Multiaddr } from '@multiformats/multiaddr'
import { InvalidMultiaddrError, multiaddrFromBytes, parseMultiaddrs } from '../../src/shared/multiaddrs.ts'

const reader = (): (bytes: Uint8Array) => Multiaddr => {
  const recent = new Recent<Multiaddr>()
  return bytes => recent.get(bytes, multiaddrFromBytes)
}
const [addr, ...others] = parseMultiaddrs(Array.from({ length: 1_025 }, (_, i) => `/ip4/8.8.8.8/tcp/${i}/http`))

describe('addresses that are announced again', () => {
  it('are read once', () => {
    const read = reader()
    const first = read(Uint8Array.from(addr.bytes))
    deepEqual(first.bytes, addr.bytes)
    equal(read(Uint8Array.from(addr.bytes)), first)
    equal(read(others[0].bytes).toString(), others[0].toString())
  })

  it('are 1,024 at most, and short ones', () => {
    const read = reader()
    const first = read(addr.bytes)
    others.forEach(other => read(other.bytes))
    notEqual(read(addr.bytes), first)

    const { bytes: long } = parseMultiaddrs([`/dns4/${'a'.repeat(300)}/tcp/80/http`])[0]
    deepEqual(read(long).bytes, multiaddrFromBytes(long).bytes)
    notEqual(read(long), read(long))
  })

  it('are refused each time when they are bad', () => {
    const read = reader()
    for (let i = 0; i < 2; i++) { throws(() => read(Uint8Array.of(4, 1, 2)), InvalidMultiaddrError) }
  })
})
