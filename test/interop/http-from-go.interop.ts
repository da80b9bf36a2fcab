import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { peerIdFromString } from '@libp2p/peer-id'
import { CID } from 'multiformats/cid'
import { createSubscriber } from '../../src/index.ts'
import { exploreFields, exploreRecursiveEdge, exploreRecursiveWithStop, recursionLimitNone } from '../../src/traversal/index.ts'
import { goVersions } from './go-build.ts'
import { GoPeer } from './go-peer.ts'
import { copyBlocks, finishedOf, hasBlocks, infoOf, recorder, sameBlocks } from './support.ts'
import { syncsWhole } from './syncs.ts'
import type { SegmentSyncActions } from '../../src/index.ts'

const OTHER_PEER = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'
const PREVIOUS = exploreFields({ PreviousID: exploreRecursiveEdge() })
const NEXT = exploreFields({ Next: exploreRecursiveEdge() })

for (const version of goVersions) {
  describe(`our subscriber, a publisher of Go ${version} over plain HTTP`, () => {
    it('syncs the whole chain, newest first', async () => {
      await using go = await GoPeer.start(version)
      const { cids, head } = await go.call('chain', { count: 30, payload: 500, list: true })
      const publisher = infoOf(await go.call('publisher', {}))
      const record = recorder()
      await using subscriber = await createSubscriber({ linkSystem: record.linkSystem }, { blockHook: record.blockHook })
      equal(cids.length, 30)
      await syncsWhole(go, publisher, subscriber, record, { cids, head })
    })

    it('syncs only what is new', async () => {
      await using go = await GoPeer.start(version)
      await go.call('chain', { count: 10 })
      const publisher = infoOf(await go.call('publisher', {}))
      const { linkSystem, calls, blockHook } = recorder()
      await using subscriber = await createSubscriber({ linkSystem }, { blockHook })
      const finished = finishedOf(subscriber)
      await subscriber.sync(publisher)
      equal((await finished()).count, 10)

      calls.length = 0
      const { cids, head } = await go.call('chain', { count: 4, list: true })
      equal((await subscriber.sync(publisher.id))?.toString(), head) // the address is known by now
      deepEqual(calls, cids)
      equal((await finished()).count, 4)
      await subscriber.sync(publisher)
      equal((await finished()).count, 0)
      equal((await subscriber.getLatestSync(publisher.id))?.toString(), head)
    })

    it('stops at the latest sync that it was told of', async () => {
      await using go = await GoPeer.start(version)
      const { cids } = await go.call('chain', { count: 10, list: true })
      const publisher = infoOf(await go.call('publisher', {}))
      const { linkSystem, calls, blockHook } = recorder()
      await using subscriber = await createSubscriber({ linkSystem }, { blockHook })
      await subscriber.setLatestSync(publisher.id, CID.parse(cids[6]))
      await subscriber.sync(publisher)
      deepEqual(calls, cids.slice(0, 6))
      deepEqual(await hasBlocks(linkSystem, cids), cids.map((_, i) => i < 6))
    })

    it('syncs in segments', async () => {
      await using go = await GoPeer.start(version)
      const { cids } = await go.call('chain', { count: 11, list: true })
      const publisher = infoOf(await go.call('publisher', {}))
      const { linkSystem, calls, blockHook } = recorder()
      const segments: number[] = []
      await using subscriber = await createSubscriber({ linkSystem }, {
        segmentDepthLimit: 3,
        blockHook: async (peerId, cid, actions: SegmentSyncActions) => {
          blockHook(peerId, cid)
          actions.setNextSyncCid((await linkSystem.load<{ PreviousID?: CID }>(cid)).PreviousID)
        }
      })
      const finished = finishedOf(subscriber)
      await subscriber.sync(publisher, { onProgress: event => { if (event.type === 'dagsync:segment') { segments.push(calls.length) } } })
      deepEqual(calls, cids)
      ok(segments.length >= 3, `${segments.length} segments`)
      equal((await finished()).count, 11)
      equal((await subscriber.getLatestSync(publisher.id))?.toString(), cids[0])
    })

    it('fetches only the blocks that are not stored', async () => {
      await using go = await GoPeer.start(version)
      const { cids } = await go.call('chain', { count: 9, list: true })
      const publisher = infoOf(await go.call('publisher', {}))
      const { linkSystem, calls, blockHook } = recorder()
      const local = [cids[0], cids[3], cids[4], cids[8]]
      await copyBlocks(go, linkSystem, local)
      await go.call('drop', { cids: local })
      const seen: string[] = []
      await using subscriber = await createSubscriber({ linkSystem }, { blockHook })
      await subscriber.sync(publisher, {
        onProgress: event => { if (event.type === 'dagsync:block' && event.detail.local) { seen.push(event.detail.cid.toString()) } }
      })
      deepEqual(calls, cids)
      deepEqual(seen, local)
    })

    it('fails at a block that the publisher lacks, and goes on once it is there', async () => {
      await using go = await GoPeer.start(version)
      const { cids } = await go.call('chain', { count: 8, list: true })
      const publisher = infoOf(await go.call('publisher', {}))
      const { linkSystem, calls, blockHook } = recorder()
      await using subscriber = await createSubscriber({ linkSystem }, { blockHook })
      const bytes = await go.call('get', { cid: cids[5] }) ?? ''
      await go.call('drop', { cids: [cids[5]] })
      await rejects(subscriber.sync(publisher), { name: 'ContentNotFoundError' })
      deepEqual(calls, cids.slice(0, 5))
      equal(await subscriber.getLatestSync(publisher.id), undefined)

      await go.call('put', { cid: cids[5], bytes })
      await subscriber.sync(publisher)
      await sameBlocks(go, linkSystem, cids)
    })

    it('fails with the status of a publisher that cannot read a block', async () => {
      await using go = await GoPeer.start(version)
      const { cids } = await go.call('chain', { count: 4, list: true })
      const publisher = infoOf(await go.call('publisher', {}))
      const { linkSystem } = recorder()
      await using subscriber = await createSubscriber({ linkSystem }, { httpRetry: false })
      await go.call('put', { cid: cids[2], bytes: await go.call('get', { cid: cids[3] }) ?? '' }) // its hash check fails
      await rejects(subscriber.sync(publisher), { name: 'HttpStatusError', status: 500 })
      deepEqual(await hasBlocks(linkSystem, cids), [true, true, false, false])
      equal(await subscriber.getLatestSync(publisher.id), undefined)
    })

    it('refuses a head that another peer signed', async () => {
      await using go = await GoPeer.start(version)
      await go.call('chain', { count: 1 })
      const { multiaddrs } = infoOf(await go.call('publisher', {}))
      const { linkSystem, calls, blockHook } = recorder()
      await using subscriber = await createSubscriber({ linkSystem }, { blockHook })
      await rejects(subscriber.sync({ id: peerIdFromString(OTHER_PEER), multiaddrs }), { name: 'UnexpectedSignerError' })
      deepEqual(calls, [])
    })

    it('takes 204 for a publisher without a head', async () => {
      await using go = await GoPeer.start(version)
      const publisher = infoOf(await go.call('publisher', {}))
      await using subscriber = await createSubscriber({ linkSystem: recorder().linkSystem })
      equal(await subscriber.sync(publisher), undefined)
    })

    for (const keyType of ['ed25519', 'secp256k1', 'rsa', 'ecdsa'] as const) {
      it(`verifies heads signed with ${keyType}, with and without a topic`, async () => {
        await using go = await GoPeer.start(version, { keyType })
        const { head } = await go.call('chain', { count: 2 })
        for (const headTopic of [undefined, '/indexer/ingest/test']) {
          const publisher = infoOf(await go.call('publisher', { headTopic }))
          equal(publisher.id.toString(), go.peerId)
          await using subscriber = await createSubscriber({ linkSystem: recorder().linkSystem })
          equal((await subscriber.sync(publisher))?.toString(), head)
          await go.call('closePublisher', {})
        }
      })
    }

    it('finds a publisher behind a path', async () => {
      await using go = await GoPeer.start(version)
      const { head } = await go.call('chain', { count: 3 })
      const address = await go.call('publisher', { handlerPath: 'foo/bar' })
      // v0.7.8 leaves the path out of Addrs() of a server of its own
      const addrs = address.addrs.map(addr => /path/.test(addr) ? addr : `${addr}/http-path/foo%2Fbar`)
      await using subscriber = await createSubscriber({ linkSystem: recorder().linkSystem })
      equal((await subscriber.sync(infoOf({ ...address, addrs })))?.toString(), head)
    })

    it('syncs IPNI advertisements, and the entries of each from within the hook', async () => {
      await using go = await GoPeer.start(version)
      const { cids, entries } = await go.call('chain', { count: 5, kind: 'ad', entries: 3, payload: 50, list: true })
      const publisher = infoOf(await go.call('publisher', {}))
      const { linkSystem, calls, blockHook } = recorder()
      const chunks: string[] = []
      await using subscriber = await createSubscriber({ linkSystem }, {
        defaultSelectorSequence: PREVIOUS,
        blockHook: async (peerId, cid) => {
          blockHook(peerId, cid)
          const { Entries } = await linkSystem.load<{ Entries: CID }>(cid)
          await subscriber.sync(publisher, {
            cid: Entries,
            selector: exploreRecursiveWithStop(recursionLimitNone, NEXT),
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
}
