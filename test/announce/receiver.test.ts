import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { describe, it } from 'node:test'
import { peerIdFromString } from '@libp2p/peer-id'
import { CID } from 'multiformats/cid'
import { decodeAnnounce, encodeAnnounce, Receiver } from '../../src/announce/index.ts'
import { parseMultiaddrs } from '../../src/shared/multiaddrs.ts'
import { cids, FakePubSub, newPeer, TOPIC, vectors } from './kit.ts'
import type { Announce, ReceiverInit } from '../../src/announce/index.ts'
import type { PeerId } from '@libp2p/interface'

const [publisher, other, relay] = await Promise.all([newPeer(), newPeer(), newPeer()])
const many = await cids(200)
const addrs = parseMultiaddrs(['/ip4/127.0.0.1/tcp/9999', '/ip4/8.8.8.8/tcp/9999'])

async function newReceiver (init: ReceiverInit = {}, pubsub?: FakePubSub): Promise<Receiver> {
  const receiver = new Receiver({ pubsub, peerId: pubsub?.peerId }, { topic: TOPIC, ...init })
  await receiver.start()
  return receiver
}

/** What is waiting, without waiting for more. */
async function waiting (receiver: Receiver): Promise<Announce | undefined> {
  return await receiver.next({ signal: AbortSignal.timeout(0) }).catch(err => {
    equal(err.name, 'TimeoutError')
    return undefined
  })
}

function gossip (pubsub: FakePubSub, from: PeerId, message: Parameters<typeof encodeAnnounce>[0]): void {
  pubsub.receive({ type: 'signed', topic: TOPIC, from, data: encodeAnnounce(message) })
}

describe('receiver: as an iterable', () => {
  it('ends by stop(), also where start() follows at once: what comes then is for the next loop', async () => {
    await using receiver = await newReceiver()
    const read = async (): Promise<number> => {
      const heard = await Array.fromAsync(receiver)
      return heard.length
    }
    const first = read()
    await receiver.direct(many[0], { id: publisher, multiaddrs: addrs })
    void receiver.stop()
    void receiver.start()
    equal(await first, 1)
    await receiver.direct(many[0], { id: publisher, multiaddrs: addrs })
    ok(await waiting(receiver))
  })
})

