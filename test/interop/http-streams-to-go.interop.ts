import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { CID } from 'multiformats/cid'
import { httpSender } from '../../src/announce/index.ts'
import { createLinkSystem, createPublisher } from '../../src/index.ts'
import { chain } from '../../src/testing/index.ts'
import { GoPeer } from './go-peer.ts'
import {
  addressOf, blocksOf, bytesOf, hostOf, onCarrier, ourSide, PAYLOADS, sameBlocks, startNode, storeEntries, storeHamt, subscribed,
  told
} from './support.ts'
import type { Publisher, PublisherInit } from '../../src/index.ts'
import type { PublisherAddress } from './go-peer.ts'
import type { Carrier, OurSide } from './support.ts'

const TOPIC = '/indexer/ingest/interop'
const IN_TIME = 10_000

const texts = (cids: CID[]): string[] => cids.map(String)

interface Setup extends OurSide {
  /** Over one carrier. */
  publish (root?: CID | string, init?: PublisherInit): Promise<Publisher>
  address (publisher: Publisher): PublisherAddress
}

/** A Go peer with a subscriber, and a node of ours with a store. */
async function start (carrier: Carrier = 'streams', subscriber = {}): Promise<Setup> {
  const ours = await ourSide('v078')
  const { go, node, linkSystem, privateKey } = ours
  await go.call('subscriber', subscriber)
  const init: PublisherInit = carrier === 'http' ? { http: { listen: '127.0.0.1:0' }, ipnisync: false } : {}
  return {
    ...ours,
    publish: async (root, more) => await createPublisher(
      { libp2p: node, linkSystem, privateKey }, { root: typeof root === 'string' ? CID.parse(root) : root, ...init, ...more }),
    address: publisher => onCarrier(addressOf(publisher), carrier)
  }
}

describe('our publisher on streams alone, a subscriber of Go v0.7.8', () => {
  it('serves a whole chain', async () => {
    await using setup = await start()
    const { go, linkSystem, publish, address } = setup
    const cids = texts(await chain(linkSystem, 100, { payload: 500 }))
    await using publisher = await publish(cids[0])
    const synced = await go.call('sync', address(publisher))
    deepEqual([synced.cid, synced.count, synced.cids], [cids[0], 100, cids])
    await sameBlocks(go, linkSystem, cids)
    equal(await go.call('latest', { peerId: publisher.id.toString() }), cids[0])
    deepEqual(told(await go.event('syncFinished')), [cids[0], publisher.id.toString(), 100, undefined])
  })

  it('serves only what is new, and answers head after head', async () => {
    await using setup = await start()
    const { go, linkSystem, publish, address } = setup
    const [first] = await chain(linkSystem, 10)
    await using publisher = await publish(first)
    await go.call('sync', address(publisher))

    const cids = await chain(linkSystem, 4, { previous: first, index: 10 })
    await publisher.setRoot(cids[0])
    deepEqual((await go.call('sync', address(publisher))).cids, texts(cids))
    equal((await go.call('has', { cids: [] })).blocks, 14)
    for (let i = 0; i < 300; i++) { equal((await go.call('sync', address(publisher))).cid, String(cids[0])) }
  })

  it('answers without a head', async () => {
    await using setup = await start()
    const { go, publish, address } = setup
    await using publisher = await publish()
    await rejects(go.call('sync', address(publisher)), /ipni\/v1\/ad\/head: 204/)
  })

  it('is synced up to the latest sync, to a link and to a depth', async () => {
    await using setup = await start()
    const { go, linkSystem, publish, address } = setup
    const cids = texts(await chain(linkSystem, 20))
    await using publisher = await publish(cids[0])
    await go.call('setLatest', { peerId: publisher.id.toString(), cid: cids[6] })
    deepEqual((await go.call('sync', address(publisher))).cids, cids.slice(0, 6))
    deepEqual((await go.call('sync', { ...address(publisher), cid: cids[8], stop: cids[12] })).cids, cids.slice(8, 12))
    const some = await go.call('sync', { ...address(publisher), cid: cids[15], resync: true, depthLimit: 2 })
    deepEqual(some.cids, cids.slice(15, 17))
  })

  it('is synced in segments', async () => {
    await using setup = await start('streams', { segmentDepthLimit: 3 })
    const { go, linkSystem, publish, address } = setup
    const cids = texts(await chain(linkSystem, 11))
    await using publisher = await publish(cids[0])
    deepEqual((await go.call('sync', address(publisher))).cids, cids)
  })

  it('is asked only for the blocks that Go lacks', async () => {
    await using setup = await start()
    const { go, linkSystem, publish, address } = setup
    const cids = texts(await chain(linkSystem, 9))
    await using publisher = await publish(cids[0])
    const local = [cids[0], cids[3], cids[8]]
    for (const block of await blocksOf(linkSystem, local)) { await go.call('put', block) }
    for (const cid of local) { await linkSystem.blockstore.delete(CID.parse(cid)) }
    deepEqual((await go.call('sync', address(publisher))).cids, cids)
  })

  for (const keyType of ['Ed25519', 'secp256k1', 'RSA'] as const) {
    it(`signs heads with ${keyType}, with and without a topic`, async () => {
      const privateKey = await generateKeyPair(keyType as 'Ed25519')
      await using ours = await startNode(privateKey)
      const linkSystem = createLinkSystem()
      const [root] = await chain(linkSystem, 2)
      await using go = await GoPeer.start('v078', { seed: 2 })
      await go.call('subscriber', {})
      for (const headTopic of [undefined, TOPIC]) {
        await using publisher = await createPublisher({ libp2p: ours.node, linkSystem, privateKey }, { root, ipnisync: { headTopic } })
        equal((await go.call('sync', { ...addressOf(publisher), resync: true })).cid, root.toString())
      }
    })
  }

  it('announces over gossip', async () => {
    await using setup = await start()
    const { go, node, linkSystem, publish } = setup
    await go.call('closeSubscriber', {})
    await go.call('gossip', { topic: TOPIC })
    await go.call('subscriber', { topic: TOPIC, receive: true })
    const first = await chain(linkSystem, 5)
    await using publisher = await publish(first[0], { topic: TOPIC, dtsync: false })
    await go.call('connect', addressOf(node))
    await subscribed(node, TOPIC, go.peerId)
    equal((await publisher.announce())[0].recipients, 1)
    deepEqual(told(await go.event('syncFinished')), [String(first[0]), publisher.id.toString(), 5, undefined])

    const second = await chain(linkSystem, 2, { previous: first[0], index: 5 })
    await publisher.updateRoot(second[0])
    deepEqual(told(await go.event('syncFinished')), [String(second[0]), publisher.id.toString(), 2, undefined])
    await sameBlocks(go, linkSystem, texts([...second, ...first]))
  })

  it('announces over HTTP, as CBOR and as JSON', async () => {
    await using setup = await start()
    const { go, node, linkSystem, publish } = setup
    await go.call('closeSubscriber', {})
    await go.call('gossip', { topic: TOPIC }) // Go's receiver panics without a topic
    await go.call('subscriber', { topic: TOPIC, receive: true })
    const { url } = await go.call('announceServer', {})
    let previous: CID | undefined
    for (const encoding of ['cbor', 'json'] as const) {
      const [head]: CID[] = await chain(linkSystem, 3, { previous })
      await using publisher = await publish(undefined, { senders: [httpSender({ urls: [url], peerId: node.peerId, encoding })] })
      await publisher.updateRoot(head)
      deepEqual((await go.event('announced')).addrs, addressOf(publisher).addrs.map(addr => `${addr}/p2p/${node.peerId}`))
      deepEqual(told(await go.event('syncFinished')), [String(head), publisher.id.toString(), 3, undefined])
      previous = head
    }
  })
})

