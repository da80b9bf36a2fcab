import { deepEqual, equal, match, rejects } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { CID } from 'multiformats/cid'
import { createPublisher, createSubscriber } from '../../src/index.ts'
import { chain } from '../../src/testing/index.ts'
import { goVersions } from './go-build.ts'
import { GoPeer } from './go-peer.ts'
import { addressOf, bytesOf, infoOf, recorder, sameBlocks } from './support.ts'
import type { HttpPublisherInit, LinkSystem, Publisher } from '../../src/index.ts'

const texts = (cids: CID[]): string[] => cids.map(String)

async function publish (linkSystem: LinkSystem, root: CID | undefined, http: HttpPublisherInit = {}): Promise<Publisher> {
  return await createPublisher({ linkSystem, privateKey: await generateKeyPair('Ed25519') }, { root, http: { listen: '127.0.0.1:0', ...http } })
}

for (const version of goVersions) {
  describe(`our publisher over plain HTTP, a subscriber of Go ${version}`, () => {
    it('serves the whole chain', async () => {
      const { linkSystem } = recorder()
      const cids = texts(await chain(linkSystem, 30, { payload: 500 }))
      await using publisher = await publish(linkSystem, CID.parse(cids[0]))
      await using go = await GoPeer.start(version)
      await go.call('subscriber', {})

      const synced = await go.call('sync', addressOf(publisher))
      deepEqual([synced.cid, synced.count, synced.cids], [cids[0], 30, cids])
      await sameBlocks(go, linkSystem, cids)
      equal(await go.call('latest', { peerId: publisher.id.toString() }), cids[0])
      const { cid, peerId, count, error } = await go.event('syncFinished')
      deepEqual([cid, peerId, count, error], [cids[0], publisher.id.toString(), 30, undefined])
    })

    it('serves only what is new', async () => {
      const { linkSystem } = recorder()
      const [first] = await chain(linkSystem, 10)
      await using publisher = await publish(linkSystem, first)
      await using go = await GoPeer.start(version)
      await go.call('subscriber', {})
      await go.call('sync', addressOf(publisher))

      const cids = await chain(linkSystem, 4, { previous: first, index: 10 })
      await publisher.setRoot(cids[0])
      const synced = await go.call('sync', addressOf(publisher))
      deepEqual([synced.count, synced.cids], [4, texts(cids)])
      equal((await go.call('has', { cids: [] })).blocks, 14)
    })

    it('is synced up to the latest sync that Go was told of', async () => {
      const { linkSystem } = recorder()
      const cids = texts(await chain(linkSystem, 10))
      await using publisher = await publish(linkSystem, CID.parse(cids[0]))
      await using go = await GoPeer.start(version)
      await go.call('subscriber', {})
      await go.call('setLatest', { peerId: publisher.id.toString(), cid: cids[6] })
      deepEqual((await go.call('sync', addressOf(publisher))).cids, cids.slice(0, 6))
      deepEqual((await go.call('has', { cids })).has, cids.map((_, i) => i < 6))
    })

    it('is synced in segments', async () => {
      const { linkSystem } = recorder()
      const cids = texts(await chain(linkSystem, 11))
      await using publisher = await publish(linkSystem, CID.parse(cids[0]))
      await using go = await GoPeer.start(version)
      await go.call('subscriber', { segmentDepthLimit: 3 })
      deepEqual((await go.call('sync', addressOf(publisher))).cids, cids)
      equal((await go.event('syncFinished')).count, 11)
    })

    it('is asked only for the blocks that Go lacks', async () => {
      const { linkSystem } = recorder()
      const cids = texts(await chain(linkSystem, 9))
      await using publisher = await publish(linkSystem, CID.parse(cids[0]))
      await using go = await GoPeer.start(version)
      await go.call('subscriber', {})
      for (const cid of [cids[0], cids[3], cids[8]]) {
        await go.call('put', { cid, bytes: (await bytesOf(linkSystem, cid)).toString('base64') })
        await linkSystem.blockstore.delete(CID.parse(cid))
      }
      deepEqual((await go.call('sync', addressOf(publisher))).cids, cids)
    })

    it('says so when it lacks a block', async () => {
      const { linkSystem } = recorder()
      const cids = texts(await chain(linkSystem, 8))
      await using publisher = await publish(linkSystem, CID.parse(cids[0]))
      await using go = await GoPeer.start(version)
      await go.call('subscriber', {})
      const bytes = await bytesOf(linkSystem, cids[5])
      await linkSystem.blockstore.delete(CID.parse(cids[5]))
      await rejects(go.call('sync', addressOf(publisher)), /content not found/)
      deepEqual((await go.call('has', { cids })).has, cids.map((_, i) => i < 5))
      equal(await go.call('latest', { peerId: publisher.id.toString() }), null)

      await linkSystem.put(CID.parse(cids[5]), bytes)
      deepEqual((await go.call('sync', addressOf(publisher))).cids, cids)
    })

    it('is refused under another peer id', async () => {
      const { linkSystem } = recorder()
      const [head] = await chain(linkSystem, 1)
      await using publisher = await publish(linkSystem, head)
      await using go = await GoPeer.start(version)
      await go.call('subscriber', {})
      const peerId = peerIdFromPrivateKey(await generateKeyPair('Ed25519')).toString()
      await rejects(go.call('sync', { ...addressOf(publisher), peerId }), /head signed (by|from) an unexpected peer/)
    })

    it('answers 204 without a head', async () => {
      await using publisher = await publish(recorder().linkSystem, undefined)
      await using go = await GoPeer.start(version)
      await go.call('subscriber', {})
      await rejects(go.call('sync', addressOf(publisher)), /ipni\/v1\/ad\/head: 204/)
    })

    for (const keyType of ['Ed25519', 'secp256k1', 'RSA'] as const) {
      it(`signs heads with ${keyType}, with and without a topic`, async () => {
        const { linkSystem } = recorder()
        const [root] = await chain(linkSystem, 2)
        const privateKey = await generateKeyPair(keyType as 'Ed25519')
        await using go = await GoPeer.start(version)
        await go.call('subscriber', {})
        for (const headTopic of [undefined, '/indexer/ingest/test']) {
          await using publisher = await createPublisher({ linkSystem, privateKey }, { root, http: { listen: '127.0.0.1:0', headTopic } })
          equal((await go.call('sync', { ...addressOf(publisher), resync: true })).cid, root.toString())
        }
      })
    }

    it('is found behind a path', async () => {
      const { linkSystem } = recorder()
      const [root] = await chain(linkSystem, 3)
      await using publisher = await publish(linkSystem, root, { handlerPath: 'foo/bar' })
      const { peerId, addrs: [addr] } = addressOf(publisher)
      match(addr, /path/)
      await using go = await GoPeer.start(version)
      await go.call('subscriber', {})
      // each version knows the path component of its own time
      const path = version === 'v040' ? 'httpath' : 'http-path'
      const addrs = [addr.replace(/\/http\/.*/, `/http/${path}/foo%2Fbar`)]
      equal((await go.call('sync', { peerId, addrs })).count, 3)
    })

    it('hands on the advertisements and entries that it got from Go', async () => {
      await using first = await GoPeer.start(version, { seed: 1 })
      const { cids, entries } = await first.call('chain', { count: 4, kind: 'ad', entries: 2, payload: 50, list: true })
      const { linkSystem, calls, blockHook } = recorder()
      await using subscriber = await createSubscriber({ linkSystem }, { blockHook })
      await subscriber.sync(infoOf(await first.call('publisher', {})))
      equal(calls.length, cids.length + entries.length) // all links are followed by default

      await using publisher = await publish(linkSystem, CID.parse(cids[0]))
      await using second = await GoPeer.start(version, { seed: 2 })
      await second.call('subscriber', {})
      deepEqual((await second.call('sync', addressOf(publisher))).cids, cids) // Go follows PreviousID alone
      const [newest] = entries.slice(-2) // of the newest advertisement
      deepEqual((await second.call('sync', { ...addressOf(publisher), entries: newest })).cids, entries.slice(-2))

      await using third = await GoPeer.start(version, { seed: 3 })
      await third.call('subscriber', { anySelector: true })
      deepEqual((await third.call('sync', addressOf(publisher))).cids, calls)
    })
  })
}