describe('receiver: what Go does, vectors', () => {
  it('passes and drops what the Go receiver passes and drops', async () => {
    const { h1, h2, h3, publisher: id, steps } = vectors('announce-receiver')
    const network: FakePubSub[] = []
    const [p1, p2, p3] = [h1, h2, h3].map(host => new FakePubSub(peerIdFromString(host), network))
    const blocked = new Set<string>()
    const allowPeer = (peer: PeerId): boolean => !blocked.has(peer.toString())
    const r1 = await newReceiver({ resend: true, filterIPs: true, trustedRelays: [p3.peerId], allowPeer }, p1)
    const r2 = await newReceiver({ trustedRelays: [p1.peerId, p3.peerId] }, p2)
    const info = { id: peerIdFromString(id), multiaddrs: addrs }
    const link = (step: number): CID => CID.parse(steps[step].receiverNext.cid)
    const publish = async (cid: CID, fields = {}): Promise<void> => {
      await p3.publish(TOPIC, encodeAnnounce({ cid, addrs: addrs.map(addr => addr.bytes), ...fields }))
    }

    const actions: Array<() => Promise<void>> = [
      async () => { await r1.direct(link(0), info) },
      async () => { await r1.direct(link(0), info) },
      async () => { blocked.add(id); await r1.direct(link(3), info) },
      async () => { blocked.clear(); await r1.direct(link(3), info) },
      async () => { r1.uncacheCid(link(0)); await r1.direct(link(0), info) },
      async () => {
        for (const cid of many.slice(0, 64)) {
          await r1.direct(cid, info)
          ok(await waiting(r1))
          ok(await waiting(r2))
        }
        await r1.direct(link(0), info)
      },
      async () => { await publish(link(6), { addrs: [addrs[1].bytes] }) },
      async () => { await publish(link(7), { origPeer: id }) },
      async () => { await publish(many[100], { origPeer: 'abc' }) },
      async () => { await publish(many[101], { addrs: [Uint8Array.of(4, 1, 2)] }) },
      async () => { await publish(link(6)) },
      async () => { await publish(link(11), { addrs: [] }) }
    ]
    for (const [i, action] of actions.entries()) {
      await action()
      for (const [name, receiver] of [['receiverNext', r1], ['otherReceiverNext', r2]] as const) {
        let expected = steps[i][name]
        // a buffer of one in Go still holds one of the 64; here the second receiver has forgotten the first CID as well
        if (i === 5) { expected = steps[0][name] }
        const message = await waiting(receiver)
        const found = message == null
          ? 'context deadline exceeded'
          : { cid: message.cid.toString(), peerId: message.peerId.toString(), addrs: message.addrs.map(String) }
        deepEqual(found, expected, `${steps[i].step}, ${name}`)
        equal(message?.hintFrom, undefined)
      }
    }
    equal(r1.malformed, 2)
    await r1.stop()
    await rejects(r1.next(), { name: 'ReceiverClosedError' })
    await rejects(r1.direct(many[0], info), { name: 'ReceiverClosedError' })
    await r2.stop()
  })

  it('hears the message that Go published', async () => {
    const { rpcs, received, topic } = vectors('announce-gossip')
    const { publish } = rpcs.find((rpc: any) => rpc.publish != null)
    const pubsub = new FakePubSub(await newPeer())
    await using receiver = new Receiver({ pubsub }, { topic })
    await receiver.start()
    pubsub.receive({ type: 'signed', topic: publish.topic, from: peerIdFromString(publish.from), data: Buffer.from(publish.data, 'base64') })
    const announce = await receiver.next()
    deepEqual({ cid: announce.cid.toString(), peerId: announce.peerId.toString(), addrs: announce.addrs.map(String) }, received)
  })
})

