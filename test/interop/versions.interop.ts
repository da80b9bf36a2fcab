import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { CID } from 'multiformats/cid'
import { createLinkSystem, createPublisher, createSubscriber } from '../../src/index.ts'
import { chain } from '../../src/testing/index.ts'
import { GoPeer } from './go-peer.ts'
import { addressOf, DTSYNC_TOPIC as topic, finishedOf, infoOf, onCarrier, recorder, startNode, subscribed } from './support.ts'
import type { GoVersion } from './go-build.ts'
import type { PublisherAddress } from './go-peer.ts'
import type { Carrier } from './support.ts'
import type { Publisher, PublisherInit } from '../../src/index.ts'
import type { Subscriber } from '../../src/subscriber/subscriber.ts'
import type { Libp2p } from '@libp2p/interface'

// Who can sync from whom: each cell of a table of v0.4.0, v0.7.8 and ours.

const texts = (cids: CID[]): string[] => cids.map(String)

/** The ways of Go: each is a version and what it is asked over. */
const GO_WAYS = [
  { name: 'v0.4.0 over dtsync', version: 'v040', transport: 'dtsync' },
  { name: 'v0.4.0 over HTTP', version: 'v040', transport: 'http' },
  { name: 'v0.7.8 over HTTP', version: 'v078', transport: 'http' },
  { name: 'v0.7.8 over streams', version: 'v078', transport: 'libp2phttp' }
] as const

type Way = typeof GO_WAYS[number]
const carrierOf = ({ transport }: Way): Carrier => transport === 'http' ? 'http' : 'streams'

interface Ours extends AsyncDisposable { node: Libp2p, publisher: Publisher, address: PublisherAddress, cids: string[] }

/** A publisher of ours, by default one that serves everything at once. */
async function ourPublisher (init: PublisherInit = {}): Promise<Ours> {
  const privateKey = await generateKeyPair('Ed25519')
  const { node } = await startNode(privateKey)
  const linkSystem = createLinkSystem()
  const cids = await chain(linkSystem, 20, { payload: 200 })
  const publisher = await createPublisher(
    { libp2p: node, linkSystem, privateKey }, { topic, root: cids[0], http: { listen: '127.0.0.1:0' }, ...init })
  return {
    node,
    publisher,
    address: addressOf(publisher),
    cids: texts(cids),
    async [Symbol.asyncDispose] () {
      await publisher.stop()
      await node.stop()
    }
  }
}

interface Go { go: GoPeer, address: PublisherAddress, cids: string[] }

/** Each has another key and another chain. */
async function goPublisher (way: Way, init: { headTopic?: string } = {}): Promise<Go> {
  const seed = 1 + GO_WAYS.indexOf(way)
  const go = await GoPeer.start(way.version, { seed })
  const { cids } = await go.call('chain', { count: 20, payload: 200, seed, list: true })
  return { go, cids, address: await go.call('publisher', { transport: way.transport, topic, ...init }) }
}

async function goSubscriber (version: GoVersion, seed = 9): Promise<GoPeer> {
  const go = await GoPeer.start(version, { seed })
  await go.call('subscriber', { topic })
  return go
}

describe('Go to Go', () => {
  // What the table of the protocol says of these versions. undefined: it works.
  const CELLS: Record<string, RegExp | undefined> = {
    'v040 v0.4.0 over dtsync': undefined,
    'v040 v0.4.0 over HTTP': undefined,
    'v040 v0.7.8 over HTTP': undefined,
    'v040 v0.7.8 over streams': /cannot query head for sync: .*protocols not supported/,
    'v078 v0.4.0 over dtsync': /publisher has libp2p server without HTTP/,
    'v078 v0.4.0 over HTTP': undefined,
    'v078 v0.7.8 over HTTP': undefined,
    'v078 v0.7.8 over streams': undefined
  }
  for (const version of ['v040', 'v078'] as const) {
    for (const way of GO_WAYS) {
      const refusal = CELLS[`${version} ${way.name}`]
      it(`a subscriber of ${version} ${refusal == null ? 'syncs' : 'does not sync'} from ${way.name}`, async () => {
        const { go, address, cids } = await goPublisher(way)
        await using publisher = go
        await using subscriber = await goSubscriber(version)
        equal(publisher.peerId, address.peerId)
        const synced = subscriber.call('sync', address)
        if (refusal != null) { return await rejects(synced, refusal) }
        deepEqual((await synced).cids, cids)
      })
    }
  }
})

