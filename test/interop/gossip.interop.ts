import { deepEqual, equal } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { createPublisher, createSubscriber } from '../../src/index.ts'
import { createNode } from '../../src/testing/node.ts'
import { chain } from '../../src/testing/index.ts'
import { httpSender } from '../../src/announce/index.ts'
import { goVersions } from './go-build.ts'
import { GoPeer } from './go-peer.ts'
import { addressOf, finishedOf, infoOf, recorder, subscribed } from './support.ts'
import type { Libp2p, PrivateKey } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'

const TOPIC = '/indexer/ingest/interop'

/** Connects the Go peer to our node, once both are on the topic. */
async function join (go: GoPeer, node: Libp2p): Promise<void> {
  await go.call('connect', { addrs: node.getMultiaddrs().map(String) })
}

async function withNode (privateKey: PrivateKey | undefined, use: (node: Libp2p) => Promise<void>): Promise<void> {
  const node = await createNode(privateKey)
  try {
    await use(node)
  } finally {
    await node.stop()
  }
}

for (const version of goVersions) {
  describe(`gossip announces with Go ${version}`, () => {
    it('our subscriber follows a Go publisher', async () => {
      await withNode(undefined, async node => {
        await using go = await GoPeer.start(version)
        await go.call('gossip', { topic: TOPIC })
        const { linkSystem, calls, blockHook } = recorder()
        await using subscriber = await createSubscriber({ linkSystem, libp2p: node }, { topic: TOPIC, receiver: {}, blockHook })
        const finished = finishedOf(subscriber)
        const first = await go.call('chain', { count: 5, list: true })
        const publisher = infoOf(await go.call('publisher', {}))
        await join(go, node)
        deepEqual(await go.call('gossipPeers', { count: 1 }), [node.peerId.toString()])

        await go.call('announce', { via: 'gossip' })
        const { cid, peerId, count, error } = await finished()
        deepEqual([cid.toString(), peerId.toString(), count, error], [first.head, go.peerId, 5, undefined])
        deepEqual(calls, first.cids)

        const second = await go.call('chain', { count: 2, list: true })
        await go.call('announce', { via: 'gossip', extraData: Buffer.from('extra').toString('base64') })
        equal((await finished()).count, 2)
        deepEqual(calls.slice(5), second.cids)
        equal((await subscriber.getLatestSync(publisher.id))?.toString(), second.head)
      })
    })

    it('a Go subscriber follows our publisher', async () => {
      const privateKey = await generateKeyPair('Ed25519')
      await withNode(privateKey, async node => {
        await using go = await GoPeer.start(version)
        await go.call('gossip', { topic: TOPIC })
        await go.call('subscriber', { topic: TOPIC, receive: true })
        const { linkSystem } = recorder()
        const [first] = await chain(linkSystem, 5)
        await using publisher = await createPublisher(
          { linkSystem, libp2p: node, privateKey }, { topic: TOPIC, root: first, http: { listen: '127.0.0.1:0' } })
        await join(go, node)
        await subscribed(node, TOPIC, go.peerId)

        const [{ recipients }] = await publisher.announce()
        equal(recipients, 1)
        const event = await go.event('syncFinished')
        deepEqual([event.cid, event.peerId, event.count, event.error], [first.toString(), publisher.id.toString(), 5, undefined])

        const cids = await chain(linkSystem, 2, { previous: first, index: 5 })
        await publisher.updateRoot(cids[0])
        equal((await go.event('syncFinished')).count, 2)
        deepEqual((await go.call('hooks', {})).cids.slice(-2), cids.map(String))
        equal(await go.call('latest', { peerId: publisher.id.toString() }), cids[0].toString())
      })
    })

    it('a Go subscriber follows our publisher from node to node of one identity, whatever serves the blocks', async () => {
      const privateKey = await generateKeyPair('Ed25519')
      const { linkSystem } = recorder()
      await using go = await GoPeer.start(version)
      await go.call('gossip', { topic: TOPIC })
      await go.call('subscriber', { topic: TOPIC, receive: true })
      const ports = new Set<string>()
      let root: CID | undefined
      for (const http of [false, { listen: '127.0.0.1:0' }, false] as const) {
        await withNode(privateKey, async node => {
          await using publisher = await createPublisher({ linkSystem, libp2p: node, privateKey }, { topic: TOPIC, root, http })
          ports.add(node.getMultiaddrs().join())
          await join(go, node)
          await subscribed(node, TOPIC, go.peerId)
          root = (await chain(linkSystem, 3, { previous: root }))[0]
          await publisher.updateRoot(root)
          const event = await go.event('syncFinished')
          deepEqual([event.cid, event.peerId, event.count, event.error], [root.toString(), publisher.id.toString(), 3, undefined])
        })
      }
      equal(ports.size, 3)
    })

    for (const trusted of [false, true]) {
      it(`our subscriber hears of a publisher by a ${trusted ? 'trusted ' : ''}Go relay`, async () => {
        const { linkSystem: source } = recorder()
        const [root] = await chain(source, 3)
        await using relay = await GoPeer.start(version)
        await relay.call('gossip', { topic: TOPIC })
        await relay.call('subscriber', { topic: TOPIC, receive: true, resend: true })
        const { url } = await relay.call('announceServer', {})
        const privateKey = await generateKeyPair('Ed25519')
        await using publisher = await createPublisher({ linkSystem: source, privateKey }, { root, http: { listen: '127.0.0.1:0' } })

        await withNode(undefined, async node => {
          const trustedRelays = trusted ? [infoOf(relay).id] : []
          await using subscriber = await createSubscriber({ ...recorder(), libp2p: node }, { topic: TOPIC, receiver: { trustedRelays } })
          const finished = finishedOf(subscriber)
          await join(relay, node)
          await relay.call('gossipPeers', { count: 1 })
          await httpSender({ urls: [url], peerId: publisher.id }).send({ cid: root, addrs: publisher.addrs().map(addr => addr.bytes) })

          const { cid, peerId, count, error } = await finished()
          deepEqual([cid.toString(), peerId.toString(), count, error], [root.toString(), publisher.id.toString(), 3, undefined])
          equal((await relay.event('syncFinished')).count, 3)
        })
      })
    }

    it('a Go subscriber hears of a publisher by our relay', async () => {
      const { linkSystem: source } = recorder()
      const [root] = await chain(source, 3)
      const privateKey = await generateKeyPair('Ed25519')
      await using publisher = await createPublisher({ linkSystem: source, privateKey }, { root, http: { listen: '127.0.0.1:0' } })
      await using go = await GoPeer.start(version)
      await go.call('gossip', { topic: TOPIC })
      await go.call('subscriber', { topic: TOPIC, receive: true })

      await withNode(undefined, async node => {
        await using relay = await createSubscriber({ ...recorder(), libp2p: node }, { topic: TOPIC, receiver: { resend: true } })
        const finished = finishedOf(relay)
        await join(go, node)
        await subscribed(node, TOPIC, go.peerId)
        await relay.announce(root, infoOf(addressOf(publisher)))
        const event = await go.event('syncFinished')
        deepEqual([event.cid, event.peerId, event.count, event.error], [root.toString(), publisher.id.toString(), 3, undefined])
        equal((await finished()).count, 3)
      })
    })
  })
}
