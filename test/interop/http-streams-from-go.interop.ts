import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CID } from 'multiformats/cid'
import { createLinkSystem, createSubscriber } from '../../src/index.ts'
import { dagsyncSelector, exploreFields, exploreRecursiveEdge, recursionLimitDepth, recursionLimitNone } from '../../src/traversal/index.ts'
import { GoPeer } from './go-peer.ts'
import {
  addressOf, blocksOf, CARRIERS, copyBlocks, finishedOf, hasBlocks, hostOf, infoOf, onCarrier, PAYLOADS, recorder, sameBlocks, startNode,
  storeHamt
} from './support.ts'
import { givesUpOnFrozen, syncsAfterAbort, syncsPartsAtOnce, syncsWhole } from './syncs.ts'
import type { SegmentSyncActions } from '../../src/index.ts'
import type { Commands, PublisherAddress } from './go-peer.ts'
import type { Carrier, Recorder } from './support.ts'
import type { Libp2p, PeerInfo } from '@libp2p/interface'

const TOPIC = '/indexer/ingest/interop'
const SEED = 1
const STALL = 5_000
const IN_TIME = 30_000
const PREVIOUS = exploreFields({ PreviousID: exploreRecursiveEdge() })

interface Setup extends Recorder, AsyncDisposable {
  go: GoPeer
  node: Libp2p
  publish (init?: Commands['publisher'][0], go?: GoPeer): Promise<PeerInfo>
}

/** A Go peer that publishes over one carrier, and a node of ours. */
async function start (carrier: Carrier = 'streams', init: Parameters<typeof GoPeer.start>[1] = {}): Promise<Setup> {
  const go = await GoPeer.start('v078', { seed: SEED, ...init })
  const { node } = await startNode()
  return {
    ...recorder(),
    go,
    node,
    publish: async (init, by = go) => infoOf(await by.call('publisher', { transport: CARRIERS[carrier], ...init })),
    async [Symbol.asyncDispose] () { await Promise.all([go.stop(), node.stop()]) }
  }
}

