import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import * as dagCbor from '@ipld/dag-cbor'
import type { Libp2p } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'
import { createLinkSystem, createPublisher, createSubscriber } from '../../src/index.ts'
import type { BlockHook, LinkSystem, PublisherInit, SubscriberInit } from '../../src/index.ts'
import type { Publisher } from '../../src/publisher/publisher.ts'
import type { Subscriber } from '../../src/subscriber/subscriber.ts'
import { chain } from '../../src/testing/index.ts'
import { createNode } from '../../src/testing/node.ts'
import { dagsyncSelector, recursionLimitNone } from '../../src/traversal/index.ts'
import { GoPeer } from './go-peer.ts'
import type { PublisherAddress } from './go-peer.ts'
import { addressOf, copyBlocks, DTSYNC_TOPIC as topic, finishedOf, infoOf, recorder, sameBlocks, subscribed } from './support.ts'

interface Ours extends AsyncDisposable { node: Libp2p, linkSystem: LinkSystem, calls: string[], subscriber: Subscriber }

async function ourSubscriber (init: SubscriberInit = {}, hook?: (linkSystem: LinkSystem, calls: string[]) => BlockHook): Promise<Ours> {
  const { linkSystem, calls, blockHook } = recorder()
  const node = await createNode()
  const subscriber = await createSubscriber({ libp2p: node, linkSystem }, {
    topic, blockHook: hook?.(linkSystem, calls) ?? blockHook, ...init
  })
  const stop = async (): Promise<void> => { await subscriber.stop(); await node.stop() }
  return { node, linkSystem, calls, subscriber, [Symbol.asyncDispose]: stop }
}

interface OurPublisher extends AsyncDisposable { node: Libp2p, linkSystem: LinkSystem, publisher: Publisher, address: PublisherAddress }

async function ourPublisher (init: PublisherInit = {}): Promise<OurPublisher> {
  const privateKey = await generateKeyPair('Ed25519')
  const node = await createNode(privateKey)
  const linkSystem = createLinkSystem()
  const publisher = await createPublisher({ libp2p: node, linkSystem, privateKey }, { topic, ...init })
  const stop = async (): Promise<void> => { await publisher.stop(); await node.stop() }
  return { node, linkSystem, publisher, address: addressOf(publisher), [Symbol.asyncDispose]: stop }
}

const serve = async (go: GoPeer, allow?: string[]): Promise<PublisherAddress> => await go.call('publisher', { transport: 'dtsync', topic, allow })

