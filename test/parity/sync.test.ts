// Cases of dagsync/sync_test.go (go-libipni v0.7.8, and v0.4.0 where it differs).
import { describe, it } from 'node:test'
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { multiaddr } from '@multiformats/multiaddr'
import type { CID } from 'multiformats/cid'
import type { SyncFinished } from '../../src/shared/types.ts'
import type { Publisher } from '../../src/publisher/publisher.ts'
import type { Subscriber } from '../../src/subscriber/subscriber.ts'
import { TestNet } from '../../src/testing/index.ts'
import { inTime, next, randomCid, recorder, rest } from '../support/hall.ts'
import { LOADS, mkChain } from '../support/mk-chain.ts'
import { gossipPublisher, gossipSubscriber, transports } from '../support/transports.ts'

type Events = AsyncGenerator<SyncFinished, void>

/** Sets the root, announces it over gossip and expects the sync. */
async function gossip (publisher: Publisher, subscriber: Subscriber, events: Events, cid: CID): Promise<SyncFinished> {
  await publisher.updateRoot(cid)
  return finished(publisher, subscriber, events, cid)
}

/** Sets the root, announces it directly and expects the sync. */
async function announce (
  publisher: Publisher, subscriber: Subscriber, events: Events, cid: CID, addrs = publisher.addrs()
): Promise<SyncFinished> {
  await publisher.setRoot(cid)
  await subscriber.announce(cid, { id: publisher.id, multiaddrs: addrs })
  return finished(publisher, subscriber, events, cid)
}

async function finished ({ id }: Publisher, subscriber: Subscriber, events: Events, cid: CID): Promise<SyncFinished> {
  const event = await next(events)
  equal(event.error, undefined)
  equal(`${event.cid}`, `${cid}`)
  equal(`${await subscriber.getLatestSync(id)}`, `${cid}`)
  return event
}

