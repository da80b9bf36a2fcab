import { deepEqual, equal, notEqual, throws } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { KnownAddrs } from '../../src/announce/known-addrs.ts'
import { InvalidMultiaddrError, multiaddrFromBytes, parseMultiaddrs } from '../../src/shared/multiaddrs.ts'

const [addr, ...others] = parseMultiaddrs(Array.from({ length: 1_025 }, (_, i) => `/ip4/8.8.8.8/tcp/${i}/http`))

describe('addresses that are announced again', () => {
  it('are read once', () => {
    const known = new KnownAddrs()
    const read = known.read(Uint8Array.from(addr.bytes))
    deepEqual(read.bytes, addr.bytes)
    equal(known.read(Uint8Array.from(addr.bytes)), read)
    equal(known.read(others[0].bytes).toString(), others[0].toString())
  })

  it('are 1,024 at most, and short ones', () => {
    const known = new KnownAddrs()
    const read = known.read(addr.bytes)
    others.forEach(other => known.read(other.bytes))
    notEqual(known.read(addr.bytes), read)

    const { bytes: long } = parseMultiaddrs([`/dns4/${'a'.repeat(300)}/tcp/80/http`])[0]
    deepEqual(known.read(long).bytes, multiaddrFromBytes(long).bytes)
    notEqual(known.read(long), known.read(long))
  })

  it('are refused each time when they are bad', () => {
    const known = new KnownAddrs()
    for (let i = 0; i < 2; i++) { throws(() => known.read(Uint8Array.of(4, 1, 2)), InvalidMultiaddrError) }
  })
})