describe('our subscriber from a Go v0.4.0 publisher, over dtsync', () => {
  it('syncs a chain of 2,000, then what is new; the bytes are the same', async () => {
    await using go = await GoPeer.start('v040', { seed: 1 })
    await using ours = await ourSubscriber()
    const first = await go.call('chain', { count: 2_000, payload: 500, list: true })
    const info = infoOf(await serve(go))
    equal(String(await ours.subscriber.sync(info)), first.head)
    deepEqual(ours.calls, first.cids)
    await sameBlocks(go, ours.linkSystem, first.cids.slice(0, 50))
    ours.calls.length = 0
    const second = await go.call('chain', { count: 4, seed: 1, list: true })
    equal(String(await ours.subscriber.sync(info)), second.head)
    deepEqual(ours.calls, second.cids)
    await go.call('setRoot', {})
    equal(await ours.subscriber.sync(info), undefined)
  })

  for (const codec of ['dag-json', 'dag-cbor'] as const) {
    it(`syncs ${codec} in segments, up to a stop link`, async () => {
      await using go = await GoPeer.start('v040', { seed: 1 })
      await using ours = await ourSubscriber({ segmentDepthLimit: 3 }, (linkSystem, calls) => async (_peer, cid, actions) => {
        calls.push(String(cid))
        actions.setNextSyncCid((await linkSystem.load(cid)).PreviousID)
      })
      const { cids } = await go.call('chain', { count: 11, codec, list: true })
      const info = infoOf(await serve(go))
      await ours.subscriber.setLatestSync(info.id, CID.parse(cids[10]))
      await ours.subscriber.sync(info)
      deepEqual(ours.calls, cids.slice(0, 10))
    })
  }

  it('syncs blocks of 1 byte of payload to 3.5 MiB', async () => {
    await using go = await GoPeer.start('v040', { seed: 1 })
    await using ours = await ourSubscriber()
    const cids: string[] = []
    for (const payload of [1, 1_000, 262_144, 1_048_576, 3_669_000]) {
      cids.unshift(...(await go.call('chain', { count: 1, payload, codec: 'dag-cbor', list: true })).cids)
    }
    await ours.subscriber.sync(infoOf(await serve(go)))
    deepEqual(ours.calls, cids)
    await sameBlocks(go, ours.linkSystem, cids)
  })

  it('fetches what it lacks, and is told what the publisher lacks', async () => {
    await using go = await GoPeer.start('v040', { seed: 1 })
    await using ours = await ourSubscriber()
    const { cids } = await go.call('chain', { count: 8, list: true })
    await copyBlocks(go, ours.linkSystem, cids.slice(0, 3))
    const info = infoOf(await serve(go))
    await go.call('drop', { cids: [cids[5]] })
    await rejects(ours.subscriber.sync(info), ({ name, cid }: any) => name === 'ContentNotFoundError' && String(cid) === cids[5])
    deepEqual(ours.calls, cids.slice(0, 5))
    await go.call('drop', { cids: [cids[6]] })
    await rejects(ours.subscriber.sync(info, { cid: CID.parse(cids[6]) }), { name: 'ContentNotFoundError' })
    equal(await ours.subscriber.getLatestSync(info.id), undefined)
  })

  it('is rejected', async () => {
    await using go = await GoPeer.start('v040', { seed: 1 })
    await using ours = await ourSubscriber()
    await go.call('chain', { count: 3 })
    await rejects(ours.subscriber.sync(infoOf(await serve(go, []))), { name: 'TransferRejectedError' })
  })

  it('aborted in the middle, and synced again at once: the hook is called once for each block', async () => {
    await using go = await GoPeer.start('v040', { seed: 1 })
    await using ours = await ourSubscriber()
    const { cids } = await go.call('chain', { count: 500, list: true })
    const info = infoOf(await serve(go))
    const controller = new AbortController()
    let calls = 0
    await rejects(ours.subscriber.sync(info, {
      signal: controller.signal, blockHook: () => { if (++calls === 7) { controller.abort(new Error('enough')) } }
    }), /enough/)
    await ours.subscriber.sync(info)
    equal(calls, 7)
    deepEqual(ours.calls, cids)
  })

  it('50 syncs at once', async () => {
    await using go = await GoPeer.start('v040', { seed: 1 })
    await using ours = await ourSubscriber()
    const { cids } = await go.call('chain', { count: 50, list: true })
    const info = infoOf(await serve(go))
    const counts = await Promise.all(cids.map(async cid => {
      let count = 0
      const selector = dagsyncSelector(recursionLimitNone)
      await ours.subscriber.sync(info, { cid: CID.parse(cid), selector, blockHook: () => { count++ } })
      return count
    }))
    deepEqual(counts, cids.map((_, i) => 50 - i))
  })

  it('follows gossip announces', async () => {
    await using go = await GoPeer.start('v040', { seed: 1 })
    await using ours = await ourSubscriber({ receiver: {} })
    const finished = finishedOf(ours.subscriber)
    await go.call('gossip', { topic })
    const { cids } = await go.call('chain', { count: 5, list: true })
    await serve(go)
    await ours.node.dial(multiaddr(`${go.addrs[0]}/p2p/${go.peerId}`))
    await go.call('gossipPeers', { count: 1 })
    await go.call('announce', { via: 'gossip' })
    const { cid, count, error } = await finished()
    deepEqual([String(cid), count, error], [cids[0], 5, undefined])
  })

  it('killed in the middle: ends with an error within 30 s; started again: is resumed, each hook call once', async () => {
    const killed = await GoPeer.start('v040', { seed: 1 })
    await using ours = await ourSubscriber()
    const { cids } = await killed.call('chain', { count: 20, seed: 7, list: true })
    const info = infoOf(await serve(killed))
    await killed.call('hold', { after: 5 })
    const first = ours.subscriber.sync(info).then(() => undefined, error => error)
    await killed.event('held')
    const begin = performance.now()
    await killed.kill('SIGKILL')
    const error = await first
    ok(performance.now() - begin < 30_000)
    equal(error.name, 'TransferFailedError')
    equal(await ours.subscriber.getLatestSync(info.id), undefined)

    const blocks = [...cids]
    await using again = await GoPeer.start('v040', { seed: 1, listen: killed.addrs })
    equal((await again.call('chain', { count: 20, seed: 7, list: true })).cids.join(), blocks.join(), 'the same chain')
    await serve(again)
    await again.call('hold', { after: 8 })
    ours.calls.length = 0
    const second = ours.subscriber.sync(info)
    await again.event('held')
    await again.kill('SIGKILL')
    await using third = await GoPeer.start('v040', { seed: 1, listen: killed.addrs })
    await third.call('chain', { count: 20, seed: 7, list: true })
    await serve(third)
    await second
    deepEqual(ours.calls, cids)
  })

  it('frozen in the middle: ends with an error within 30 s', async () => {
    await using go = await GoPeer.start('v040', { seed: 1 })
    await using ours = await ourSubscriber()
    await go.call('chain', { count: 20 })
    const info = infoOf(await serve(go))
    await go.call('hold', { after: 5 })
    const syncing = ours.subscriber.sync(info).then(() => undefined, error => error)
    await go.event('held')
    const begin = performance.now()
    await go.kill('SIGSTOP')
    equal((await syncing)?.name, 'TransferFailedError')
    ok(performance.now() - begin < 30_000)
  })
})

