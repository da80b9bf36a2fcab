import { deepEqual, equal, throws } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { identity } from 'multiformats/hashes/identity'
import { createAddressBook } from '../../src/shared/address-book.ts'
import type { PeerId } from '@libp2p/interface'

const [a, b] = ['12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5', '12D3KooWBckWLKiYoUX4k3HTrbrSe4DD5SPNTKgP6vKTva1NaRkJ'].map(id => peerIdFromString(id))
const addrs = [1, 2, 3, 4].map(n => multiaddr(`/ip4/8.8.8.${n}/tcp/80/http`))

function bookAt (start = 1_000, maxAddrsPerPeer?: number): { book: ReturnType<typeof createAddressBook>, pass(ms: number): void } {
  let time = start
  return { book: createAddressBook({ now: () => time, maxAddrsPerPeer }), pass: ms => { time += ms } }
}

function peerNamed (name: string): PeerId {
  return { toString: () => name, toMultihash: () => identity.digest(Uint8Array.of(0)) } as unknown as PeerId
}

describe('address book', () => {
  it('forgets each address at its own time', () => {
    const { book, pass } = bookAt()
    book.add(a, [addrs[0]], 100)
    book.add(a, [addrs[1]], 200)
    pass(99)
    deepEqual(book.get(a), [addrs[0], addrs[1]])
    pass(1)
    deepEqual(book.get(a), [addrs[1]])
    pass(100)
    deepEqual(book.get(a), [])
  })

  it('drops those whose time is over before any other', () => {
    const { book, pass } = bookAt()
    book.add(a, [addrs[0]], 100_000)
    for (let i = 0; i < 20_000; i++) {
      book.add(peerNamed(`peer ${i}`), [addrs[1]], 1)
      pass(1)
    }
    deepEqual(book.get(a), [addrs[0]])
  })

  it('by time that passes, not by a clock that is set', t => {
    let clock = 0
    t.mock.method(Date, 'now', () => clock)
    const book = createAddressBook()
    book.add(a, [addrs[0]], 60_000)
    clock = 4_000_000_000_000
    deepEqual(book.get(a), [addrs[0]])
  })

  it('keeps the later end of an address that is added again, known by its bytes', () => {
    const { book, pass } = bookAt()
    book.add(a, [addrs[0]], 100)
    book.add(a, [multiaddr(addrs[0].bytes)], 300)
    book.add(a, [addrs[0]], 50)
    pass(250)
    deepEqual(book.get(a), [addrs[0]])
  })

  it('deletes some addresses, or a peer', () => {
    const { book } = bookAt()
    book.add(a, addrs, 100)
    book.add(b, addrs, 100)
    book.delete(a, [multiaddr(addrs[1].toString()), addrs[2]])
    deepEqual(book.get(a), [addrs[0], addrs[3]])
    book.delete(a)
    deepEqual(book.get(a), [])
    equal(book.get(b).length, 4)
    book.delete(a, [addrs[0]])
  })

  it('is bounded per peer; the address that ends first goes', () => {
    const { book } = bookAt(0, 2)
    book.add(a, [addrs[0]], 300)
    book.add(a, [addrs[1], addrs[2]], 200)
    deepEqual(book.get(a), [addrs[0], addrs[2]])
  })

  it('is bounded over all, and drops what has expired, without a timer', () => {
    const { book, pass } = bookAt()
    const peers = Array.from({ length: 20_000 }, (_, i) => peerNamed(`peer ${i}`))
    for (const peer of peers) { book.add(peer, [addrs[0]], 100) }
    equal(peers.filter(peer => book.get(peer).length > 0).length, 16_384)
    pass(100)
    for (const peer of peers) { book.add(peer, [addrs[0]], 100) }
    equal(book.get(peers[0]).length, 0)
    equal(book.get(peers[19_999]).length, 1)
  })

  it('does not touch lists of the caller, nor give away its own', () => {
    const { book } = bookAt()
    const mine = Object.freeze([addrs[1], addrs[0]]) as typeof addrs
    book.add(a, mine, 100)
    book.get(a).pop()
    deepEqual(book.get(a), mine)
  })

  it('takes no time to live that is none, and checks its options', () => {
    const { book } = bookAt()
    book.add(a, addrs, 0)
    throws(() => book.add(a, addrs, NaN), { name: 'InvalidOptionError', field: 'ttl' })
    book.add(a, [], 100)
    deepEqual(book.get(a), [])
    throws(() => createAddressBook({ maxAddrsPerPeer: 0 }), { name: 'InvalidOptionError', field: 'maxAddrsPerPeer' })
  })
})
