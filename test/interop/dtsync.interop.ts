import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Libp2p } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { createLinkSystem, createPublisher, createSubscriber } from '../../src/index.ts'
import type { LinkSystem } from '../../src/index.ts'
import type { Publisher } from '../../src/publisher/publisher.ts'
import type { Subscriber } from '../../src/subscriber/subscriber.ts'
import { createNode } from '../../src/testing/node.ts'
import { GoPeer } from './go-peer.ts'
import type { PublisherAddress } from './go-peer.ts'
import { addressOf, DTSYNC_TOPIC as topic, infoOf, recorder, subscribed } from './support.ts'

interface Ours extends AsyncDisposable { node: Libp2p, linkSystem: LinkSystem, calls: string[], subscriber: Subscriber }

async function ourSubscriber (): Promise<Ours> {
  const { linkSystem, calls, blockHook } = recorder()
  const node = await createNode()
  const subscriber = await createSubscriber({ libp2p: node, linkSystem }, { topic, blockHook })
  const stop = async (): Promise<void> => { await subscriber.stop(); await node.stop() }
  return { node, linkSystem, calls, subscriber, [Symbol.asyncDispose]: stop }
}

interface OurPublisher extends AsyncDisposable { node: Libp2p, linkSystem: LinkSystem, publisher: Publisher, address: PublisherAddress }

async function ourPublisher (): Promise<OurPublisher> {
  const privateKey = await generateKeyPair('Ed25519')
  const node = await createNode(privateKey)
  const linkSystem = createLinkSystem()
  const publisher = await createPublisher({ libp2p: node, linkSystem, privateKey }, { topic })
  const stop = async (): Promise<void> => { await publisher.stop(); await node.stop() }
  return { node, linkSystem, publisher, address: addressOf(publisher), [Symbol.asyncDispose]: stop }
}

const serve = async (go: GoPeer): Promise<PublisherAddress> => await go.call('publisher', { transport: 'dtsync', topic })

describe('our subscriber from a Go v0.4.0 publisher, over dtsync, with the default limits', () => {
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
    ok(performance.now() - begin < 25_000, 'with room for a slow machine')
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
    ok(performance.now() - begin < 25_000, 'with room for a slow machine')
  })
})

describe('Go v0.4.0 subscriber from our publisher, over dtsync', () => {
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
