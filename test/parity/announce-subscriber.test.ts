// Cases of dagsync/announce_test.go (go-libipni v0.7.8). Those of announce/ itself are in announce.test.ts.
import { describe, it } from 'node:test'
import { deepEqual, equal, ok } from 'node:assert/strict'
import { TestNet } from '../../src/testing/index.ts'
import { gate, next, rest, subscribed } from '../support/hall.ts'
import { gossipPublisher, gossipSubscriber, transports } from '../support/transports.ts'

for (const transport of transports) {
  describe(`announces to a subscriber over ${transport.name}`, () => {
    it('TestAnnounceReplace: of the announces that come during a sync the newest is synced', async () => {
      await using net = new TestNet()
      const publisher = await transport.publisher(net, { chain: 1 })
      const syncs = gate()
      const { subscriber, linkSystem } = await transport.subscriber(net, { receiver: {}, blockHook: syncs.hook })
      const events = subscriber.onSyncFinished()
      const [first] = publisher.cids
      await subscriber.announce(first, publisher.info)
      const running = await syncs.arrival()
      ok(running.cid.equals(first))

      const [second] = await publisher.extend(1)
      await subscriber.announce(second, publisher.info)
      const [last] = await publisher.extend(1)
      await subscriber.announce(last, publisher.info)
      syncs.openAll()

      const heads = [await next(events), await next(events)]
      deepEqual(heads.map(({ cid, count }) => [`${cid}`, count]), [[`${first}`, 1], [`${last}`, 2]])
      ok(await linkSystem.has(last))
      await subscriber.sync(publisher.info)
      equal((await next(events)).count, 0) // of the explicit sync: no other came before
      await subscriber.stop()
      deepEqual(await rest(events), [])
    })

    it('TestAnnounce_LearnsHttpPublisherAddr: the address of an announce serves a later sync', async () => {
      await using net = new TestNet()
      const { linkSystem: source, info, id } = await transport.publisher(net, { http: { listen: '0.0.0.0:0' } })
      const { subscriber, linkSystem } = await transport.subscriber(net, { receiver: {} })
      const events = subscriber.onSyncFinished()
      const one = await source.store('fish')
      const another = await source.store('lobster')
      await subscriber.announce(one, info)
      equal((await next(events)).error, undefined)
      ok((await subscriber.sync(id, { cid: another }))?.equals(another))
      equal(await linkSystem.load(another), 'lobster')
    })

    it('TestAnnounceRepublish: a direct announce is told to the others', async () => {
      await using net = new TestNet()
      const { info, cids, id } = await transport.publisher(net, { chain: 3 })
      const listener = await gossipSubscriber(transport, net, [])
      const relay = await gossipSubscriber(transport, net, [listener.node], { receiver: { resend: true } })
      await subscribed(relay.node, listener.node)
      const events = listener.subscriber.onSyncFinished()
      await relay.subscriber.announce(cids[0], info)
      const { cid, peerId, error } = await next(events)
      equal(error, undefined)
      ok(cid.equals(cids[0]))
      ok(peerId.equals(id))
      ok(await listener.linkSystem.has(cid))
    })

    it('TestAllowPeerReject: announces of others are not heard', async () => {
      await using net = new TestNet()
      const refused = await gossipPublisher(transport, net, { chain: 1 })
      const allowed = await gossipPublisher(transport, net, { chain: 1 })
      const asked: string[] = []
      const { subscriber, linkSystem } = await gossipSubscriber(transport, net, [refused.node, allowed.node], {
        receiver: {
          allowPeer: peer => {
            asked.push(peer.toString())
            return peer.equals(allowed.id)
          }
        }
      })
      const events = subscriber.onSyncFinished()
      await refused.publisher.announce()
      await subscriber.announce(refused.cids[0], refused.info)
      await allowed.publisher.announce()
      ok((await next(events)).peerId.equals(allowed.id))
      await subscriber.stop()
      deepEqual(await rest(events), [])
      ok(asked.includes(refused.id.toString()))
      equal(await linkSystem.has(refused.cids[0]), false)
    })

    it('TestAllowPeerAllows: announces of allowed peers are heard', async () => {
      await using net = new TestNet()
      const { publisher, cids, node } = await gossipPublisher(transport, net, { chain: 1 })
      const { subscriber } = await gossipSubscriber(transport, net, [node], { receiver: { allowPeer: () => true } })
      const events = subscriber.onSyncFinished()
      await publisher.announce()
      ok((await next(events)).cid.equals(cids[0]))
    })
  })
}
