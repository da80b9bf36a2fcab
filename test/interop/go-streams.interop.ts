import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createLinkSystem } from '../../src/index.ts'
import { GoPeer, type Commands, type PublisherAddress } from './go-peer.ts'
import { blocksOf, onCarrier, storeHamt, type Carrier } from './support.ts'

// Go to Go: what the Go programs do by themselves, which is what the tests against ours build on.

const TOPIC = '/indexer/ingest/interop'

interface Pair extends AsyncDisposable { publisher: GoPeer, subscriber: GoPeer }

async function pair (): Promise<Pair> {
  const publisher = await GoPeer.start('v078', { seed: 1 })
  const subscriber = await GoPeer.start('v078', { seed: 2 })
  return {
    publisher,
    subscriber,
    async [Symbol.asyncDispose] () { await Promise.all([publisher.stop(), subscriber.stop()]) }
  }
}

/** What the subscriber is told: by `carrier` the addresses of one kind, or all of them. */
async function publish (publisher: GoPeer, init: Commands['publisher'][0], carrier?: Carrier): Promise<PublisherAddress> {
  const address = await publisher.call('publisher', init)
  return carrier == null ? address : onCarrier(address, carrier)
}

const KINDS = [
  { name: 'streams', init: { transport: 'libp2phttp' }, carrier: undefined },
  { name: 'HTTP', init: { transport: 'http' }, carrier: undefined },
  { name: 'both, asked over streams', init: { transport: 'both' }, carrier: 'streams' },
  { name: 'both, asked over HTTP', init: { transport: 'both' }, carrier: 'http' },
  { name: 'both', init: { transport: 'both' }, carrier: undefined }
] as const

describe('ipnisync, Go v0.7.8 to Go v0.7.8', () => {
  for (const { name, init, carrier } of KINDS) {
    it(`syncs a chain of 100, and then what is new: ${name}`, async () => {
      await using peers = await pair()
      const { publisher, subscriber } = peers
      const first = await publisher.call('chain', { count: 100, payload: 500, list: true })
      const address = await publish(publisher, { ...init, headTopic: TOPIC }, carrier)
      ok(address.addrs.length > 0)
      await subscriber.call('subscriber', {})
      const full = await subscriber.call('sync', address)
      deepEqual([full.cid, full.count, full.cids], [first.head, 100, first.cids])
      const { cid, peerId, count, error } = await subscriber.event('syncFinished')
      deepEqual([cid, peerId, count, error], [first.head, publisher.peerId, 100, undefined])

      const second = await publisher.call('chain', { count: 4, seed: 1, list: true })
      deepEqual((await subscriber.call('sync', address)).cids, second.cids)
      equal(await subscriber.call('latest', { peerId: publisher.peerId }), second.head)
    })
  }

  for (const transport of ['libp2phttp', 'http'] as const) {
    it(`syncs entries in chains, one by one and as a HAMT, over ${transport}`, async () => {
      await using peers = await pair()
      const { publisher, subscriber } = peers
      const { entries } = await publisher.call('chain', { count: 3, kind: 'ad', entries: 4, list: true })
      const linkSystem = createLinkSystem()
      const hamt = (await storeHamt(linkSystem, 3, 2)).map(String)
      for (const block of await blocksOf(linkSystem, hamt)) { await publisher.call('put', block) }
      const address = await publish(publisher, { transport })
      await subscriber.call('subscriber', {})
      deepEqual((await subscriber.call('sync', { ...address, entries: entries[0], kind: 'one' })).cids, [entries[0]])
      deepEqual((await subscriber.call('sync', { ...address, entries: entries[0] })).cids, entries.slice(0, 4))
      deepEqual((await subscriber.call('sync', { ...address, entries: hamt[0], kind: 'hamt' })).cids, hamt)
      deepEqual((await subscriber.call('syncEntries', { ...address, cids: [entries[4], entries[8]] })).cids, entries.slice(4))
    })

    it(`stops at a CID, goes in segments, says what lacks, over ${transport}`, async () => {
      await using peers = await pair()
      const { publisher, subscriber } = peers
      const { cids } = await publisher.call('chain', { count: 11, list: true })
      const address = await publish(publisher, { transport })
      await subscriber.call('subscriber', { segmentDepthLimit: 3 })
      deepEqual((await subscriber.call('sync', { ...address, cid: cids[2], stop: cids[5] })).cids, cids.slice(2, 5))
      const bytes = await publisher.call('get', { cid: cids[8] }) ?? ''
      await publisher.call('drop', { cids: [cids[8]] })
      await rejects(subscriber.call('sync', address), /content not found/)
      await publisher.call('put', { cid: cids[8], bytes })
      deepEqual((await subscriber.call('sync', address)).cids, cids)
    })
  }

  it('follows gossip announces of a publisher on streams alone', async () => {
    await using peers = await pair()
    const { publisher, subscriber } = peers
    for (const peer of [publisher, subscriber]) { await peer.call('gossip', { topic: TOPIC }) }
    const { cids } = await publisher.call('chain', { count: 5, list: true })
    await publish(publisher, { transport: 'libp2phttp' })
    await subscriber.call('subscriber', { topic: TOPIC, receive: true })
    await publisher.call('connect', { peerId: subscriber.peerId, addrs: subscriber.addrs })
    await publisher.call('gossipPeers', { count: 1 })
    await publisher.call('announce', { via: 'gossip' })
    const { cid, count, error } = await subscriber.event('syncFinished')
    deepEqual([cid, count, error], [cids[0], 5, undefined])
  })

  // What it knows of the publisher's paths is kept by peer, and is for streams too: it asks there while it has a connection.
  it('is lost to a publisher on HTTP alone that it has asked, when it gets connected and the address changes', async () => {
    await using peers = await pair()
    const { publisher, subscriber } = peers
    const { cids } = await publisher.call('chain', { count: 3, list: true })
    const http = async (): Promise<PublisherAddress> => await publish(publisher, { transport: 'http' })
    await subscriber.call('subscriber', {})
    const first = await http()
    deepEqual((await subscriber.call('sync', first)).cids, cids)
    await subscriber.call('connect', { peerId: publisher.peerId, addrs: publisher.addrs })
    deepEqual((await subscriber.call('sync', { ...first, resync: true })).cids, cids)
    await publisher.call('closePublisher', {})
    await rejects(subscriber.call('sync', { ...await http(), resync: true }), /protocols not supported: \[\/http\/1\.1\]/)
  })

  // The path comes twice: from the well-known resource and from the subscriber itself.
  it('does not find a publisher on streams behind a path', async () => {
    await using peers = await pair()
    const { publisher, subscriber } = peers
    await publisher.call('chain', { count: 3 })
    const address = await publish(publisher, { transport: 'libp2phttp', handlerPath: 'foo' })
    await subscriber.call('subscriber', {})
    await rejects(subscriber.call('sync', address), /400/)
  })
})
