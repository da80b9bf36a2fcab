import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CID } from 'multiformats/cid'
import { createLinkSystem, createSubscriber } from '../../src/index.ts'
import { readBlock } from '../../src/store/read.ts'
import { dagsyncSelector, parseSelector, recursionLimitDepth, recursionLimitNone, walk } from '../../src/traversal/index.ts'
import { GoPeer } from './go-peer.ts'
import {
  blocksOf, copyBlocks, DTSYNC_TOPIC as topic, finishedOf, hasBlocks, infoOf, recorder, sameBlocks, startNode, storeSizes
} from './support.ts'
import { givesUpOnFrozen, syncsAfterAbort, syncsPartsAtOnce, syncsWhole } from './syncs.ts'
import type { SegmentSyncActions } from '../../src/index.ts'
import type { Recorder } from './support.ts'
import type { Libp2p, PeerInfo } from '@libp2p/interface'

const SEED = 1
const STALL = 5_000
const IN_TIME = 30_000
const MIB = 2 ** 20

interface Setup extends Recorder, AsyncDisposable { go: GoPeer, node: Libp2p }

/** A Go peer and a node of ours. */
async function start (): Promise<Setup> {
  const go = await GoPeer.start('v040', { seed: SEED })
  const { node } = await startNode()
  return { ...recorder(), go, node, async [Symbol.asyncDispose] () { await Promise.all([go.stop(), node.stop()]) } }
}

async function publish (go: GoPeer, allow?: string[]): Promise<PeerInfo> {
  return infoOf(await go.call('publisher', { transport: 'dtsync', topic, allow }))
}