describe('our subscriber, which is not told what a publisher speaks', () => {
  const start = async (): Promise<AsyncDisposable & { node: Libp2p, calls: string[], subscriber: Subscriber }> => {
    const { node } = await startNode()
    const { linkSystem, calls, blockHook } = recorder()
    const subscriber = await createSubscriber({ libp2p: node, linkSystem }, { topic, receiver: {}, blockHook })
    return {
      node,
      calls,
      subscriber,
      async [Symbol.asyncDispose] () {
        await subscriber.stop()
        await node.stop()
      }
    }
  }

  for (const way of GO_WAYS) {
    for (const headTopic of way.transport === 'dtsync' ? [undefined] : [undefined, topic]) {
      it(`syncs from ${way.name}${headTopic == null ? '' : ', its head with a topic'}`, async () => {
        await using ours = await start()
        const { go, address, cids } = await goPublisher(way, { headTopic })
        await using publisher = go
        equal((await ours.subscriber.sync(infoOf(address)))?.toString(), cids[0])
        deepEqual(ours.calls, cids)

        ours.calls.length = 0
        const more = await publisher.call('chain', { count: 3, seed: 1, list: true })
        await ours.subscriber.sync(infoOf(address).id) // where it is and what it speaks is known by now
        deepEqual(ours.calls, more.cids)
      })
    }
  }

  it('syncs from all of them at once, and from ours', async () => {
    await using ours = await start()
    await using other = await ourPublisher()
    const all = await Promise.all(GO_WAYS.map(async way => await goPublisher(way)))
    try {
      const heads = await Promise.all([...all, other].map(async ({ address }) => await ours.subscriber.sync(infoOf(address))))
      deepEqual(heads.map(String), [...all, other].map(({ cids }) => cids[0]))
      // once more over streams and dtsync alone, as one hears of ours by its libp2p addresses
      equal(String(await ours.subscriber.sync(infoOf(onCarrier(other.address, 'streams')), { resync: true })), other.cids[0])
    } finally {
      await Promise.all(all.map(async ({ go }) => { await go.stop() }))
    }
  })

  it('follows the gossip announces of all of them', async () => {
    await using ours = await start()
    const finished = finishedOf(ours.subscriber)
    for (const way of GO_WAYS) {
      const seed = 1 + GO_WAYS.indexOf(way)
      await using go = await GoPeer.start(way.version, { seed })
      await go.call('gossip', { topic })
      const { head } = await go.call('chain', { count: 5, payload: 100, seed })
      await go.call('publisher', { transport: way.transport, topic })
      await go.call('connect', { addrs: addressOf(ours.node).addrs })
      await go.call('gossipPeers', { count: 1 })
      await go.call('announce', { via: 'gossip' })
      const { cid, peerId, count, error } = await finished()
      deepEqual([String(cid), String(peerId), count, error], [head, go.peerId, 5, undefined], way.name)
    }
  })
})

describe('our publisher, which serves HTTP, dtsync and ipnisync at once', () => {
  for (const way of GO_WAYS) {
    it(`is synced by ${way.name}`, async () => {
      await using ours = await ourPublisher()
      await using go = await goSubscriber(way.version)
      const synced = await go.call('sync', onCarrier(ours.address, carrierOf(way)))
      deepEqual([synced.cid, synced.cids], [ours.cids[0], ours.cids])
      equal(ours.node.getConnections().length, way.transport === 'http' ? 0 : 1)
    })
  }

  for (const version of ['v040', 'v078'] as const) {
    it(`is synced by ${version} that is told of all its addresses`, async () => {
      await using ours = await ourPublisher()
      await using go = await goSubscriber(version)
      deepEqual((await go.call('sync', ours.address)).cids, ours.cids)
    })

    it(`is synced by ${version} when its heads have a topic`, async () => {
      await using ours = await ourPublisher({ http: { listen: '127.0.0.1:0', headTopic: topic }, ipnisync: { headTopic: topic } })
      await using go = await goSubscriber(version)
      for (const carrier of ['http', 'streams'] as const) {
        deepEqual((await go.call('sync', { ...onCarrier(ours.address, carrier), resync: true })).cids, ours.cids)
        await go.call('drop', { cids: ours.cids })
      }
    })
  }

  it('is synced by all of them at the same time, and by ours', async () => {
    await using ours = await ourPublisher()
    const { node } = await startNode()
    const all = await Promise.all(GO_WAYS.map(async (way, i) => await goSubscriber(way.version, 10 + i)))
    try {
      const { linkSystem, calls, blockHook } = recorder()
      await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { topic, blockHook })
      const synced = await Promise.all([
        ...GO_WAYS.map(async (way, i) => (await all[i].call('sync', onCarrier(ours.address, carrierOf(way)))).cids),
        subscriber.sync(infoOf(ours.address)).then(() => calls)
      ])
      deepEqual(synced, synced.map(() => ours.cids))
    } finally {
      await Promise.all([...all.map(async go => { await go.stop() }), node.stop()])
    }
  })

  it('is followed by both versions, by one announce over gossip', async () => {
    for (const http of [{ listen: '127.0.0.1:0' }, false] as const) {
      await using ours = await ourPublisher({ http })
      const heard = await Promise.all((['v040', 'v078'] as const).map(async (version, i) => {
        const go = await GoPeer.start(version, { seed: 20 + i })
        await go.call('gossip', { topic })
        await go.call('subscriber', { topic, receive: true })
        await go.call('connect', addressOf(ours.node))
        await subscribed(ours.node, topic, go.peerId)
        return go
      }))
      try {
        equal((await ours.publisher.announce())[0].recipients, 2)
        for (const go of heard) {
          const { cid, peerId, count, error } = await go.event('syncFinished')
          deepEqual([cid, peerId, count, error], [ours.cids[0], ours.address.peerId, 20, undefined], go.name)
        }
      } finally {
        await Promise.all(heard.map(async go => { await go.stop() }))
      }
    }
  })

  it('gives each address once, and one that each version can read', async () => {
    await using ours = await ourPublisher()
    const { addrs } = ours.address
    equal(new Set(addrs).size, addrs.length)
    ok(addrs.some(addr => addr.endsWith('/http')) && addrs.some(addr => /tcp\/\d+$/.test(addr)), String(addrs))
  })
})
