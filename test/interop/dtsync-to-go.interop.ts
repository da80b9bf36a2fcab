import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { CID } from 'multiformats/cid'
import { createPublisher } from '../../src/index.ts'
import { chain } from '../../src/testing/index.ts'
import { dagsyncSelector, recursionLimitDepth, recursionLimitNone } from '../../src/traversal/index.ts'
import { chainOf } from '../wire/graphsync/kit.ts'
import { addressOf, asDagJson, blocksOf, DTSYNC_TOPIC as topic, ourSide, sameBlocks, storeSizes, subscribed, told } from './support.ts'
import type { LinkSystem, Publisher } from '../../src/index.ts'
import type { OurSide } from './support.ts'
import type { PeerId } from '@libp2p/interface'

const MIB = 2 ** 20
const GIVES_UP = 90_000 // Go waits 10 s before it tries to go on, and longer between tries to connect

const everything = asDagJson(dagsyncSelector(recursionLimitNone))
const texts = (cids: CID[]): string[] => cids.map(String)

interface Setup extends OurSide {
  publish (root?: CID, allowPeer?: (peer: PeerId) => boolean): Promise<Publisher>
}

/** The roots of so many chains of 10, which have no block in common. */
async function rootsOf (linkSystem: LinkSystem, count: number): Promise<string[]> {
  const roots: string[] = []
  for (let seed = 0; seed < count; seed++) { roots.push(String((await chain(linkSystem, 10, { payload: 500, seed }))[0])) }
  return roots
}

/** A Go peer, and a node of ours with a store. */
async function start (): Promise<Setup> {
  const ours = await ourSide('v040')
  const { node, linkSystem, privateKey } = ours
  return {
    ...ours,
    publish: async (root, allowPeer) =>
      await createPublisher({ libp2p: node, linkSystem, privateKey }, { topic, root, dtsync: { allowPeer } })
  }
}

