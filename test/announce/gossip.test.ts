import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { gossipSender, gossipsubInit, Receiver } from '../../src/announce/index.ts'
import { parseMultiaddrs } from '../../src/shared/multiaddrs.ts'
import { cids, FakePubSub, newNode, newPeer, subscribed, TOPIC, when } from './kit.ts'
import type { Node } from './kit.ts'
import type { AnnounceMessage } from '../../src/announce/index.ts'
import type { GossipsubOpts } from '@libp2p/gossipsub'

const many = await cids(10)
const addrs = parseMultiaddrs(['/ip4/127.0.0.1/tcp/9999/http', '/ip4/8.8.8.8/tcp/9999/http/http-path/foo%2Fbar'])
const message = (i: number): AnnounceMessage => ({ cid: many[i], addrs: addrs.map(addr => addr.bytes) })

async function hears (node: Node, init = {}): Promise<Receiver> {
  const receiver = new Receiver({ pubsub: node.services.pubsub, peerId: node.peerId, logger: node.logger }, { topic: TOPIC, ...init })
  await receiver.start()
  return receiver
}

describe('gossip between nodes', () => {
  it('is heard with its author and the bytes of its addresses', async t => {
    const [a, b] = [await newNode(t), await newNode(t)]
    await using receiver = await hears(b)
    await a.dial(b.getMultiaddrs())
    await subscribed(a, b)
    // right after the subscription came: before there is a stream to the subscriber, it would go to nobody
    deepEqual(await gossipSender({ pubsub: a.services.pubsub }, { topic: TOPIC }).send(message(0)), { recipients: 1 })
    const announce = await receiver.next()
    ok(announce.peerId.equals(a.peerId))
    ok(announce.cid.equals(many[0]))
    deepEqual(announce.addrs.map(addr => Buffer.from(addr.bytes)), addrs.map(addr => Buffer.from(addr.bytes)))
    equal(announce.hintFrom, undefined)
    equal(receiver.malformed, 0)
  })

  it('does not fail without peers or a second time, and reaches a late subscriber', async t => {
    const [a, b] = [await newNode(t, { allowPublishToZeroTopicPeers: false }), await newNode(t)]
    const sender = gossipSender({ pubsub: a.services.pubsub }, { topic: TOPIC })
    deepEqual(await sender.send(message(0)), { recipients: 0 })
    await using receiver = await hears(b)
    await a.dial(b.getMultiaddrs())
    await subscribed(a, b)
    // the same bytes again: nobody got them, so they may go out now
    deepEqual(await sender.send(message(0)), { recipients: 1 })
    ok((await receiver.next()).cid.equals(many[0]))
    deepEqual(await sender.send(message(0)), { recipients: 0 })
  })

  it('goes from a direct announce over a relay to others, as a hint or at its word', async t => {
    const [relay, plain, trusting] = [await newNode(t), await newNode(t), await newNode(t)]
    await using direct = await hears(relay, { resend: true })
    await using hinted = await hears(plain)
    await using told = await hears(trusting, { trustedRelays: [relay.peerId] })
    for (const node of [plain, trusting]) {
      await relay.dial(node.getMultiaddrs())
      await subscribed(relay, node)
    }
    const publisher = await newPeer()
    await direct.direct(many[0], { id: publisher, multiaddrs: addrs })
    equal((await direct.next()).peerId, publisher)
    const hint = await hinted.next()
    ok(hint.peerId.equals(publisher))
    ok(hint.hintFrom?.equals(relay.peerId))
    const word = await told.next()
    ok(word.peerId.equals(publisher))
    equal(word.hintFrom, undefined)
    deepEqual(word.addrs.map(String), addrs.map(String))
  })

  it('tells others that it has unsubscribed at the last stop only', async t => {
    const [a, b] = [await newNode(t), await newNode(t)]
    const [one, two] = [await hears(b), await hears(b)]
    await a.dial(b.getMultiaddrs())
    await subscribed(a, b)
    await one.stop()
    deepEqual(b.services.pubsub.getTopics(), [TOPIC])
    await gossipSender({ pubsub: a.services.pubsub }, { topic: TOPIC }).send(message(0))
    ok((await two.next()).cid.equals(many[0]))
    await two.stop()
    await when(a.services.pubsub as any, 'subscription-change', () => a.services.pubsub.getSubscribers(TOPIC).length === 0)
    deepEqual(b.services.pubsub.getTopics(), [])
  })

  it('stops after its node', async t => {
    const node = await newNode(t)
    const receiver = await hears(node)
    const next = receiver.next()
    await node.stop()
    await Promise.all([rejects(next, { name: 'ReceiverClosedError' }), receiver.stop()])
  })
})