describe('receiver: direct announces', () => {
  const info = { id: publisher, multiaddrs: addrs }

  it('needs no pubsub, and has no topic then', async () => {
    const receiver = new Receiver({})
    equal(receiver.topic, undefined)
    await receiver.start()
    await receiver.direct(many[0], info)
    deepEqual(await receiver.next(), { cid: many[0], peerId: publisher, addrs })
    await receiver.stop()
  })

  it('keeps at most one of 10,000 announces of a publisher, the newest', async () => {
    await using receiver = await newReceiver()
    const digests = await cids(10_000, 'flood')
    for (const cid of digests) { await receiver.direct(cid, info) }
    equal((await waiting(receiver))?.cid, digests[9_999])
    equal(await waiting(receiver), undefined)
  })

  it('keeps those of different publishers, the same CID too, in order', async () => {
    await using receiver = await newReceiver()
    await receiver.direct(many[0], info)
    await receiver.direct(many[0], { id: other, multiaddrs: [] })
    await receiver.direct(many[1], info)
    const heard = [await waiting(receiver), await waiting(receiver), await waiting(receiver)]
    deepEqual(heard.map(announce => announce && [announce.peerId, announce.cid]), [[publisher, many[1]], [other, many[0]], undefined])
  })

  it('is bounded over all publishers, and lets in again what it dropped', async () => {
    await using receiver = await newReceiver()
    const peers = await Promise.all(Array.from({ length: 1_025 }, newPeer))
    for (const id of peers) { await receiver.direct(many[0], { id, multiaddrs: [] }) }
    equal(receiver.dropped, 1)
    equal((await waiting(receiver))?.peerId, peers[1])
    await receiver.direct(many[0], { id: peers[0], multiaddrs: [] })
    for (let i = 2; i < peers.length; i++) { equal((await waiting(receiver))?.peerId, peers[i]) }
    equal((await waiting(receiver))?.peerId, peers[0])
  })

  it('remembers what was announced by 1,024 publishers, those that it has heard last', async () => {
    await using receiver = await newReceiver()
    const peers = await Promise.all(Array.from({ length: 1_025 }, newPeer))
    const hears = async (id: PeerId): Promise<boolean> => {
      await receiver.direct(many[0], { id, multiaddrs: [] })
      return await waiting(receiver) != null
    }
    for (const peer of peers.slice(0, -1)) { await receiver.direct(many[0], { id: peer, multiaddrs: [] }) }
    for (const peer of peers.slice(0, -1)) { equal((await receiver.next()).peerId, peer) }
    equal(await hears(peers[0]), false)
    equal(await hears(peers[1024]), true)
    equal(await hears(peers[0]), false)
    equal(await hears(peers[1]), true)
  })

  it('lets in again what is uncached, of one publisher or of all', async () => {
    await using receiver = await newReceiver()
    const announceAll = async (): Promise<PeerId[]> => {
      for (const id of [publisher, other]) { await receiver.direct(many[0], { id, multiaddrs: [] }) }
      return [await waiting(receiver), await waiting(receiver)].flatMap(announce => announce?.peerId ?? [])
    }
    deepEqual(await announceAll(), [publisher, other])
    deepEqual(await announceAll(), [])
    receiver.uncacheCid(many[0], other)
    deepEqual(await announceAll(), [other])
    receiver.uncacheCid(many[0])
    deepEqual(await announceAll(), [publisher, other])
  })

  it('does not touch the list of addresses, and takes 64 of them', async () => {
    await using receiver = await newReceiver({ filterIPs: true })
    const multiaddrs = Object.freeze(parseMultiaddrs(Array.from({ length: 70 }, (_, i) => `/ip4/8.8.8.8/tcp/${i}`))) as typeof addrs
    await receiver.direct(many[0], { id: publisher, multiaddrs })
    deepEqual((await receiver.next()).addrs, multiaddrs.slice(0, 64))
  })

  it('checks what direct() is given, and takes a CID of another copy of multiformats', async () => {
    await using receiver = await newReceiver()
    const wrong: any[] = [publisher, { id: `${publisher}`, multiaddrs: [] }, { id: publisher }, { id: publisher, multiaddrs: ['/ip4/8.8.8.8/tcp/1'] }]
    for (const peer of wrong) { await rejects(receiver.direct(many[0], peer), { name: 'InvalidOptionError', field: 'publisher' }) }
    await rejects(receiver.direct(`${many[0]}` as any, info), { name: 'InvalidOptionError', field: 'cid' })
    const { code, version, multihash, bytes } = many[0]
    await receiver.direct({ code, version, multihash, bytes, '/': bytes } as any, info)
    equal((await receiver.next()).cid.equals(many[0]), true)
  })

  it('rejects with what allowPeer throws, and with the reason of an abort', async () => {
    await using receiver = await newReceiver({ allowPeer: () => { throw new RangeError('mine') } })
    await rejects(receiver.direct(many[0], info), { name: 'RangeError', message: 'mine' })
    const reason = new Error('enough')
    await rejects(receiver.direct(many[0], info, { signal: AbortSignal.abort(reason) }), err => err === reason)
  })

  it('republishes with the publisher in the message, when told to', async () => {
    const network: FakePubSub[] = []
    const pubsub = new FakePubSub(relay, network)
    await using receiver = await newReceiver({ resend: true, filterIPs: true }, pubsub)
    await receiver.direct(many[0], info)
    const [data] = pubsub.published
    const { cid, ...rest } = decodeAnnounce(data)
    ok(cid.equals(many[0]))
    deepEqual(rest, { addrs: [new Uint8Array(addrs[1].bytes)], origPeer: publisher.toString() })
    ok(await waiting(receiver))
  })

  it('logs that nobody has heard what it has republished: it is not said otherwise', async () => {
    const pubsub = new FakePubSub(relay)
    const lines: string[] = []
    const logger = { forComponent: (): any => (...line: unknown[]) => { lines.push(line.join(' ')) } }
    await using receiver = new Receiver({ pubsub, peerId: relay, logger }, { topic: TOPIC, resend: true })
    await receiver.start()
    await receiver.direct(many[0], info)
    equal(lines.filter(line => line.includes('nobody')).length, 1)
    pubsub.getSubscribers = () => [other]
    await receiver.direct(many[1], info)
    equal(lines.filter(line => line.includes('nobody')).length, 1)
  })

  it('delivers though republishing fails', async () => {
    const pubsub = new FakePubSub(relay)
    pubsub.publish = async () => { throw new Error('no network') }
    await using receiver = await newReceiver({ resend: true }, pubsub)
    await receiver.direct(many[0], info)
    ok(await waiting(receiver))
  })

  it('ends a republish whose service never answers, by abort and by stop(), also where start() follows at once', async () => {
    const pubsub = new FakePubSub(relay)
    pubsub.publish = async () => new Promise(() => {})
    await using receiver = await newReceiver({ resend: true }, pubsub)
    const controller = new AbortController()
    const aborted = receiver.direct(many[0], info, { signal: controller.signal })
    controller.abort(new Error('enough'))
    await rejects(aborted, { message: 'enough' })
    for (const cid of many.slice(1, 3)) {
      const stopped = receiver.direct(cid, info)
      void receiver.stop()
      void receiver.start()
      await rejects(stopped, { name: 'ReceiverClosedError' })
    }
  })

  it('does not wait for a republish for more than a minute', async ({ mock }) => {
    const pubsub = new FakePubSub(relay)
    pubsub.publish = async () => new Promise(() => {})
    await using receiver = await newReceiver({ resend: true }, pubsub)
    mock.timers.enable({ apis: ['setTimeout'] })
    const direct = receiver.direct(many[0], info)
    mock.timers.tick(60_000)
    await direct
  })

  it('ends a republish that waits for a stream, by abort and by stop()', async () => {
    const pubsub = new FakePubSub(relay)
    Object.assign(pubsub, { streamsOutbound: new Map(), getSubscribers: () => [other] })
    const receiver = await newReceiver({ resend: true }, pubsub)
    const controller = new AbortController()
    const aborted = receiver.direct(many[0], info, { signal: controller.signal })
    controller.abort(new Error('enough'))
    await rejects(aborted, { message: 'enough' })
    const stopped = receiver.direct(many[1], info)
    await receiver.stop()
    await rejects(stopped, { name: 'ReceiverClosedError' })
    equal(pubsub.published.length, 0)
  })
})