describe('Go v0.4.0 subscriber from our publisher, over dtsync', () => {
  it('syncs a chain of 2,000, then what is new; the bytes are the same', async () => {
    await using go = await GoPeer.start('v040', { seed: 2 })
    await using ours = await ourPublisher()
    const cids = await chain(ours.linkSystem, 2_000, { payload: 500 })
    await ours.publisher.setRoot(cids[0])
    await go.call('subscriber', { topic })
    const full = await go.call('sync', ours.address)
    deepEqual([full.cid, full.cids], [String(cids[0]), cids.map(String)])
    await sameBlocks(go, ours.linkSystem, full.cids.slice(0, 50))
    const root = await ours.linkSystem.store({ PreviousID: cids[0] })
    await ours.publisher.setRoot(root)
    deepEqual((await go.call('sync', ours.address)).cids, [String(root)])
  })

  it('syncs in segments, dag-cbor, and blocks up to 3.5 MiB', async () => {
    await using go = await GoPeer.start('v040', { seed: 2 })
    await using ours = await ourPublisher()
    await go.call('subscriber', { topic, segmentDepthLimit: 3 })
    const cids: CID[] = []
    for (const [i, size] of [1, 1_000, 262_144, 1_048_576, 3_669_000, 5, 6, 7].entries()) {
      const node = { Index: i, Payload: new Uint8Array(size).fill(i), ...(cids[0] == null ? {} : { PreviousID: cids[0] }) }
      cids.unshift(await ours.linkSystem.store(node, { codec: dagCbor }))
    }
    await ours.publisher.setRoot(cids[0])
    const synced = await go.call('sync', ours.address)
    deepEqual(synced.cids, cids.map(String))
    await sameBlocks(go, ours.linkSystem, synced.cids)
  })

  it('rejects it, and says what is not there', async () => {
    await using go = await GoPeer.start('v040', { seed: 2 })
    await using ours = await ourPublisher({ dtsync: { allowPeer: () => false } })
    await using other = await ourPublisher()
    const cids = await chain(ours.linkSystem, 3)
    await ours.publisher.setRoot(cids[0])
    await go.call('subscriber', { topic })
    await rejects(go.call('sync', ours.address), /response rejected/)
    const more = await chain(other.linkSystem, 6)
    await other.linkSystem.blockstore.delete(more[3])
    await other.publisher.setRoot(more[0])
    await rejects(go.call('sync', other.address), new RegExp(`missing block \\(${more[3]}\\)`))
    await rejects(go.call('sync', { ...other.address, cid: String(more[3]) }), /content not found/)
  })

  it('follows gossip announces, 100 times on one connection', async () => {
    await using go = await GoPeer.start('v040', { seed: 2 })
    await using ours = await ourPublisher()
    const peer = { peerId: String(ours.node.peerId), addrs: ours.address.addrs }
    await go.call('gossip', { topic })
    await go.call('subscriber', { topic, receive: true })
    await go.call('connect', peer)
    await subscribed(ours.node, topic, go.peerId)
    let root: CID | undefined
    for (let i = 0; i < 100; i++) {
      root = await ours.linkSystem.store({ Index: i, ...(root == null ? {} : { PreviousID: root }) })
      if (i === 0) {
        await ours.publisher.updateRoot(root)
        deepEqual([(await go.event('syncFinished')).cid], [String(root)])
      } else {
        await ours.publisher.setRoot(root)
        deepEqual((await go.call('sync', ours.address)).cids, [String(root)])
      }
    }
  })
})