describe('gossip sender', () => {
  it('replaces extra data with its own', async () => {
    const pubsub = new FakePubSub(await newPeer())
    await gossipSender({ pubsub }, { topic: TOPIC, extraData: Uint8Array.of(7) }).send({ ...message(0), extraData: Uint8Array.of(1) })
    await gossipSender({ pubsub }, { topic: TOPIC }).send({ ...message(0), extraData: Uint8Array.of(1) })
    deepEqual(pubsub.published.map(bytes => bytes.at(-1)), [7, 1])
  })

  it('waits for streams to subscribers, for a second at most, and publishes to those that it reaches', async t => {
    t.mock.timers.enable({ apis: ['setTimeout', 'Date'] })
    const pubsub = new FakePubSub(await newPeer())
    const [reached, unreached] = [await newPeer(), await newPeer()]
    const streams = new Map<string, unknown>()
    Object.assign(pubsub, { streamsOutbound: streams, getSubscribers: () => [reached, unreached] })
    const sender = gossipSender({ pubsub }, { topic: TOPIC })
    const pass = async (ms: number): Promise<void> => {
      for (let i = 0; i < ms; i += 5) {
        t.mock.timers.tick(5)
        await Promise.resolve()
        await Promise.resolve()
      }
    }

    const nobody = sender.send(message(0))
    await pass(1_000)
    deepEqual(await nobody, { recipients: 0 })
    equal(pubsub.published.length, 0)

    streams.set(reached.toString(), {})
    const some = sender.send(message(0))
    await pass(995)
    equal(pubsub.published.length, 0)
    await pass(5)
    await some
    equal(pubsub.published.length, 1)

    streams.set(unreached.toString(), {})
    await sender.send(message(0))
    equal(pubsub.published.length, 2)
  })

  it('waits no longer when the clock is set back', { timeout: 10_000 }, async t => {
    const pubsub = new FakePubSub(await newPeer())
    Object.assign(pubsub, { streamsOutbound: new Map(), getSubscribers: () => [pubsub.peerId] })
    t.mock.timers.enable({ apis: ['setTimeout'] })
    t.mock.method(Date, 'now', () => 0)
    const sent = gossipSender({ pubsub }, { topic: TOPIC }).send(message(0), { signal: t.signal })
    for (let ms = 0; ms < 1_000; ms += 5) {
      t.mock.timers.tick(5)
      await Promise.resolve()
      await Promise.resolve()
    }
    t.mock.timers.reset()
    deepEqual(await sent, { recipients: 0 })
  })

  it('can be aborted while it waits', async () => {
    const pubsub = new FakePubSub(await newPeer())
    Object.assign(pubsub, { streamsOutbound: new Map(), getSubscribers: () => [pubsub.peerId] })
    const sender = gossipSender({ pubsub }, { topic: TOPIC })
    const controller = new AbortController()
    const reason = new Error('enough')
    const sent = sender.send(message(0), { signal: controller.signal })
    controller.abort(reason)
    await rejects(sent, err => err === reason)
    await rejects(sender.send(message(0), { signal: controller.signal }), err => err === reason)
  })

  it('publishes nothing once it is aborted, also when a stream opens then', async t => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const pubsub = new FakePubSub(await newPeer())
    const sender = gossipSender({ pubsub }, { topic: TOPIC })
    const reason = new Error('enough')
    await rejects(sender.send(message(0), { signal: AbortSignal.abort(reason) }), err => err === reason)

    const streams = new Map<string, unknown>()
    Object.assign(pubsub, { streamsOutbound: streams, getSubscribers: () => [pubsub.peerId] })
    const controller = new AbortController()
    const sent = sender.send(message(0), controller)
    controller.abort(reason)
    await rejects(sent, err => err === reason)
    streams.set(pubsub.peerId.toString(), {})
    t.mock.timers.tick(1_000)
    await new Promise(resolve => setImmediate(resolve))
    equal(pubsub.published.length, 0)
  })

  it('publishes to nobody only where the node hears itself', async () => {
    const pubsub = new FakePubSub(await newPeer())
    const sender = gossipSender({ pubsub }, { topic: TOPIC })
    Object.assign(pubsub, { streamsOutbound: new Map() })
    deepEqual(await sender.send(message(0)), { recipients: 0 })
    equal(pubsub.published.length, 0)
    Object.assign(pubsub, { opts: { emitSelf: true } })
    deepEqual(await sender.send(message(0)), { recipients: 0 })
    equal(pubsub.published.length, 1)
  })

  it('can be aborted while the service does not answer', async () => {
    const pubsub = new FakePubSub(await newPeer())
    pubsub.publish = async () => new Promise(() => {})
    const controller = new AbortController()
    const reason = new Error('enough')
    const sent = gossipSender({ pubsub }, { topic: TOPIC }).send(message(0), { signal: controller.signal })
    controller.abort(reason)
    await rejects(sent, err => err === reason)
  })

  it('passes on what the service throws, but for no peers and duplicates', async () => {
    const pubsub = new FakePubSub(await newPeer())
    const sender = gossipSender({ pubsub }, { topic: TOPIC })
    for (const text of ['PublishError.Duplicate', 'PublishError.NoPeersSubscribedToTopic', 'PublishError.InsufficientPeers']) {
      pubsub.publish = async () => { throw new Error(text) }
      deepEqual(await sender.send(message(0)), { recipients: 0 })
    }
    pubsub.publish = async () => { throw new Error('Uninitialized') }
    await rejects(sender.send(message(0)), { message: 'Uninitialized' })
  })

  it('checks its options', async () => {
    const pubsub = new FakePubSub(await newPeer())
    for (const topic of ['', 1]) { throws(() => gossipSender({ pubsub }, { topic: topic as any }), { name: 'InvalidOptionError', field: 'topic' }) }
    throws(() => gossipSender({} as any, { topic: TOPIC }), { name: 'InvalidOptionError', field: 'pubsub' })
    throws(() => gossipSender({ pubsub }, { topic: TOPIC, extraData: 'x' as any }), { name: 'InvalidOptionError', field: 'extraData' })
  })
})

describe('gossipsub settings', () => {
  it("are Go's, and fit @libp2p/gossipsub", () => {
    const opts: Partial<GossipsubOpts> = gossipsubInit()
    const { msgIdFn, ...rest } = opts
    equal(typeof msgIdFn, 'function')
    deepEqual(rest, {
      globalSignaturePolicy: 'StrictSign', doPX: true, floodPublish: true, directConnectTicks: 30, allowPublishToZeroTopicPeers: true
    })
  })
})