for (const transport of transports) {
  describe(`sync over ${transport.name}`, () => {
    it('TestLatestSyncSuccess: latest follows each announced head', async () => {
      await using net = new TestNet()
      const { publisher, linkSystem: source, node } = await gossipPublisher(transport, net)
      const { subscriber, linkSystem } = await gossipSubscriber(transport, net, [node])
      const events = subscriber.onSyncFinished()
      const [head, ch3, ch2] = await mkChain(source)
      equal((await gossip(publisher, subscriber, events, ch2)).count, LOADS.ch2)
      equal((await gossip(publisher, subscriber, events, ch3)).count, 2)
      equal((await gossip(publisher, subscriber, events, head)).count, 1)
      ok(await linkSystem.has(head))
    })

    it('TestSyncFn: an explicit CID syncs without moving latest, the head moves it', async () => {
      await using net = new TestNet()
      const { publisher, linkSystem: source, node, info, id } = await gossipPublisher(transport, net)
      const seen = recorder()
      const { subscriber, linkSystem } = await gossipSubscriber(transport, net, [node], { blockHook: seen.hook })
      const events = subscriber.onSyncFinished()
      const [head, ch3] = await mkChain(source)

      await rejects(subscriber.sync(info, { cid: await randomCid() }), { name: 'ContentNotFoundError' })
      equal(seen.cids.length, 0)

      ok((await subscriber.sync(info, { cid: ch3 }))?.equals(ch3))
      ok(await linkSystem.has(ch3))
      ok(seen.cids[0].equals(ch3))
      equal(seen.cids.length, LOADS.ch3)
      equal(await subscriber.getLatestSync(id), undefined)

      // the first event is that of the announce: none came of the two syncs before
      await gossip(publisher, subscriber, events, head)
      ok((await subscriber.sync(id))?.equals(head))
      ok((await subscriber.getLatestSync(id))?.equals(head))
      ok(await linkSystem.has(head))
    })

    it('TestPartialSync: a sync stops at latest, wherever that was set', async () => {
      await using net = new TestNet()
      const { publisher, linkSystem: source, node, id } = await gossipPublisher(transport, net)
      const { subscriber, linkSystem } = await gossipSubscriber(transport, net, [node])
      const events = subscriber.onSyncFinished()
      const [head, ch3, ch2, ch1] = await mkChain(source)
      await subscriber.setLatestSync(id, ch1)

      await gossip(publisher, subscriber, events, ch2)
      equal(await linkSystem.has(ch1), false)

      await subscriber.setLatestSync(id, ch3)
      ok((await subscriber.getLatestSync(id))?.equals(ch3))
      equal((await gossip(publisher, subscriber, events, head)).count, 1)
      equal(await linkSystem.has(ch3), false)
    })

    it('TestStepByStepSync: goes on from half a chain that is in the store', async () => {
      await using net = new TestNet()
      const { publisher, linkSystem: source, node } = await gossipPublisher(transport, net)
      const { subscriber, linkSystem } = await gossipSubscriber(transport, net, [node])
      const events = subscriber.onSyncFinished()
      const [head, ch3] = await mkChain(source)
      await mkChain(linkSystem, false)
      equal((await gossip(publisher, subscriber, events, ch3)).count, LOADS.ch3)
      equal((await gossip(publisher, subscriber, events, head)).count, 1)
    })

    it('TestLatestSyncFailure: a CID that the publisher has not gives one event with the error', async () => {
      await using net = new TestNet()
      const { publisher, id, info } = await transport.publisher(net)
      const { subscriber } = await transport.subscriber(net, { receiver: {} })
      const events = subscriber.onSyncFinished()
      const bad = await randomCid()
      await subscriber.announce(bad, info)
      const { cid, peerId, count, error } = await next(events)
      ok(cid.equals(bad))
      ok(peerId.equals(publisher.id))
      equal(count, 0)
      equal(error?.name, 'ContentNotFoundError')
      equal(await subscriber.getLatestSync(id), undefined)
    })

    it('TestLatestSyncFailure: the stop link is not passed, and announcing the synced head again does nothing', async () => {
      await using net = new TestNet()
      const { publisher, linkSystem: source, id, info } = await transport.publisher(net)
      const { subscriber } = await transport.subscriber(net, { receiver: {} })
      const events = subscriber.onSyncFinished()
      const [head, , ch2] = await mkChain(source)
      await subscriber.setLatestSync(id, ch2)
      equal((await announce(publisher, subscriber, events, head)).count, 3)
      await subscriber.announce(head, info)
      // what comes next is that of this publisher's next head
      const later = await source.store({ previous: head })
      await announce(publisher, subscriber, events, later)
      await subscriber.stop()
      deepEqual(await rest(events), [])
    })

    if (transport.isHttp) { // the book is of HTTP addresses; of the others libp2p has its own
      it('TestUpdatePeerstoreAddr: the addresses of a good sync replace the older ones', async () => {
        await using net = new TestNet()
        const { publisher, linkSystem: source, id } = await transport.publisher(net)
        const { subscriber } = await transport.subscriber(net, { receiver: {} })
        const events = subscriber.onSyncFinished()
        const [, ch3, ch2] = await mkChain(source)
        await announce(publisher, subscriber, events, ch2)
        deepEqual(subscriber.httpPeerStore.get(id).map(String), publisher.addrs().map(String))

        const moved = multiaddr(`/dns4/localhost/tcp/${publisher.addrs()[0].toString().match(/tcp\/(\d+)/)?.[1]}/http`)
        await announce(publisher, subscriber, events, ch3, [moved])
        deepEqual(subscriber.httpPeerStore.get(id).map(String), [moved.toString()])
      })
    }

    it('TestAnnounce, TestSyncOnAnnounceHTTP: direct announces lead to syncs', async () => {
      await using net = new TestNet()
      const { publisher, linkSystem: source } = await transport.publisher(net, { topic: undefined })
      const { subscriber, linkSystem } = await transport.subscriber(net, { receiver: {} })
      const events = subscriber.onSyncFinished()
      const [head, ch3, ch2] = await mkChain(source)
      for (const cid of [ch2, ch3, head]) {
        await announce(publisher, subscriber, events, cid)
        ok(await linkSystem.has(cid))
      }
    })

    it('TestCancelDeadlock: a reader that has not read can be left', async () => {
      await using net = new TestNet()
      const publisher = await transport.publisher(net, { chain: 1 })
      const { subscriber } = await transport.subscriber(net)
      const events = subscriber.onSyncFinished()
      await subscriber.sync(publisher.info)
      await publisher.extend(1)
      await subscriber.sync(publisher.info)
      await inTime(events.return())
      equal((await events.next()).done, true)
      await inTime(subscriber.sync(publisher.info))
    })
  })
}