describe('our subscriber, a publisher of Go v0.7.8 on streams alone', () => {
  it('syncs a whole chain, newest first', async () => {
    await using setup = await start()
    const { go, node, linkSystem, blockHook, publish } = setup
    const { cids, head } = await go.call('chain', { count: 100, payload: 500, list: true })
    const publisher = await publish()
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { blockHook })
    equal(cids.length, 100)
    await syncsWhole(go, publisher, subscriber, setup, { cids, head })
  })

  it('syncs only what is new, over and over', async () => {
    await using setup = await start()
    const { go, node, linkSystem, calls, blockHook, publish } = setup
    await go.call('chain', { count: 10 })
    const publisher = await publish()
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { topic: TOPIC, blockHook })
    const finished = finishedOf(subscriber)
    await subscriber.sync(publisher)
    equal((await finished()).count, 10)

    calls.length = 0
    const { cids, head } = await go.call('chain', { count: 4, seed: 1, list: true })
    equal((await subscriber.sync(publisher.id))?.toString(), head) // the address is known by now
    deepEqual(calls, cids)
    equal((await finished()).count, 4)
    for (let i = 0; i < 100; i++) { // streams that stayed open would be too many
      equal((await subscriber.sync(publisher))?.toString(), head)
      equal((await finished()).count, 0)
    }
  })

  it('stops at the latest sync that it was told of, at a link and at a depth', async () => {
    await using setup = await start()
    const { go, node, linkSystem, calls, blockHook, publish } = setup
    const { cids } = await go.call('chain', { count: 20, list: true })
    const publisher = await publish()
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { blockHook })
    await subscriber.setLatestSync(publisher.id, CID.parse(cids[6]))
    await subscriber.sync(publisher)
    deepEqual(calls, cids.slice(0, 6))

    calls.length = 0
    const stopped = dagsyncSelector(recursionLimitNone, CID.parse(cids[12]))
    await subscriber.sync(publisher, { cid: CID.parse(cids[8]), selector: stopped })
    await subscriber.sync(publisher, { cid: CID.parse(cids[15]), selector: dagsyncSelector(recursionLimitDepth(2)) })
    deepEqual(calls, [...cids.slice(8, 12), ...cids.slice(15, 17)])
    deepEqual(await hasBlocks(linkSystem, cids), cids.map((_, i) => i < 6 || (i >= 8 && i < 12) || i === 15 || i === 16))
  })

  it('syncs in segments', async () => {
    await using setup = await start()
    const { go, node, linkSystem, calls, blockHook, publish } = setup
    const { cids } = await go.call('chain', { count: 11, list: true })
    const segments: number[] = []
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, {
      segmentDepthLimit: 3,
      blockHook: async (peerId, cid, actions: SegmentSyncActions) => {
        blockHook(peerId, cid)
        actions.setNextSyncCid((await linkSystem.load<{ PreviousID?: CID }>(cid)).PreviousID)
      }
    })
    await subscriber.sync(await publish(), {
      onProgress: event => { if (event.type === 'dagsync:segment') { segments.push(calls.length) } }
    })
    deepEqual(calls, cids)
    ok(segments.length >= 3, `${segments.length} segments`)
  })

  it('fetches only the blocks that are not stored', async () => {
    await using setup = await start()
    const { go, node, linkSystem, calls, blockHook, publish } = setup
    const { cids } = await go.call('chain', { count: 9, list: true })
    const publisher = await publish()
    const local = [cids[0], cids[3], cids[4], cids[8]]
    await copyBlocks(go, linkSystem, local)
    await go.call('drop', { cids: local })
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { blockHook })
    await subscriber.sync(publisher)
    deepEqual(calls, cids)
  })

  it('takes a publisher without a head', async () => {
    await using setup = await start()
    const { node, linkSystem, publish } = setup
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem })
    equal(await subscriber.sync(await publish()), undefined)
  })

  for (const keyType of ['ed25519', 'secp256k1', 'rsa'] as const) {
    it(`verifies heads signed with ${keyType}, with and without a topic`, async () => {
      for (const headTopic of [undefined, TOPIC]) {
        // A peer for each: Go's Close() returns before its handler is taken off, and may take off that of the next publisher.
        await using setup = await start('streams', { keyType })
        const { go, node, linkSystem, publish } = setup
        const { head } = await go.call('chain', { count: 2 })
        await using subscriber = await createSubscriber({ libp2p: node, linkSystem })
        equal((await subscriber.sync(await publish({ headTopic })))?.toString(), head)
      }
    })
  }

  it('finds it behind a path, which Go itself does not', async () => {
    await using setup = await start()
    const { go, node, linkSystem, calls, blockHook, publish } = setup
    const { cids } = await go.call('chain', { count: 3, list: true })
    const publisher = await publish({ handlerPath: 'foo/bar' })
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { blockHook })
    await subscriber.sync(publisher)
    deepEqual(calls, cids)
  })

  it('follows gossip announces', async () => {
    await using setup = await start()
    const { go, node, linkSystem, calls, blockHook, publish } = setup
    await go.call('gossip', { topic: TOPIC })
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { topic: TOPIC, receiver: {}, blockHook })
    const finished = finishedOf(subscriber)
    const first = await go.call('chain', { count: 5, list: true })
    await publish()
    await go.call('connect', { addrs: addressOf(node).addrs })
    await go.call('gossipPeers', { count: 1 })
    await go.call('announce', { via: 'gossip' })
    const { cid, peerId, count, error } = await finished()
    deepEqual([cid.toString(), peerId.toString(), count, error], [first.head, go.peerId, 5, undefined])

    const second = await go.call('chain', { count: 2, seed: 1, list: true })
    await go.call('announce', { via: 'gossip' })
    equal((await finished()).count, 2)
    deepEqual(calls, [...first.cids, ...second.cids])
  })

  it('hears of it by an announce over HTTP', async () => {
    await using setup = await start()
    const { go, node, linkSystem, calls, blockHook, publish } = setup
    const { cids, head } = await go.call('chain', { count: 5, list: true })
    const publisher = await publish()
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { receiver: {}, blockHook })
    const finished = finishedOf(subscriber)
    await subscriber.announce(CID.parse(head), publisher)
    const { cid, count, error } = await finished()
    deepEqual([cid.toString(), count, error], [head, 5, undefined])
    deepEqual(calls, cids)
  })
})

describe('our subscriber, a publisher of Go v0.7.8 on both carriers', () => {
  for (const carrier of ['http', 'streams'] as const) {
    it(`syncs when it is told of ${carrier}`, async () => {
      await using setup = await start()
      const { go, node, linkSystem, calls, blockHook } = setup
      const { cids } = await go.call('chain', { count: 5, list: true })
      const address = onCarrier(await go.call('publisher', { transport: 'both' }), carrier)
      await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { blockHook })
      await subscriber.sync(infoOf(address))
      deepEqual(calls, cids)
      equal(node.getConnections().length, carrier === 'http' ? 0 : 1)
    })
  }

  it('takes HTTP when it knows both', async () => {
    await using setup = await start()
    const { go, node, linkSystem, calls, blockHook } = setup
    const { cids } = await go.call('chain', { count: 5, list: true })
    const address: PublisherAddress = await go.call('publisher', { transport: 'both' })
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { blockHook })
    await subscriber.sync(infoOf(address))
    deepEqual(calls, cids)
    equal(node.getConnections().length, 0)
  })

  it('takes streams when it prefers them', async () => {
    await using setup = await start()
    const { go, node, linkSystem, calls, blockHook } = setup
    const { cids } = await go.call('chain', { count: 5, list: true })
    const address: PublisherAddress = await go.call('publisher', { transport: 'both' })
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { blockHook, transports: ['ipnisync', 'http'] })
    await subscriber.sync(infoOf(address))
    deepEqual(calls, cids)
    equal(node.getConnections().length, 1)
  })
})