describe('our publisher over dtsync, a subscriber of Go v0.4.0', () => {
  for (const [codec, make] of [
    ['dag-json', async (linkSystem: LinkSystem, count: number) => await chain(linkSystem, count, { payload: 500 })],
    ['dag-cbor', async (linkSystem: LinkSystem, count: number) => await chainOf(linkSystem, count, 500)]
  ] as const) {
    it(`serves a whole chain of ${codec}`, async () => {
      await using setup = await start()
      const { go, linkSystem, publish } = setup
      const cids = await make(linkSystem, 100)
      await using publisher = await publish(cids[0])
      await go.call('subscriber', { topic })

      const synced = await go.call('sync', addressOf(publisher))
      deepEqual([synced.cid, synced.count, synced.cids], [String(cids[0]), 100, texts(cids)])
      await sameBlocks(go, linkSystem, texts(cids))
      equal(await go.call('latest', { peerId: publisher.id.toString() }), String(cids[0]))
      deepEqual(told(await go.event('syncFinished')), [String(cids[0]), publisher.id.toString(), 100, undefined])
    })

    it(`is synced in segments of ${codec}`, async () => {
      await using setup = await start()
      const { go, linkSystem, publish } = setup
      const cids = texts(await make(linkSystem, 11))
      await using publisher = await publish(CID.parse(cids[0]))
      await go.call('subscriber', { topic, segmentDepthLimit: 3 })
      deepEqual((await go.call('sync', addressOf(publisher))).cids, cids)
      equal((await go.event('syncFinished')).count, 11)
    })
  }

  it('serves only what is new, and answers head after head', async () => {
    await using setup = await start()
    const { go, linkSystem, publish } = setup
    const [first] = await chain(linkSystem, 10)
    await using publisher = await publish(first)
    await go.call('subscriber', { topic })
    await go.call('sync', addressOf(publisher))

    const cids = await chain(linkSystem, 4, { previous: first, index: 10 })
    await publisher.setRoot(cids[0])
    const synced = await go.call('sync', addressOf(publisher))
    deepEqual([synced.count, synced.cids], [4, texts(cids)])
    equal((await go.call('has', { cids: [] })).blocks, 14)
    for (let i = 0; i < 100; i++) { // Go leaves the stream of each query open: 75 is all that it can have with itself
      equal((await go.call('sync', addressOf(publisher))).cid, String(cids[0]))
    }
  })

  it('answers without a head', async () => {
    await using setup = await start()
    const { go, publish } = setup
    await using publisher = await publish()
    await go.call('subscriber', { topic })
    equal((await go.call('sync', addressOf(publisher))).cid, null)
  })

  it('is not found under another topic', async () => {
    await using setup = await start()
    const { go, linkSystem, publish } = setup
    await using publisher = await publish((await chain(linkSystem, 1))[0])
    await go.call('subscriber', { topic: '/other' })
    await rejects(go.call('sync', addressOf(publisher)), /cannot query head for sync: .*protocols not supported: \[\/legs\/head\/\/other\/0\.0\.1\]/)
  })

  it('is synced up to the latest sync, and to a link', async () => {
    await using setup = await start()
    const { go, linkSystem, publish } = setup
    const cids = texts(await chain(linkSystem, 20))
    await using publisher = await publish(CID.parse(cids[0]))
    await go.call('subscriber', { topic })
    const address = addressOf(publisher)
    await go.call('setLatest', { peerId: address.peerId, cid: cids[6] })
    deepEqual((await go.call('sync', address)).cids, cids.slice(0, 6))
    deepEqual((await go.call('sync', { ...address, cid: cids[8], stop: cids[12] })).cids, cids.slice(8, 12))
    deepEqual((await go.call('has', { cids })).has, cids.map((_, i) => i < 6 || (i >= 8 && i < 12)))
  })

  it('serves a CID and a selector', async () => {
    await using setup = await start()
    const { go, linkSystem, publish } = setup
    const cids = texts(await chain(linkSystem, 10))
    await using publisher = await publish(CID.parse(cids[0]))
    const address = { ...addressOf(publisher), topic }
    const part = dagsyncSelector(recursionLimitDepth(2))
    const { cids: some } = await go.call('dtsync', { ...address, cid: cids[4], selector: asDagJson(part) })
    deepEqual(some, cids.slice(4, 6))
    const stopped = dagsyncSelector(recursionLimitNone, CID.parse(cids[9]))
    deepEqual((await go.call('dtsync', { ...address, cid: cids[7], selector: asDagJson(stopped) })).cids, cids.slice(7, 9))
  })

  it('completes what Go has in part', async () => {
    await using setup = await start()
    const { go, linkSystem, publish } = setup
    const cids = texts(await chain(linkSystem, 9))
    await using publisher = await publish(CID.parse(cids[0]))
    await go.call('subscriber', { topic })
    for (const block of await blocksOf(linkSystem, [cids[0], cids[3], cids[4], cids[8]])) { await go.call('put', block) }
    deepEqual((await go.call('sync', addressOf(publisher))).cids, cids)
    await sameBlocks(go, linkSystem, cids)
  })

  it('says so when it lacks the root, every time', async () => {
    await using setup = await start()
    const { go, linkSystem, publish } = setup
    const cids = texts(await chain(linkSystem, 3))
    await using publisher = await publish(CID.parse(cids[0]))
    await go.call('subscriber', { topic })
    const [{ bytes }] = await blocksOf(linkSystem, [cids[0]])
    await linkSystem.blockstore.delete(CID.parse(cids[0]))
    for (let i = 0; i < 20; i++) { // Go to Go, a few of them end with another error, by a race
      await rejects(go.call('sync', addressOf(publisher)), /sync handler failed: content not found/)
    }
    equal(await go.call('latest', { peerId: publisher.id.toString() }), null)

    await linkSystem.put(CID.parse(cids[0]), Buffer.from(bytes, 'base64'))
    deepEqual((await go.call('sync', addressOf(publisher))).cids, cids)
  })

  it('says so when it lacks a block down the chain', async () => {
    await using setup = await start()
    const { go, linkSystem, publish } = setup
    const cids = texts(await chain(linkSystem, 8))
    await using publisher = await publish(CID.parse(cids[0]))
    await go.call('subscriber', { topic })
    const [{ bytes }] = await blocksOf(linkSystem, [cids[5]])
    await linkSystem.blockstore.delete(CID.parse(cids[5]))
    await rejects(go.call('sync', addressOf(publisher)), new RegExp(`remote peer is missing block \\(${cids[5]}\\) at path (PreviousID/?){5}$`))
    deepEqual((await go.call('hooks', {})).cids, cids.slice(0, 5))
    deepEqual((await go.call('has', { cids })).has, cids.map((_, i) => i < 5))
    equal(await go.call('latest', { peerId: publisher.id.toString() }), null)

    await linkSystem.put(CID.parse(cids[5]), Buffer.from(bytes, 'base64'))
    deepEqual((await go.call('sync', addressOf(publisher))).cids, cids)
  })

  it('refuses whom it does not allow', async () => {
    await using setup = await start()
    const { go, linkSystem, publish } = setup
    const cids = texts(await chain(linkSystem, 3))
    const asked: string[] = []
    let allowed = false
    await using publisher = await publish(CID.parse(cids[0]), peer => {
      asked.push(peer.toString())
      return allowed
    })
    await go.call('subscriber', { topic })
    await rejects(go.call('sync', addressOf(publisher)), /datatransfer failed: response rejected/)
    deepEqual((await go.call('has', { cids })).has, [false, false, false])
    allowed = true
    deepEqual((await go.call('sync', addressOf(publisher))).cids, cids)
    deepEqual([...new Set(asked)], [go.peerId])
  })

  it('is left in the middle by a sync that is canceled, and synced again', async () => {
    await using setup = await start()
    const { go, linkSystem, blockstore, publish } = setup
    const cids = texts(await chain(linkSystem, 50))
    await using publisher = await publish(CID.parse(cids[0]))
    await go.call('subscriber', { topic })
    const held = blockstore.hold(10)
    const syncing = rejects(go.call('sync', addressOf(publisher)), /context canceled/)
    await held
    deepEqual((await go.call('waitHooks', { count: 10 })).cids, cids.slice(0, 10))
    await go.call('cancelSyncs', {})
    await syncing
    blockstore.release()
    await go.call('waitHas', { cids }) // in Go the transfer goes on, and a second one beside it would fail
    deepEqual((await go.call('sync', addressOf(publisher))).cids, cids)
  })

  it('goes away in the middle, and comes back under the same key and addresses', async () => {
    await using setup = await start()
    const { go, node, linkSystem, blockstore, privateKey, publish } = setup
    const cids = texts(await chain(linkSystem, 30))
    await using publisher = await publish(CID.parse(cids[0]))
    await go.call('subscriber', { topic })
    const address = addressOf(publisher)
    const held = blockstore.hold(10)
    const first = go.call('sync', address, GIVES_UP).then(() => undefined, error => error)
    await held
    deepEqual((await go.call('waitHooks', { count: 10 })).cids, cids.slice(0, 10))
    await publisher.stop()
    await node.stop()
    blockstore.release()

    const back = await createLibp2p({
      privateKey, addresses: { listen: address.addrs }, transports: [tcp()], connectionEncrypters: [tls()], streamMuxers: [yamux()]
    })
    try {
      await using again = await createPublisher({ libp2p: back, linkSystem, privateKey }, { topic, root: CID.parse(cids[0]), dtsync: {} })
      deepEqual(addressOf(again), address)
      await go.call('connect', address)
      if (await first != null) { await go.call('sync', address) } // what it restarts, the new publisher does not know
      await sameBlocks(go, linkSystem, cids)
      equal(await go.call('latest', { peerId: address.peerId }), cids[0])
    } finally {
      await back.stop()
    }
  })

  it('can stop while a subscriber is frozen, or after it was killed', async () => {
    for (const signal of ['SIGSTOP', 'SIGKILL'] as const) {
      await using setup = await start()
      const { go, linkSystem, blockstore, publish } = setup
      const cids = texts(await chainOf(linkSystem, 100, MIB))
      const publisher = await publish(CID.parse(cids[0]))
      await go.call('subscriber', { topic })
      const held = blockstore.hold(5)
      const syncing = go.call('sync', addressOf(publisher)).then(() => undefined, error => error)
      await held
      await go.call('waitHooks', { count: 5 })
      await go.kill(signal)
      blockstore.release()
      const begin = performance.now()
      await publisher.stop()
      ok(performance.now() - begin < 10_000, signal)
      await go.kill('SIGKILL')
      ok(await syncing instanceof Error)
    }
  })

  for (const shape of ['subscribers', 'hosts'] as const) {
    it(`serves 50 ${shape === 'subscribers' ? 'Subscribers' : 'dtsync.Sync'} at once, each on a host of its own`, async () => {
      await using setup = await start()
      const { go, linkSystem, publish } = setup
      const cids = await chain(linkSystem, 30, { payload: 500 })
      await using publisher = await publish(cids[0])
      const crowd = { ...addressOf(publisher), topic, shape, selector: everything, wait: 20_000 }
      for (const { error, hooks, blocks } of await go.call('crowd', { ...crowd, count: 50 })) {
        deepEqual([error, hooks, blocks], [undefined, 30, 30])
      }
    })
  }

  it('serves 50 syncs of one dtsync.Sync at once', async () => {
    await using setup = await start()
    const { go, linkSystem, publish } = setup
    const roots = await rootsOf(linkSystem, 50)
    await using publisher = await publish(CID.parse(roots[0]))
    const crowd = { ...addressOf(publisher), topic, shape: 'syncers' as const, selector: everything }
    const parts = await go.call('crowd', { ...crowd, count: 50, roots, wait: 20_000 })
    deepEqual(parts.map(({ error }) => error), roots.map(() => undefined))
    deepEqual([parts[0].hooks, parts[0].blocks], [500, 500])

    // of one root Go forgets to end most (go-dtsync.interop.ts); but each gets all of it
    const once = await go.call('crowd', { ...crowd, count: 50, roots: roots.slice(0, 1), wait: 6_000 })
    ok(once.some(({ error }) => error == null))
    deepEqual(once.filter(({ error }) => error != null && !error.startsWith('hangs')), [])
    deepEqual([once[0].hooks, once[0].blocks], [500, 10])
  })

  it('serves 50 syncs of one Subscriber at once', async () => {
    await using setup = await start()
    const { go, linkSystem, publish } = setup
    const roots = await rootsOf(linkSystem, 50)
    await using publisher = await publish(CID.parse(roots[0]))
    await go.call('subscriber', { topic })
    const address = addressOf(publisher)
    const parts = await Promise.all(roots.map(async cid => await go.call('sync', { ...address, cid, resync: true })))
    deepEqual(parts.map(({ cid, count }) => [cid, count]), roots.map(cid => [cid, 10]))
    const once = await Promise.all(roots.map(async () => await go.call('sync', { ...address, resync: true })))
    deepEqual(once.map(({ cid, count }) => [cid, count]), roots.map(() => [roots[0], 10]))
    equal((await go.call('has', { cids: [] })).blocks, 500)
  })

  it('serves blocks of 1 byte to 3.5 MiB', async () => {
    await using setup = await start()
    const { go, linkSystem, publish } = setup
    const cids = await storeSizes(linkSystem, [1, 2, 1_000, 65_535, 65_536, 262_144, MIB, 2 * MIB, 3.5 * MIB])
    await using publisher = await publish(cids[0])
    await go.call('subscriber', { topic, anySelector: true })
    deepEqual((await go.call('sync', addressOf(publisher))).cids, texts(cids))
    await sameBlocks(go, linkSystem, texts(cids))
  })

  it('announces over gossip', async () => {
    await using setup = await start()
    const { go, node, linkSystem, publish } = setup
    await go.call('gossip', { topic })
    await go.call('subscriber', { topic, receive: true })
    const first = await chain(linkSystem, 5)
    await using publisher = await publish(first[0])
    await go.call('connect', addressOf(node))
    await subscribed(node, topic, go.peerId)

    const [{ recipients }] = await publisher.announce()
    equal(recipients, 1)
    deepEqual(told(await go.event('syncFinished')), [String(first[0]), publisher.id.toString(), 5, undefined])

    const second = await chain(linkSystem, 2, { previous: first[0], index: 5 })
    await publisher.updateRoot(second[0])
    deepEqual(told(await go.event('syncFinished')), [String(second[0]), publisher.id.toString(), 2, undefined])
    deepEqual((await go.call('hooks', {})).cids, texts([...first, ...second]))
    await sameBlocks(go, linkSystem, texts([...second, ...first]))
  })

  it('serves plain HTTP beside it', async () => {
    await using setup = await start()
    const { go, node, linkSystem, privateKey } = setup
    const cids = texts(await chain(linkSystem, 3))
    await using publisher = await createPublisher(
      { libp2p: node, linkSystem, privateKey }, { topic, root: CID.parse(cids[0]), dtsync: {}, http: { listen: '127.0.0.1:0' } })
    await go.call('subscriber', { topic })
    const { peerId, addrs } = addressOf(publisher)
    for (const http of [true, false]) {
      const some = addrs.filter(addr => addr.includes('/http') === http)
      ok(some.length > 0, String(addrs))
      deepEqual((await go.call('sync', { peerId, addrs: some, resync: true })).cids, cids, String(some))
      await go.call('drop', { cids })
    }
  })
})