describe('our subscriber, a publisher of Go v0.4.0 over dtsync', () => {
  for (const codec of ['dag-json', 'dag-cbor'] as const) {
    it(`syncs a whole chain of ${codec}, newest first`, async () => {
      await using setup = await start()
      const { go, node, linkSystem, blockHook } = setup
      const { cids, head } = await go.call('chain', { count: 100, payload: 500, codec, list: true })
      const publisher = await publish(go)
      await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { topic, blockHook })
      equal(cids.length, 100)
      await syncsWhole(go, publisher, subscriber, setup, { cids, head })
    })

    it(`syncs ${codec} in segments`, async () => {
      await using setup = await start()
      const { go, node, linkSystem, calls, blockHook } = setup
      const { cids } = await go.call('chain', { count: 11, codec, list: true })
      const segments: number[] = []
      await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, {
        topic,
        segmentDepthLimit: 3,
        blockHook: async (peerId, cid, actions: SegmentSyncActions) => {
          blockHook(peerId, cid)
          actions.setNextSyncCid((await linkSystem.load<{ PreviousID?: CID }>(cid)).PreviousID)
        }
      })
      const finished = finishedOf(subscriber)
      await subscriber.sync(await publish(go), {
        onProgress: event => { if (event.type === 'dagsync:segment') { segments.push(calls.length) } }
      })
      deepEqual(calls, cids)
      ok(segments.length >= 3, `${segments.length} segments`)
      equal((await finished()).count, 11)
    })
  }

  it('syncs only what is new, over and over', async () => {
    await using setup = await start()
    const { go, node, linkSystem, calls, blockHook } = setup
    await go.call('chain', { count: 10 })
    const publisher = await publish(go)
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { topic, blockHook })
    const finished = finishedOf(subscriber)
    await subscriber.sync(publisher)
    equal((await finished()).count, 10)

    calls.length = 0
    const { cids, head } = await go.call('chain', { count: 4, seed: 1, list: true })
    equal((await subscriber.sync(publisher.id))?.toString(), head) // the address is known by now
    deepEqual(calls, cids)
    equal((await finished()).count, 4)
    for (let i = 0; i < 100; i++) { // streams of head queries that stayed open would be too many
      equal((await subscriber.sync(publisher))?.toString(), head)
      equal((await finished()).count, 0)
    }
  })

  it('takes a publisher without a head', async () => {
    await using setup = await start()
    const { go, node, linkSystem } = setup
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { topic })
    equal(await subscriber.sync(await publish(go)), undefined)
  })

  it('fails under another topic', async () => {
    await using setup = await start()
    const { go, node, linkSystem } = setup
    await go.call('chain', { count: 1 })
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { topic: '/other' })
    await rejects(subscriber.sync(await publish(go)), { name: 'HeadQueryError' })
  })

  it('stops at the latest sync that it was told of, at a link and at a depth', async () => {
    await using setup = await start()
    const { go, node, linkSystem, calls, blockHook } = setup
    const { cids } = await go.call('chain', { count: 20, list: true })
    const publisher = await publish(go)
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { topic, blockHook })
    await subscriber.setLatestSync(publisher.id, CID.parse(cids[6]))
    await subscriber.sync(publisher)
    deepEqual(calls, cids.slice(0, 6))

    calls.length = 0
    const stopped = dagsyncSelector(recursionLimitNone, CID.parse(cids[12]))
    await subscriber.sync(publisher, { cid: CID.parse(cids[8]), selector: stopped })
    deepEqual(calls, cids.slice(8, 12))
    equal((await subscriber.getLatestSync(publisher.id))?.toString(), cids[0])

    const before = await hasBlocks(linkSystem, cids)
    await subscriber.sync(publisher, { cid: CID.parse(cids[15]), selector: dagsyncSelector(recursionLimitDepth(2)) })
    deepEqual(before, cids.map((_, i) => i < 6 || (i >= 8 && i < 12)))
    deepEqual(await hasBlocks(linkSystem, cids.slice(15)), [true, true, false, false, false])
  })

  it('uses the blocks that are stored', async () => {
    await using setup = await start()
    const { go, node, linkSystem, calls, blockHook } = setup
    const { cids } = await go.call('chain', { count: 9, list: true })
    const publisher = await publish(go)
    const local = [cids[0], cids[3], cids[4], cids[8]]
    await copyBlocks(go, linkSystem, local)
    const seen: string[] = []
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { topic, blockHook })
    await subscriber.sync(publisher, {
      onProgress: event => { if (event.type === 'dagsync:block' && event.detail.local) { seen.push(event.detail.cid.toString()) } }
    })
    deepEqual(calls, cids)
    deepEqual(seen, [cids[0]]) // asked once, the publisher sends all from the first one that lacks
    await sameBlocks(go, linkSystem, cids)
  })

  it('needs nothing of the publisher when all is stored', async () => {
    await using setup = await start()
    const { go, node, linkSystem, calls, blockHook } = setup
    const { cids } = await go.call('chain', { count: 5, list: true })
    const publisher = await publish(go)
    await copyBlocks(go, linkSystem, cids)
    await go.call('drop', { cids })
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { topic, blockHook })
    await subscriber.sync(publisher)
    deepEqual(calls, cids)
  })

  it('fails without the root, and works once it is there', async () => {
    await using setup = await start()
    const { go, node, linkSystem, calls, blockHook } = setup
    const { cids } = await go.call('chain', { count: 8, list: true })
    const publisher = await publish(go)
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { topic, blockHook })
    const bytes = await go.call('get', { cid: cids[0] }) ?? ''
    await go.call('drop', { cids: [cids[0]] })
    await rejects(subscriber.sync(publisher), { name: 'ContentNotFoundError' })
    deepEqual(calls, [])
    equal(await subscriber.getLatestSync(publisher.id), undefined)

    await go.call('put', { cid: cids[0], bytes })
    await subscriber.sync(publisher)
    deepEqual(calls, cids)
  })

  it('fails at a block that the publisher lacks, and goes on once it is there', async () => {
    await using setup = await start()
    const { go, node, linkSystem, calls, blockHook } = setup
    const { cids } = await go.call('chain', { count: 8, list: true })
    const publisher = await publish(go)
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { topic, blockHook })
    const bytes = await go.call('get', { cid: cids[5] }) ?? ''
    await go.call('drop', { cids: [cids[5]] })
    await rejects(subscriber.sync(publisher), (error: any) => error.name === 'ContentNotFoundError' && String(error.cid) === cids[5])
    deepEqual(calls, cids.slice(0, 5))
    equal(await subscriber.getLatestSync(publisher.id), undefined)

    calls.length = 0
    await go.call('put', { cid: cids[5], bytes })
    await subscriber.sync(publisher)
    deepEqual(calls, cids)
    await sameBlocks(go, linkSystem, cids)
  })

  it('is refused, and let in by another publisher', async () => {
    await using setup = await start()
    const { go, node, linkSystem, calls, blockHook } = setup
    const { cids } = await go.call('chain', { count: 3, list: true })
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { topic, blockHook })
    await rejects(subscriber.sync(await publish(go, [])), { name: 'TransferRejectedError' })
    deepEqual(calls, [])

    await using other = await GoPeer.start('v040', { seed: SEED + 1 })
    await other.call('chain', { count: 3 })
    await subscriber.sync(await publish(other, [node.peerId.toString()]))
    deepEqual(calls, cids)
  })

  it('outlives a publisher that is killed in the middle and comes back', async () => {
    await using setup = await start()
    const { go, node, linkSystem, calls, blockHook, reached } = setup
    const { cids } = await go.call('chain', { count: 30, payload: 500, list: true })
    const publisher = await publish(go)
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { topic, blockHook, stallTimeout: STALL })
    await go.call('hold', { after: 10 })
    const first = subscriber.sync(publisher).then(() => undefined, error => error)
    await reached(10)
    await go.kill('SIGKILL')

    await using again = await GoPeer.start('v040', { seed: SEED, listen: go.addrs })
    await again.call('chain', { count: 30, payload: 500 })
    const { id, multiaddrs } = await publish(again)
    deepEqual([id, multiaddrs].map(String), [publisher.id, publisher.multiaddrs].map(String))
    const error = await first // it may fail, or go on by itself
    if (error != null) {
      deepEqual(calls, cids.slice(0, 10))
      calls.length = 0
      await subscriber.sync(publisher)
    }
    deepEqual(calls, cids)
    await sameBlocks(again, linkSystem, cids)
    equal((await subscriber.getLatestSync(publisher.id))?.toString(), cids[0])
  })

  it('gives up on a publisher that is frozen in the middle, and syncs once it goes on', async () => {
    await using setup = await start()
    const { go, node, linkSystem, blockHook } = setup
    const { cids } = await go.call('chain', { count: 30, list: true })
    const publisher = await publish(go)
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { topic, blockHook, stallTimeout: STALL })
    await givesUpOnFrozen(go, publisher, subscriber, setup, cids)
  })

  it('gives up on a frozen publisher whose head it asks for', async () => {
    await using setup = await start()
    const { go, node, linkSystem } = setup
    await go.call('chain', { count: 3 })
    const publisher = await publish(go)
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { topic, stallTimeout: STALL })
    await subscriber.sync(publisher)
    const begin = performance.now()
    await go.kill('SIGSTOP')
    await rejects(subscriber.sync(publisher))
    ok(performance.now() - begin < IN_TIME)
  })

  it('can be aborted in the middle, and synced again at once', async () => {
    await using setup = await start()
    const { go, node, linkSystem, blockHook } = setup
    const { cids } = await go.call('chain', { count: 50, payload: 500, list: true })
    const publisher = await publish(go)
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { topic, blockHook })
    await syncsAfterAbort(go, publisher, subscriber, setup, cids)
  })

  it('syncs a chain that takes several pulls, and advertisements with their entries as far down', async () => {
    await using setup = await start()
    const { go, node, linkSystem, calls, blockHook } = setup
    const { cids } = await go.call('chain', { count: 2_500, list: true })
    const publisher = await publish(go)
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { topic, blockHook })
    await subscriber.sync(publisher)
    deepEqual(calls, cids)

    calls.length = 0
    const ads = await go.call('chain', { count: 1_100, seed: 2, kind: 'ad', entries: 1 })
    await subscriber.sync(publisher, { resync: true })
    const inOrder: string[] = []
    const everything = parseSelector(dagsyncSelector(recursionLimitNone))
    for await (const { cid } of walk(CID.parse(ads.head), everything, cid => readBlock(linkSystem.blockstore, cid))) { inOrder.push(`${cid}`) }
    deepEqual(calls, inOrder)
    equal(calls.length, 2_200 + 2_500)
  })

  it('syncs 50 parts at once, and one part 50 times at once', async () => {
    await using setup = await start()
    const { go, node, linkSystem } = setup
    const { cids } = await go.call('chain', { count: 200, payload: 2_000, list: true })
    const publisher = await publish(go)
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { topic })
    await syncsPartsAtOnce(go, publisher, subscriber, linkSystem, cids)
  })

  it('syncs for 50 subscribers of one node at once', async () => {
    await using setup = await start()
    const { go, node } = setup
    const { cids } = await go.call('chain', { count: 50, list: true })
    const publisher = await publish(go)
    const synced = await Promise.all(Array.from({ length: 50 }, async () => {
      const { linkSystem, calls, blockHook } = recorder() // a store for each: the node and its exchange are shared
      await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { topic, blockHook })
      await subscriber.sync(publisher)
      await sameBlocks(go, linkSystem, cids)
      return calls
    }))
    for (const calls of synced) { deepEqual(calls, cids) }
  })

  it('syncs blocks of 1 byte to 3.5 MiB', async () => {
    await using setup = await start()
    const { go, node, linkSystem, calls, blockHook } = setup
    const source = createLinkSystem()
    const cids = (await storeSizes(source, [1, 2, 1_000, 65_535, 65_536, 262_144, MIB, 2 * MIB, 3.5 * MIB])).map(String)
    for (const block of await blocksOf(source, cids)) { await go.call('put', block) }
    const publisher = await publish(go)
    await go.call('setRoot', { cid: cids[0] })
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { topic, blockHook })
    await subscriber.sync(publisher)
    deepEqual(calls, cids)
    await sameBlocks(go, linkSystem, cids)
  })

  it('follows gossip announces', async () => {
    await using setup = await start()
    const { go, node, linkSystem, calls, blockHook } = setup
    await go.call('gossip', { topic })
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, { topic, receiver: {}, blockHook })
    const finished = finishedOf(subscriber)
    const first = await go.call('chain', { count: 5, list: true })
    const publisher = await publish(go)
    await go.call('connect', { addrs: node.getMultiaddrs().map(String) })
    deepEqual(await go.call('gossipPeers', { count: 1 }), [node.peerId.toString()])

    await go.call('announce', { via: 'gossip' })
    const { cid, peerId, count, error } = await finished()
    deepEqual([cid.toString(), peerId.toString(), count, error], [first.head, go.peerId, 5, undefined])
    deepEqual(calls, first.cids)

    const second = await go.call('chain', { count: 2, seed: 1, list: true })
    await go.call('announce', { via: 'gossip' })
    equal((await finished()).count, 2)
    deepEqual(calls.slice(5), second.cids)
    equal((await subscriber.getLatestSync(publisher.id))?.toString(), second.head)
    await sameBlocks(go, linkSystem, [...second.cids, ...first.cids])
  })

  it('syncs advertisements, and the entries of each from within the hook', async () => {
    await using setup = await start()
    const { go, node, linkSystem, calls, blockHook } = setup
    const { cids, entries } = await go.call('chain', { count: 5, kind: 'ad', entries: 3, payload: 50, list: true })
    const publisher = await publish(go)
    const chunks: string[] = []
    await using subscriber = await createSubscriber({ libp2p: node, linkSystem }, {
      topic,
      defaultSelectorSequence: { f: { 'f>': { PreviousID: { '@': {} } } } },
      blockHook: async (peerId, cid) => {
        blockHook(peerId, cid)
        const { Entries } = await linkSystem.load<{ Entries: CID }>(cid)
        await subscriber.sync(publisher, {
          cid: Entries,
          selector: dagsyncSelector(recursionLimitNone),
          blockHook: (_, chunk) => { chunks.push(chunk.toString()) }
        })
      }
    })
    await subscriber.sync(publisher)
    deepEqual(calls, cids)
    deepEqual(chunks.toSorted(), entries.toSorted())
    await sameBlocks(go, linkSystem, [...cids, ...entries])
  })
})