describe('receiver: gossip', () => {
  it('drops and counts what is malformed, and hears what comes after', async () => {
    const pubsub = new FakePubSub(await newPeer())
    await using receiver = await newReceiver({}, pubsub)
    const good = encodeAnnounce({ cid: many[0], addrs: [] })
    const bad = [
      { type: 'unsigned', topic: TOPIC, data: good },
      { type: 'unsigned', topic: TOPIC, from: publisher, data: good },
      { type: 'signed', topic: TOPIC, from: 'somebody', data: good },
      { type: 'signed', topic: TOPIC, from: publisher, data: good.subarray(1) },
      { type: 'signed', topic: TOPIC, from: publisher, data: undefined },
      { type: 'signed', topic: TOPIC, from: publisher, data: encodeAnnounce({ cid: many[0], addrs: [Uint8Array.of(4)] }) },
      { type: 'signed', topic: TOPIC, from: publisher, data: encodeAnnounce({ cid: many[0], addrs: [], origPeer: 'QmNobody' }) }
    ]
    for (const detail of bad) { pubsub.receive(detail) }
    pubsub.receive({ type: 'signed', topic: 'other', from: publisher, data: good })
    pubsub.receive(undefined)
    equal(receiver.malformed, bad.length)
    equal(await waiting(receiver), undefined)
    gossip(pubsub, publisher, { cid: many[0], addrs: [] })
    ok(await waiting(receiver))
  })

  it('hears the good addresses beside one of an unknown protocol', async () => {
    const pubsub = new FakePubSub(await newPeer())
    await using receiver = await newReceiver({}, pubsub)
    gossip(pubsub, publisher, { cid: many[0], addrs: [Uint8Array.of(0xff, 0xff, 0x7f), addrs[0].bytes] })
    deepEqual((await receiver.next()).addrs.map(String), ['/ip4/127.0.0.1/tcp/9999'])
  })

  it('hears an announcement with more addresses than it takes, as a Go node with many interfaces sends, and takes the first 64', async () => {
    const pubsub = new FakePubSub(await newPeer())
    await using receiver = await newReceiver({}, pubsub)
    const multiaddrs = parseMultiaddrs(Array.from({ length: 100 }, (_, i) => `/ip4/192.0.2.1/tcp/${i + 1}`))
    gossip(pubsub, publisher, { cid: many[0], addrs: multiaddrs.map(({ bytes }) => bytes) })
    equal(receiver.malformed, 0)
    deepEqual((await receiver.next()).addrs.map(String), multiaddrs.slice(0, 64).map(String))
  })

  it('lets nobody in by an allowPeer that gives nothing, or a promise', async () => {
    for (const given of [undefined, null, 0, '']) {
      await using receiver = await newReceiver({ allowPeer: (() => given) as never })
      await receiver.direct(many[0], { id: publisher, multiaddrs: addrs })
      equal(await waiting(receiver), undefined)
    }
    const pubsub = new FakePubSub(other)
    await using receiver = await newReceiver({ allowPeer: (async () => true) as never }, pubsub)
    gossip(pubsub, publisher, { cid: many[0], addrs: [] })
    equal(await waiting(receiver), undefined)
    await rejects(receiver.direct(many[0], { id: publisher, multiaddrs: addrs }), { name: 'InvalidOptionError', field: 'allowPeer' })
  })

  it('is not stopped by an allowPeer that throws', async () => {
    const pubsub = new FakePubSub(await newPeer())
    const allowPeer = (peer: PeerId): boolean => {
      if (peer.equals(other)) { throw new Error('mine') }
      return true
    }
    await using receiver = await newReceiver({ allowPeer }, pubsub)
    gossip(pubsub, other, { cid: many[0], addrs: [] })
    gossip(pubsub, publisher, { cid: many[0], addrs: [] })
    equal((await waiting(receiver))?.peerId, publisher)
    equal(receiver.malformed, 0)
  })

  it('takes a republished announce as a hint, unless the relay is trusted or the publisher itself', async () => {
    const pubsub = new FakePubSub(await newPeer())
    await using receiver = await newReceiver({ trustedRelays: [relay] }, pubsub)
    const republished = { addrs: [], origPeer: publisher.toString() }
    gossip(pubsub, other, { cid: many[0], ...republished })
    deepEqual(await waiting(receiver), { cid: many[0], peerId: publisher, addrs: [], hintFrom: other })
    gossip(pubsub, relay, { cid: many[1], ...republished })
    deepEqual(await waiting(receiver), { cid: many[1], peerId: publisher, addrs: [] })
    gossip(pubsub, publisher, { cid: many[2], ...republished })
    deepEqual(await waiting(receiver), { cid: many[2], peerId: publisher, addrs: [] })
  })

  it('does not hear what it has republished itself', async () => {
    const pubsub = new FakePubSub(relay)
    await using receiver = await newReceiver({}, pubsub)
    gossip(pubsub, relay, { cid: many[0], addrs: [], origPeer: publisher.toString() })
    gossip(pubsub, relay, { cid: many[1], addrs: [] })
    equal((await waiting(receiver))?.cid.toString(), many[1].toString())
    equal(await waiting(receiver), undefined)
  })

  it('lets a hint in again that is uncached', async () => {
    const pubsub = new FakePubSub(await newPeer())
    await using receiver = await newReceiver({}, pubsub)
    const hint = (): void => { gossip(pubsub, other, { cid: many[0], addrs: [], origPeer: publisher.toString() }) }
    for (const heard of [true, false]) {
      hint()
      equal(await waiting(receiver) != null, heard)
    }
    receiver.uncacheCid(many[0], publisher)
    hint()
    ok(await waiting(receiver))
  })

  it('lets no hint hide or replace what the publisher says', async () => {
    const pubsub = new FakePubSub(await newPeer())
    await using receiver = await newReceiver({}, pubsub)
    const hint = (cid: CID): void => { gossip(pubsub, other, { cid, addrs: [], origPeer: publisher.toString() }) }
    hint(many[0])
    gossip(pubsub, publisher, { cid: many[0], addrs: [] }) // heard though a hint had the CID first, in its place
    hint(many[1])
    equal((await waiting(receiver))?.hintFrom, undefined)
    equal(await waiting(receiver), undefined)
  })

  it('drops hints first when it is full', async () => {
    const pubsub = new FakePubSub(await newPeer())
    await using receiver = await newReceiver({}, pubsub)
    gossip(pubsub, publisher, { cid: many[0], addrs: [] })
    for (const peer of await Promise.all(Array.from({ length: 1_100 }, newPeer))) {
      gossip(pubsub, other, { cid: many[1], addrs: [], origPeer: peer.toString() })
    }
    equal(receiver.dropped, 77)
    equal((await waiting(receiver))?.peerId, publisher)
    ok((await waiting(receiver))?.hintFrom?.equals(other))
  })
})

