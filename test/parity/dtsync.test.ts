import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Libp2p } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { createPublisher, createSubscriber, Subscriber } from '../../src/index.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { createHeadServer, queryHead } from '../../src/syncers/dtsync/index.ts'
import { createDtsyncSyncer } from '../../src/syncers/index.ts'
import { chain, TestNet } from '../../src/testing/index.ts'
import { dagsyncSelector, recursionLimitNone } from '../../src/traversal/index.ts'
import { createDataTransfer } from '../../src/wire/data-transfer/index.ts'
import { createGraphsync } from '../../src/wire/graphsync/index.ts'
import { inTime, next, randomCid, randomPeer, recorder, rest, TOPIC } from '../support/hall.ts'
import { gossipPublisher, gossipSubscriber, transports } from '../support/transports.ts'

const dtsync = transports.find(({ name }) => name === 'dtsync') as typeof transports[number]

async function nodeAndKey (net: TestNet, connect: Libp2p[] = []): Promise<{ libp2p: Libp2p, privateKey: any }> {
  const privateKey = await generateKeyPair('Ed25519')
  return { privateKey, libp2p: await net.node({ privateKey, connect }) }
}

describe('dtsync', () => {
  it('TestPublisherRejectsPeer: the sync is rejected, the head is told; after an announce there is no event', async () => {
    await using net = new TestNet()
    const refused = await net.node()
    const publisher = await dtsync.publisher(net, { chain: 3, dtsync: { allowPeer: peer => !peer.equals(refused.peerId) } })
    const { subscriber } = await dtsync.subscriber(net, { receiver: {}, components: { libp2p: refused } })
    const events = subscriber.onSyncFinished()
    await rejects(subscriber.sync(publisher.info), { name: 'TransferRejectedError', message: /response rejected/ })
    equal(String(await queryHead({ libp2p: refused }, publisher.id, TOPIC)), String(publisher.cids[0]))
    await subscriber.announce(publisher.cids[0], publisher.info)
    const allowed = await dtsync.publisher(net, { chain: 1 })
    await subscriber.announce(allowed.cids[0], allowed.info)
    ok((await next(events)).peerId.equals(allowed.id))
    equal(await subscriber.getLatestSync(publisher.id), undefined)
    await subscriber.stop()
    deepEqual(await rest(events), [])
    const other = await dtsync.subscriber(net)
    equal(String(await other.subscriber.sync(publisher.info)), String(publisher.cids[0]))
  })

  it('TestStepByStepSync: each new head gives what is new', async () => {
    await using net = new TestNet()
    const publisher = await dtsync.publisher(net, { chain: 2 })
    const seen = recorder()
    const { subscriber } = await dtsync.subscriber(net, { blockHook: seen.hook })
    for (const more of [0, 1, 5, 20]) {
      if (more > 0) { await publisher.extend(more) }
      seen.cids.length = 0
      await subscriber.sync(publisher.info)
      deepEqual(seen.texts(), publisher.cids.slice(0, more === 0 ? 2 : more).map(String))
    }
  })

  it('TestSyncWithHydratedDataStore: what is all there is not asked for', async () => {
    await using net = new TestNet()
    const allowed: string[] = []
    const publisher = await dtsync.publisher(net, { chain: 4, dtsync: { allowPeer: peer => { allowed.push(String(peer)); return true } } })
    const seen = recorder()
    const { subscriber } = await dtsync.subscriber(net, { blockHook: seen.hook, components: { linkSystem: publisher.linkSystem } })
    await subscriber.sync(publisher.info)
    deepEqual(seen.texts(), publisher.cids.map(String))
    deepEqual(allowed, [])
  })

  it('TestOldProtocolID: a publisher that has the previous head protocol only is asked by it', async () => {
    await using net = new TestNet()
    const { libp2p } = await nodeAndKey(net)
    const linkSystem = createLinkSystem()
    const [root] = await chain(linkSystem, 3)
    const handled: string[] = []
    const onlyPrevious = new Proxy(libp2p, {
      get: (target: any, name) => name !== 'handle'
        ? typeof target[name] === 'function' ? target[name].bind(target) : target[name]
        : async (protocols: string | string[], ...args: any[]) => {
          const previous = [protocols].flat().filter(protocol => protocol.includes('/legs/head//'))
          handled.push(...previous)
          await target.handle(previous, ...args)
        }
    })
    await using heads = createHeadServer({ libp2p: onlyPrevious }, { topic: TOPIC, previous: true })
    heads.root = root
    await heads.start()
    deepEqual(handled, [`/legs/head/${TOPIC}/0.0.1`])
    const asking = await net.node({ connect: [libp2p] })
    equal(String(await queryHead({ libp2p: asking }, libp2p.peerId, TOPIC)), String(root))
  })

  it('TestFetchLatestHead: the head moves, and may be taken away', async () => {
    await using net = new TestNet()
    const publisher = await dtsync.publisher(net, { chain: 1 })
    const { subscriber } = await dtsync.subscriber(net)
    equal(String(await subscriber.sync(publisher.info)), String(publisher.cids[0]))
    await publisher.extend(1)
    equal(String(await subscriber.sync(publisher.info)), String(publisher.cids[0]))
    await publisher.publisher.setRoot(undefined)
    equal(await subscriber.sync(publisher.info), undefined)
  })

  it('TestDTSync_CallsBlockHookWhenCIDsAreFullyFoundLocally: in order, once each', async () => {
    await using net = new TestNet()
    const publisher = await dtsync.publisher(net, { chain: 6 })
    const seen = recorder()
    const { subscriber } = await dtsync.subscriber(net)
    await subscriber.sync(publisher.info)
    await subscriber.sync(publisher.info, { cid: publisher.cids[0], selector: dagsyncSelector(recursionLimitNone), blockHook: seen.hook })
    deepEqual(seen.texts(), publisher.cids.map(String))
  })

  it('a wrong topic is a HeadQueryError, and a publisher of another topic on the node is not taken for it', async () => {
    await using net = new TestNet()
    const publisher = await dtsync.publisher(net, { chain: 1 })
    const { subscriber } = await dtsync.subscriber(net, { topic: '/other' })
    await rejects(subscriber.sync(publisher.info), { name: 'HeadQueryError' })
  })

  it('announcements over gossip lead to syncs over libp2p', async () => {
    await using net = new TestNet()
    const publisher = await gossipPublisher(dtsync, net)
    const { subscriber } = await gossipSubscriber(dtsync, net, [publisher.node])
    const events = subscriber.onSyncFinished()
    const cids = await chain(publisher.linkSystem, 5)
    await publisher.publisher.updateRoot(cids[0])
    const { cid, count, error } = await next(events)
    equal(error, undefined)
    equal(String(cid), String(cids[0]))
    equal(count, 5)
  })

  it('publishers and subscribers share one node without being told; who has the root serves it under its own rule', async () => {
    await using net = new TestNet()
    const { libp2p, privateKey } = await nodeAndKey(net)
    const [one, two] = [createLinkSystem(), createLinkSystem()]
    const asking = await net.node()
    const first = await createPublisher({ libp2p, privateKey, linkSystem: one }, { topic: '/one', dtsync: { allowPeer: () => false } })
    const second = await createPublisher({ libp2p, privateKey, linkSystem: two }, { topic: '/two' })
    const [[rootOne], [rootTwo]] = [await chain(one, 2, { seed: 1 } as any), await chain(two, 3, { seed: 2 } as any)]
    await first.setRoot(rootOne)
    await second.setRoot(rootTwo)
    const info = { id: second.id, multiaddrs: second.addrs() }
    const subscriber = await createSubscriber({ libp2p: asking, linkSystem: createLinkSystem() }, { topic: '/two' })
    equal(String(await subscriber.sync(info)), String(rootTwo))
    await rejects(subscriber.sync(info, { cid: rootOne }), { name: 'TransferRejectedError' })
    await rejects(subscriber.sync(info, { cid: await randomCid() }), { name: 'ContentNotFoundError' })
    // a subscriber on the publishers' node
    const back = await dtsync.publisher(net, { chain: 4 })
    const here = await createSubscriber({ libp2p, linkSystem: createLinkSystem() }, { topic: TOPIC })
    equal(String(await here.sync(back.info)), String(back.cids[0]))
    await Promise.all([first.stop(), second.stop(), subscriber.stop(), here.stop()])
    deepEqual(libp2p.getProtocols().filter(protocol => /graphsync|datatransfer|legs/.test(protocol)), [])
  })

  it('a publisher that cannot be reached: an explicit sync and an announced one fail soon', async () => {
    await using net = new TestNet()
    const [id, cid] = [await randomPeer(), await randomCid()]
    const { subscriber } = await dtsync.subscriber(net, { receiver: {} })
    const events = subscriber.onSyncFinished()
    const info = { id, multiaddrs: [multiaddr('/ip4/127.0.0.1/tcp/1')] }
    await rejects(inTime(subscriber.sync(info), 10_000), { name: 'HeadQueryError' })
    await rejects(inTime(subscriber.sync(info, { cid }), 10_000), { name: 'TransferFailedError' })
    await subscriber.announce(cid, info)
    equal((await next(events, 10_000)).error?.name, 'TransferFailedError')
  })

  it('a second publisher of a topic and differing limits on one node are refused', async () => {
    await using net = new TestNet()
    const { libp2p, privateKey } = await nodeAndKey(net)
    const linkSystem = createLinkSystem()
    const first = await createPublisher({ libp2p, privateKey, linkSystem }, { topic: '/t', dtsync: { maxGraphsyncRequests: { inbound: 7 } } })
    const make = async (init: any): Promise<unknown> => createPublisher({ libp2p, privateKey, linkSystem }, init)
    await rejects(make({ topic: '/t' }), { name: 'InvalidOptionError', field: 'topic' })
    const limits = { maxGraphsyncRequests: { inbound: 8 } }
    const refused = { name: 'InvalidOptionError', field: 'maxGraphsyncRequests.inbound' }
    await rejects(make({ topic: '/u', dtsync: limits }), refused)
    await rejects(createSubscriber({ libp2p, linkSystem }, { topic: '/u', ...limits }), refused)
    await (await createSubscriber({ libp2p, linkSystem }, { topic: '/u', maxGraphsyncRequests: { inbound: 7 } })).stop()
    throws(() => new Subscriber({ libp2p, linkSystem }, { maxGraphsyncRequests: { outbound: 0 } }), { field: 'maxGraphsyncRequests.outbound' })
    await first.stop()
    await (await createPublisher({ libp2p, privateKey, linkSystem }, { topic: '/t', dtsync: limits })).stop()
  })

  it('a node with a graphsync of its own has to tell of it: the error says how', async () => {
    await using net = new TestNet()
    const libp2p = await net.node()
    await using graphsync = createGraphsync({ libp2p })
    await graphsync.start()
    const linkSystem = createLinkSystem()
    const refused = { name: 'InvalidOptionError', field: 'dataTransfer', message: /createDataTransfer/ }
    await rejects(createPublisher({ libp2p, linkSystem }, { topic: TOPIC, ipnisync: false }), refused)
    const { info, cids } = await dtsync.publisher(net, { chain: 2 })
    const { subscriber } = await net.subscriber({ topic: TOPIC, transports: ['dtsync'], components: { libp2p } })
    await rejects(subscriber.sync(info), refused)

    await using transfers = createDataTransfer({ libp2p, graphsync })
    await transfers.start()
    const other = await net.subscriber({ topic: TOPIC, dataTransfer: transfers, components: { libp2p } })
    equal(`${await other.subscriber.sync(info)}`, `${cids[0]}`)
    const init = { topic: TOPIC, ipnisync: false, dtsync: { dataTransfer: transfers } } as const
    await using publisher = await createPublisher({ libp2p, linkSystem }, init)
    equal(publisher.root, undefined)
  })

  it('DtManager: takes an existing data transfer manager, and leaves it running', async () => {
    await using net = new TestNet()
    const { libp2p, privateKey } = await nodeAndKey(net)
    const dataTransfer = createDataTransfer({ libp2p })
    await dataTransfer.start()
    const linkSystem = createLinkSystem()
    const [root] = await chain(linkSystem, 2)
    const publisher = await createPublisher({ libp2p, privateKey, linkSystem }, { topic: TOPIC, root, dtsync: { dataTransfer } })
    const { subscriber } = await dtsync.subscriber(net)
    equal(String(await subscriber.sync({ id: publisher.id, multiaddrs: publisher.addrs() })), String(root))
    await publisher.stop()
    ok(libp2p.getProtocols().includes('/fil/datatransfer/1.2.0'))
    await dataTransfer.stop()
  })

  it('createDtsyncSyncer and queryHead check what they are given', async () => {
    const peerId = await randomPeer()
    const components = { linkSystem: createLinkSystem(), libp2p: {} as Libp2p }
    for (const field of ['linkSystem', 'libp2p', 'peerId', 'topic']) {
      const lacking = { ...components, peerId, topic: TOPIC, [field]: undefined } as any
      throws(() => createDtsyncSyncer(lacking, lacking), { name: 'InvalidOptionError', field })
    }
    for (const value of [0, -1, 0.5, NaN, Infinity, '5', null] as any[]) {
      for (const field of ['headTimeout', 'stallTimeout', 'maxBlockSize']) {
        throws(() => createDtsyncSyncer(components, { peerId, topic: TOPIC, [field]: value }), { name: 'InvalidOptionError', field })
      }
      await rejects(queryHead(components, peerId, TOPIC, { timeout: value }), { name: 'InvalidOptionError', field: 'timeout' })
    }
  })

  it('createDtsyncSyncer: head and sync without a subscriber', async () => {
    await using net = new TestNet()
    const publisher = await dtsync.publisher(net, { chain: 5 })
    const linkSystem = createLinkSystem()
    await using syncer = createDtsyncSyncer(
      { linkSystem, libp2p: await net.node() }, { peerId: publisher.id, topic: TOPIC, addrs: publisher.publisher.addrs() }
    )
    const head = await syncer.head()
    const cids: string[] = []
    await syncer.sync(publisher.cids[0], dagsyncSelector(recursionLimitNone), { onBlock: ({ cid }) => { cids.push(String(cid)) } })
    equal(String(head), cids[0])
    deepEqual(cids, publisher.cids.map(String))
  })

  it('an abort in the middle ends at once; the next sync calls the hook once for each block', async () => {
    await using net = new TestNet()
    const publisher = await dtsync.publisher(net, { chain: 2_000 })
    const seen = recorder()
    const { subscriber } = await dtsync.subscriber(net)
    const controller = new AbortController()
    const reason = new Error('enough')
    let count = 0
    await rejects(subscriber.sync(publisher.info, {
      signal: controller.signal, blockHook: () => { if (++count === 10) { controller.abort(reason) } }
    }), reason)
    equal(count, 10)
    await subscriber.sync(publisher.info, { blockHook: seen.hook })
    deepEqual(seen.texts(), publisher.cids.map(String))
  })
})