describe('our publisher on both carriers, a subscriber of Go v0.7.8', () => {
  it('is synced over HTTP, over streams, and over streams where Go is connected already', async () => {
    await using setup = await start()
    const { go, node, linkSystem, publish } = setup
    const cids = texts(await chain(linkSystem, 5))
    await using publisher = await publish(cids[0], { http: { listen: '127.0.0.1:0' } })
    const all = addressOf(publisher)
    for (const [address, connections] of [
      [onCarrier(all, 'http'), 0], [all, 0], [onCarrier(all, 'streams'), 1], [all, 1], [onCarrier(all, 'http'), 1]
    ] as const) {
      deepEqual((await go.call('sync', { ...address, resync: true })).cids, cids)
      equal(node.getConnections().length, connections)
      await go.call('drop', { cids })
    }
  })

  it('is synced over HTTP by one that is connected, where the node does not serve ipnisync', async () => {
    await using setup = await start('http')
    const { go, node, linkSystem, publish, address } = setup
    const cids = texts(await chain(linkSystem, 5))
    await using publisher = await publish(cids[0])
    await go.call('connect', addressOf(node))
    deepEqual((await go.call('sync', address(publisher))).cids, cids)
  })
})

for (const carrier of ['streams', 'http'] as const) {
  describe(`our publisher over ${carrier}, a subscriber of Go v0.7.8`, () => {
    for (const [which, at] of [['the root', 0], ['a block down the chain', 5]] as const) {
      it(`says so when it lacks ${which}`, async () => {
        await using setup = await start(carrier)
        const { go, linkSystem, publish, address } = setup
        const cids = texts(await chain(linkSystem, 8))
        await using publisher = await publish(cids[0])
        const bytes = await bytesOf(linkSystem, cids[at])
        await linkSystem.blockstore.delete(CID.parse(cids[at]))
        await rejects(go.call('sync', address(publisher)), /content not found/)
        deepEqual((await go.call('has', { cids })).has, cids.map((_, i) => i < at))
        equal(await go.call('latest', { peerId: publisher.id.toString() }), null)

        await linkSystem.put(CID.parse(cids[at]), bytes)
        deepEqual((await go.call('sync', address(publisher))).cids, cids)
      })
    }

    it('is left in the middle by a sync that is canceled, and synced again', async () => {
      await using setup = await start(carrier)
      const { go, linkSystem, blockstore, publish, address } = setup
      const cids = texts(await chain(linkSystem, 50))
      await using publisher = await publish(cids[0])
      const held = blockstore.hold(10)
      const syncing = rejects(go.call('sync', address(publisher)), /context canceled|i\/o deadline reached/)
      await held
      await go.call('cancelSyncs', {})
      blockstore.release() // over streams Go waits for the answer all the same
      await syncing
      deepEqual((await go.call('has', { cids })).has[11], false)
      deepEqual((await go.call('sync', address(publisher))).cids, cids)
    })

    it('goes away in the middle, and comes back under the same key and addresses', async () => {
      await using setup = await start(carrier)
      const { go, node, linkSystem, blockstore, privateKey, publish, address } = setup
      const cids = texts(await chain(linkSystem, 30))
      const publisher = await publish(cids[0])
      const before = address(publisher)
      const listen = node.getMultiaddrs().map(addr => String(addr).replace(/\/p2p\/.*/, ''))
      const held = blockstore.hold(10)
      const syncing = rejects(go.call('sync', before), /failed to fetch block/)
      await held
      await publisher.stop()
      await node.stop()
      blockstore.release()
      await syncing
      deepEqual((await go.call('has', { cids })).has, cids.map((_, i) => i < 10))

      const back = await createLibp2p({
        privateKey, addresses: { listen }, transports: [tcp()], connectionEncrypters: [tls()], streamMuxers: [yamux()]
      })
      try {
        const init: PublisherInit = carrier === 'http' ? { ipnisync: false, http: { listen: hostOf(before.addrs[0]) } } : {}
        await using again = await createPublisher({ libp2p: back, linkSystem, privateKey }, { root: CID.parse(cids[0]), ...init })
        deepEqual(address(again), before)
        if (carrier === 'streams') { await go.call('connect', before) } // Go holds dials back after one that failed
        deepEqual((await go.call('sync', before)).cids, cids)
        await sameBlocks(go, linkSystem, cids)
      } finally {
        await back.stop()
      }
    })

    it('can stop while a subscriber is frozen, or after it was killed, and serves the next one', async () => {
      for (const signal of ['SIGSTOP', 'SIGKILL'] as const) {
        await using setup = await start(carrier)
        const { go, linkSystem, blockstore, publish, address } = setup
        const cids = texts(await chain(linkSystem, 20, { payload: 2 ** 20 }))
        const publisher = await publish(cids[0])
        const held = blockstore.hold(5)
        const syncing = go.call('sync', address(publisher)).then(() => undefined, error => error)
        await held
        await go.kill(signal)
        blockstore.release()
        await using next = await GoPeer.start('v078', { seed: 3 })
        await next.call('subscriber', {})
        deepEqual((await next.call('sync', address(publisher))).cids, cids)
        const begin = performance.now()
        await publisher.stop()
        ok(performance.now() - begin < IN_TIME, signal)
        await go.kill('SIGKILL')
        ok(await syncing instanceof Error)
      }
    })

    it('serves 5 subscribers at once', async () => {
      await using setup = await start(carrier)
      const { linkSystem, publish, address } = setup
      const cids = texts(await chain(linkSystem, 200, { payload: 500 }))
      await using publisher = await publish(cids[0])
      const synced = await Promise.all([11, 12, 13, 14, 15].map(async seed => {
        await using go = await GoPeer.start('v078', { seed })
        await go.call('subscriber', {})
        return (await go.call('sync', address(publisher))).cids
      }))
      for (const got of synced) { deepEqual(got, cids) }
    })

    it('serves blocks of 1 byte of payload to 3.5 MiB', async () => {
      await using setup = await start(carrier)
      const { go, linkSystem, publish, address } = setup
      let root: CID | undefined
      const cids: string[] = []
      for (const payload of PAYLOADS) {
        [root] = await chain(linkSystem, 1, { payload, previous: root })
        cids.unshift(String(root))
      }
      await using publisher = await publish(root)
      deepEqual((await go.call('sync', address(publisher))).cids, cids)
      await sameBlocks(go, linkSystem, cids)
    })

    it('serves chains of entries, one chunk, and a HAMT', async () => {
      await using setup = await start(carrier)
      const { go, linkSystem, publish, address } = setup
      const chains = [await storeEntries(linkSystem, 5, 'a'), await storeEntries(linkSystem, 3, 'b')].map(texts)
      const hamt = texts(await storeHamt(linkSystem, 4, 3))
      await using publisher = await publish()
      const sync = async (entries: string, kind?: 'one' | 'hamt'): Promise<string[]> =>
        (await go.call('sync', { ...address(publisher), entries, kind })).cids
      deepEqual(await sync(chains[0][0], 'one'), chains[0].slice(0, 1))
      deepEqual(await sync(hamt[0], 'hamt'), hamt)
      const { cids } = await go.call('syncEntries', { ...address(publisher), cids: chains.map(([first]) => first) })
      deepEqual(cids, chains.flat())
      await sameBlocks(go, linkSystem, [...cids, ...hamt])
    })
  })
}