describe('receiver: life', () => {
  it('gives waiting readers their announces in order', async () => {
    await using receiver = await newReceiver()
    const readers = [receiver.next(), receiver.next()]
    await receiver.direct(many[0], { id: publisher, multiaddrs: [] })
    await receiver.direct(many[1], { id: publisher, multiaddrs: [] })
    deepEqual((await Promise.all(readers)).map(({ cid }) => cid), many.slice(0, 2))
  })

  it('ends next() by abort, with the reason, and loses nothing', async () => {
    await using receiver = await newReceiver()
    const controller = new AbortController()
    const reason = new Error('enough')
    const next = receiver.next({ signal: controller.signal })
    controller.abort(reason)
    await rejects(next, err => err === reason)
    await rejects(receiver.next({ signal: controller.signal }), err => err === reason)
    await receiver.direct(many[0], { id: publisher, multiaddrs: [] })
    ok(await receiver.next())
  })

  it('leaves no listener on a signal that is used 2,000 times', async () => {
    await using receiver = await newReceiver()
    const { signal } = new AbortController()
    for (const cid of await cids(2_000, 'listeners')) {
      const next = receiver.next({ signal })
      await receiver.direct(cid, { id: publisher, multiaddrs: [] })
      equal((await next).cid, cid)
    }
    equal(getEventListeners(signal, 'abort').length, 0)
  })

  it('keeps nothing that comes in while its allowPeer stops it', async () => {
    const pubsub = new FakePubSub(await newPeer())
    let stopping: Promise<void> | undefined
    await using receiver = await newReceiver({ allowPeer: () => { stopping ??= receiver.stop(); return true } }, pubsub)
    gossip(pubsub, publisher, { cid: many[0], addrs: [] })
    await stopping
    await receiver.start()
    equal(await waiting(receiver), undefined)
  })

  it('keeps nothing that its pubsub was to republish when it stopped it', async () => {
    const pubsub = new FakePubSub(await newPeer())
    await using receiver = await newReceiver({ resend: true }, pubsub)
    let stopping: Promise<void> | undefined
    pubsub.publish = async () => {
      stopping = receiver.stop()
      return { recipients: [] }
    }
    await rejects(receiver.direct(many[0], { id: publisher, multiaddrs: [] }), { name: 'ReceiverClosedError' })
    await stopping
    await receiver.start()
    equal(await waiting(receiver), undefined)
  })

  it('is iterated until it is stopped', async () => {
    const receiver = await newReceiver()
    const heard: CID[] = []
    const reading = (async () => { for await (const { cid } of receiver) { heard.push(cid) } })()
    for (const cid of many.slice(0, 3)) { await receiver.direct(cid, { id: publisher, multiaddrs: [] }) }
    while (heard.length < 3) { await Promise.resolve() }
    await receiver.stop()
    await reading
    deepEqual(heard, many.slice(0, 3))
  })

  it('stops twice, starts again, and has forgotten what it heard', async () => {
    const pubsub = new FakePubSub(await newPeer())
    const receiver = await newReceiver({}, pubsub)
    const next = receiver.next()
    await Promise.all([rejects(next, { name: 'ReceiverClosedError' }), receiver.stop(), receiver.stop()])
    deepEqual(pubsub.getTopics(), [])
    gossip(pubsub, publisher, { cid: many[0], addrs: [] })
    await rejects(receiver.next(), { name: 'ReceiverClosedError' })

    await receiver.start()
    await receiver.start()
    deepEqual(pubsub.getTopics(), [TOPIC])
    gossip(pubsub, publisher, { cid: many[0], addrs: [] })
    ok(await waiting(receiver))
    equal(await waiting(receiver), undefined)

    gossip(pubsub, publisher, { cid: many[1], addrs: [] })
    gossip(pubsub, relay, { cid: many[1], addrs: [], origPeer: other.toString() })
    await receiver.stop()
    receiver.uncacheCid(many[0])
    await receiver.start()
    equal(await waiting(receiver), undefined)
  })

  it('ends with its scope', async () => {
    const pubsub = new FakePubSub(await newPeer())
    {
      await using receiver = await newReceiver({}, pubsub)
      equal(receiver.topic, TOPIC)
    }
    deepEqual(pubsub.getTopics(), [])
    equal(getEventListeners(pubsub, 'message').length, 0)
  })

  it('counts the subscriptions of a node: the last one out unsubscribes', async () => {
    const pubsub = new FakePubSub(await newPeer())
    const [a, b] = [await newReceiver({}, pubsub), await newReceiver({}, pubsub)]
    await a.stop()
    await a.stop()
    deepEqual(pubsub.getTopics(), [TOPIC])
    await b.stop()
    deepEqual(pubsub.getTopics(), [])
  })

  it('leaves a subscription alone that was there before', async () => {
    const pubsub = new FakePubSub(await newPeer())
    pubsub.subscribe(TOPIC)
    await (await newReceiver({}, pubsub)).stop()
    deepEqual(pubsub.getTopics(), [TOPIC])
  })

  it('stops though its pubsub has stopped, and subscribes again with it', async () => {
    const pubsub = new FakePubSub(await newPeer())
    const [a, b] = [await newReceiver({}, pubsub), await newReceiver({}, pubsub)]
    pubsub.topics.clear() // what gossipsub does when it stops
    await a.stop()
    await a.start()
    deepEqual(pubsub.getTopics(), [TOPIC])
    pubsub.unsubscribe = () => { throw new Error('Pubsub is not started') }
    await a.stop()
    await b.stop()
  })

  it('stops though its pubsub has stopped and tells no topics any more, as floodsub does', async () => {
    const pubsub = new FakePubSub(await newPeer())
    const receiver = await newReceiver({}, pubsub)
    pubsub.getTopics = pubsub.unsubscribe = () => { throw new Error('Pubsub is not started') }
    await receiver.stop()
    await rejects(receiver.next(), { name: 'ReceiverClosedError' })
  })

  it('is not started when its pubsub is not', async () => {
    const pubsub = new FakePubSub(await newPeer())
    pubsub.subscribe = () => { throw new Error('Pubsub has not started') }
    await rejects(new Receiver({ pubsub }, { topic: TOPIC }).start(), { message: 'Pubsub has not started' })
  })

  it('checks its options, and names the wrong one', () => {
    const wrong: Array<[string, any]> = [
      ['topic', { topic: '' }], ['allowPeer', { allowPeer: true }], ['filterIPs', { filterIPs: 'yes' }], ['resend', { resend: 1 }],
      ['trustedRelays', { trustedRelays: ['12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5'] }], ['trustedRelays', { trustedRelays: relay }]
    ]
    for (const [field, init] of wrong) { throws(() => new Receiver({}, init), { name: 'InvalidOptionError', field }) }
  })
})
