import { before, describe, it } from 'node:test'
import { deepEqual, equal, throws } from 'node:assert/strict'
import type { PeerId } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { parseTarget } from '../../src/subscriber/target.ts'
import { randomPeer } from '../support/hall.ts'

describe('sync target', () => {
  const http = multiaddr('/ip4/127.0.0.1/tcp/3104/http')
  let id: PeerId
  let other: PeerId

  before(async () => {
    id = await randomPeer()
    other = await randomPeer()
  })

  it('is a peer id, which is looked up', () => {
    deepEqual(parseTarget(id), { id, multiaddrs: [] })
  })

  it('is a peer info; /p2p is taken off, and what is passed in stays as it is', () => {
    const info = { id, multiaddrs: [http, http.encapsulate(`/p2p/${id}`)] }
    const given = [...info.multiaddrs]
    deepEqual(parseTarget(info).multiaddrs.map(String), [http.toString(), http.toString()])
    deepEqual(info.multiaddrs, given)
  })

  it('is an address or several, one of them with /p2p', () => {
    const withId = http.encapsulate(`/p2p/${id}`)
    const { id: one, multiaddrs } = parseTarget(withId)
    equal(one.equals(id), true)
    deepEqual(multiaddrs.map(String), [http.toString()])
    equal(parseTarget([multiaddr('/dns4/example.net/tcp/443/https'), withId]).multiaddrs.length, 2)
  })

  for (const [what, make] of [
    ['undefined', () => undefined],
    ['null', () => null],
    ['text', () => id.toString()],
    ['an empty list', () => []],
    ['addresses without /p2p', () => [http]],
    ['a list that holds text', () => [http.toString()]],
    ['addresses of two peers', () => [http.encapsulate(`/p2p/${id}`), http.encapsulate(`/p2p/${other}`)]],
    ['a peer info without addresses', () => ({ id })],
    ['a peer info with text for addresses', () => ({ id, multiaddrs: ['/ip4/127.0.0.1/tcp/1/http'] })],
    ['a peer info with addresses of another peer', () => ({ id, multiaddrs: [http.encapsulate(`/p2p/${other}`)] })]
  ] as const) {
    it(`refuses ${what}`, () => {
      throws(() => parseTarget(make() as any), { name: 'InvalidOptionError', field: 'target' })
    })
  }
})