for (const carrier of ['streams', 'http'] as const) {
  describe(`our subscriber, a publisher of Go v0.7.8 over ${carrier}, when things go wrong`, () => {
    for (const [which, at] of [['the root', 0], ['a block down the chain', 5]] as const) {
      it(`fails without ${which}, and goes on once it is there`, async () => {
        await using setup = await start(carrier)
        const { go, node, linkSystem, calls, blockHook, publish } = setup
        const { cids } = await go.call('chain', { count: 8, list: true })
        const publisher = await publish()
        await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { blockHook })
        const bytes = await go.call('get', { cid: cids[at] }) ?? ''
        await go.call('drop', { cids: [cids[at]] })
        await rejects(subscriber.sync(publisher), (error: any) => error.name === 'ContentNotFoundError' && String(error.cid) === cids[at])
        deepEqual(calls, cids.slice(0, at))
        equal(await subscriber.getLatestSync(publisher.id), undefined)

        calls.length = 0
        await go.call('put', { cid: cids[at], bytes })
        await subscriber.sync(publisher)
        deepEqual(calls, cids)
        await sameBlocks(go, linkSystem, cids)
      })
    }

    it('fails with the status of a publisher that cannot read a block', async () => {
      await using setup = await start(carrier)
      const { go, node, linkSystem, publish } = setup
      const { cids } = await go.call('chain', { count: 4, list: true })
      const publisher = await publish()
      await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { httpRetry: false })
      await go.call('put', { cid: cids[2], bytes: await go.call('get', { cid: cids[3] }) ?? '' }) // its hash check fails
      await rejects(subscriber.sync(publisher), { name: 'HttpStatusError', status: 500 })
      deepEqual(await hasBlocks(linkSystem, cids), [true, true, false, false])
    })

    it('outlives a publisher that is killed in the middle and comes back', async () => {
      await using setup = await start(carrier)
      const { go, node, linkSystem, calls, blockHook, reached, publish } = setup
      const { cids } = await go.call('chain', { count: 30, payload: 500, list: true })
      const publisher = await publish()
      const [addr] = publisher.multiaddrs.map(String)
      await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { blockHook })
      await go.call('hold', { after: 10 })
      const first = subscriber.sync(publisher).then(() => undefined, error => error)
      await reached(10)
      await go.event('held')
      await go.kill('SIGKILL')

      await using again = await GoPeer.start('v078', { seed: SEED, listen: go.addrs })
      await again.call('chain', { count: 30, payload: 500 })
      const { id, multiaddrs } = await publish(carrier === 'http' ? { listen: hostOf(addr) } : {}, again)
      deepEqual([id, multiaddrs].map(String), [publisher.id, publisher.multiaddrs].map(String))
      const error = await first // it may fail, or go on by itself
      if (error != null) {
        equal(error.name, 'TransferFailedError')
        deepEqual(calls, cids.slice(0, 10))
        calls.length = 0
        await subscriber.sync(publisher)
      }
      deepEqual(calls, cids)
      await sameBlocks(again, linkSystem, cids)
    })

    it('gives up on a publisher that is gone for good', async () => {
      await using setup = await start(carrier)
      const { go, node, linkSystem, calls, blockHook, publish } = setup
      const { cids } = await go.call('chain', { count: 30, list: true })
      const publisher = await publish()
      await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { blockHook })
      await go.call('hold', { after: 10 })
      const syncing = subscriber.sync(publisher).then(() => undefined, error => error)
      await go.event('held')
      const begin = performance.now()
      await go.kill('SIGKILL')
      equal((await syncing)?.name, 'TransferFailedError')
      ok(performance.now() - begin < IN_TIME)
      deepEqual(calls, cids.slice(0, 10))
      equal(await subscriber.getLatestSync(publisher.id), undefined)
    })

    it('gives up on a publisher that is frozen in the middle, and syncs once it goes on', async () => {
      await using setup = await start(carrier)
      const { go, node, linkSystem, blockHook, publish } = setup
      const { cids } = await go.call('chain', { count: 30, list: true })
      const publisher = await publish()
      await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { blockHook, stallTimeout: STALL })
      await givesUpOnFrozen(go, publisher, subscriber, setup, cids)
    })

    it('can be aborted in the middle, and synced again at once', async () => {
      await using setup = await start(carrier)
      const { go, node, linkSystem, blockHook, publish } = setup
      const { cids } = await go.call('chain', { count: 50, payload: 500, list: true })
      const publisher = await publish()
      await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { blockHook })
      await syncsAfterAbort(go, publisher, subscriber, setup, cids)
    })
  })

  describe(`our subscriber, a publisher of Go v0.7.8 over ${carrier}, much at once`, () => {
    it('syncs blocks of 1 byte of payload to 3.5 MiB', async () => {
      await using setup = await start(carrier)
      const { go, node, linkSystem, calls, blockHook, publish } = setup
      const cids: string[] = []
      for (const payload of PAYLOADS) { cids.unshift(...(await go.call('chain', { count: 1, payload, list: true })).cids) }
      await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { blockHook })
      await subscriber.sync(await publish())
      deepEqual(calls, cids)
      await sameBlocks(go, linkSystem, cids)
    })

    it('syncs 100 parts at once, and one part 50 times at once', async () => {
      await using setup = await start(carrier)
      const { go, node, linkSystem, publish } = setup
      const { cids } = await go.call('chain', { count: 400, payload: 2_000, list: true })
      const publisher = await publish()
      await using subscriber = await createSubscriber({ libp2p: node, linkSystem })
      await syncsPartsAtOnce(go, publisher, subscriber, linkSystem, cids)
    })

    it('syncs for 20 subscribers of one node at once', async () => {
      await using setup = await start(carrier)
      const { go, node, publish } = setup
      const { cids } = await go.call('chain', { count: 50, list: true })
      const publisher = await publish()
      const synced = await Promise.all(Array.from({ length: 20 }, async () => {
        const { linkSystem, calls, blockHook } = recorder()
        await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { blockHook })
        await subscriber.sync(publisher)
        return calls
      }))
      for (const calls of synced) { deepEqual(calls, cids) }
    })
  })

  describe(`our subscriber, advertisements of Go v0.7.8 over ${carrier}`, () => {
    it('syncs the chain, and the entries of all of them at once', async () => {
      await using setup = await start(carrier)
      const { go, node, linkSystem, calls, blockHook, publish } = setup
      const { cids, entries } = await go.call('chain', { count: 12, kind: 'ad', entries: 5, payload: 50, list: true })
      const publisher = await publish()
      await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { blockHook })
      equal((await subscriber.syncAdChain(publisher))?.toString(), cids[0])
      deepEqual(calls, cids)

      const roots = entries.filter((_, i) => i % 5 === 0).map(cid => CID.parse(cid))
      const chunks = new Map<string, string[]>(roots.map(root => [root.toString(), []]))
      await subscriber.syncEntries(publisher, roots, {
        concurrency: 4,
        blockHook: (_publisher, cid, _actions, root) => { chunks.get(root.toString())?.push(cid.toString()) }
      })
      deepEqual([...chunks.values()], roots.map((_, i) => entries.slice(i * 5, i * 5 + 5)))
      await sameBlocks(go, linkSystem, entries)
    })

    it('syncs one chunk, and a HAMT', async () => {
      await using setup = await start(carrier)
      const { go, node, linkSystem, publish } = setup
      const { entries } = await go.call('chain', { count: 1, kind: 'ad', entries: 3, list: true })
      const source = createLinkSystem()
      const hamt = (await storeHamt(source, 4, 3)).map(String)
      for (const block of await blocksOf(source, hamt)) { await go.call('put', block) }
      const publisher = await publish()
      await using subscriber = await createSubscriber({ libp2p: node, linkSystem })
      await subscriber.syncOneEntry(publisher, CID.parse(entries[0]))
      deepEqual(await hasBlocks(linkSystem, entries), [true, false, false])

      const { calls, blockHook } = recorder()
      await subscriber.syncHamtEntries(publisher, CID.parse(hamt[0]), { blockHook })
      deepEqual(calls, hamt)
      await sameBlocks(go, linkSystem, hamt)
    })

    it('syncs the entries of each from within the hook', async () => {
      await using setup = await start(carrier)
      const { go, node, linkSystem, calls, blockHook, publish } = setup
      const { cids, entries } = await go.call('chain', { count: 5, kind: 'ad', entries: 3, payload: 50, list: true })
      const publisher = await publish()
      const chunks: string[] = []
      await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, {
        defaultSelectorSequence: PREVIOUS,
        blockHook: async (peerId, cid) => {
          blockHook(peerId, cid)
          const { Entries } = await linkSystem.load<{ Entries: CID }>(cid)
          await subscriber.syncEntries(publisher, Entries, { blockHook: (_, chunk) => { chunks.push(chunk.toString()) } })
        }
      })
      await subscriber.sync(publisher)
      deepEqual(calls, cids)
      deepEqual(chunks.toSorted(), entries.toSorted())
    })
  })
}
