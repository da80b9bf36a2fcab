import { deepEqual, equal, rejects } from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Libp2p } from '@libp2p/interface'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { MemoryBlockstore } from 'blockstore-core'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { Subscriber } from '../../src/subscriber/subscriber.ts'
import { headProtocol } from '../../src/syncers/dtsync/index.ts'
import { createDtsyncSyncer } from '../../src/syncers/dtsync/sync.ts'
import { TestNet, type TestPublisher } from '../../src/testing/index.ts'
import { createDataTransfer } from '../../src/wire/data-transfer/index.ts'
import { inTime, rest, TOPIC } from '../support/hall.ts'
import { transports } from '../support/transports.ts'

const [dtsync, ipnisync] = transports.filter(({ isHttp }) => !isHttp)

/** The node's unhandle() tells that it was called, and waits. */
function heldUnhandle (libp2p: Libp2p): Record<'reached' | 'gate', PromiseWithResolvers<void>> {
  const unhandle = libp2p.unhandle.bind(libp2p)
  const [reached, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  libp2p.unhandle = async protocols => {
    reached.resolve()
    await gate.promise
    await unhandle(protocols)
  }
  return { reached, gate }
}

describe('publishers and subscribers of one node', () => {
  it('with limits that differ: the later one has none, until the other one has left the node', async () => {
    await using net = new TestNet()
    const { info, cids } = await dtsync.publisher(net, { chain: 1 })
    const libp2p = await net.node()
    const first = await dtsync.subscriber(net, { components: { libp2p }, maxGraphsyncRequests: { outbound: 7 } })
    const second = await dtsync.subscriber(net, { components: { libp2p }, maxGraphsyncRequests: { outbound: 8 } })
    equal(String(await first.subscriber.sync(info)), String(cids[0]))
    await rejects(second.subscriber.sync(info), { name: 'InvalidOptionError', field: 'maxGraphsyncRequests.outbound' })
    await first.subscriber.stop()
    equal(String(await inTime(second.subscriber.sync(info))), String(cids[0]))
  })

  for (const transport of [dtsync, ipnisync]) {
    it(`one whose store fails keeps nobody from the blocks of another one (${transport.name})`, async () => {
      await using net = new TestNet()
      const privateKey = await generateKeyPair('Ed25519')
      const libp2p = await net.node({ privateKey })
      const broken = new MemoryBlockstore()
      broken.has = broken.get = () => { throw new Error('the disk is gone') }
      const components = { libp2p, privateKey }
      await transport.publisher(net, { topic: '/broken', components: { ...components, linkSystem: createLinkSystem({ blockstore: broken }) } })
      const { info, cids } = await transport.publisher(net, { chain: 2, components })
      const { subscriber } = await transport.subscriber(net)
      await inTime(subscriber.sync(info, { cid: cids[0] }))
    })
  }

  it('a publisher that leaves takes nothing from another one, and is served when it comes again (dtsync)', async () => {
    await using net = new TestNet()
    const privateKey = await generateKeyPair('Ed25519')
    const libp2p = await net.node({ privateKey })
    const components = { libp2p, privateKey }
    const one = await dtsync.publisher(net, { topic: '/one', chain: 1, components })
    const other = await dtsync.publisher(net, { topic: '/other', chain: 1, components })
    const syncs = async ({ info, cids }: TestPublisher, topic: string): Promise<void> => {
      const { subscriber } = await dtsync.subscriber(net, { topic })
      equal(String(await inTime(subscriber.sync(info))), String(cids[0]))
    }
    await one.publisher.stop()
    await syncs(other, '/other')
    await one.publisher.start()
    await syncs(one, '/one')
  })

  it('the last publisher that leaves is served when it comes again, beside a subscriber that has stayed (dtsync)', async () => {
    await using net = new TestNet()
    const privateKey = await generateKeyPair('Ed25519')
    const libp2p = await net.node({ privateKey })
    const { publisher, info, cids } = await dtsync.publisher(net, { chain: 1, components: { libp2p, privateKey } })
    const stays = await dtsync.subscriber(net, { components: { libp2p } })
    await inTime(stays.subscriber.sync((await dtsync.publisher(net, { chain: 1 })).info))
    await publisher.stop()
    await publisher.start()
    const { subscriber } = await dtsync.subscriber(net)
    equal(String(await inTime(subscriber.sync(info))), String(cids[0]))
  })

  it('a data transfer manager that a publisher was given serves nothing of it when it is stopped, and again when it is started', async () => {
    await using net = new TestNet()
    const privateKey = await generateKeyPair('Ed25519')
    const libp2p = await net.node({ privateKey })
    await using dataTransfer = createDataTransfer({ libp2p })
    await dataTransfer.start()
    const components = { libp2p, privateKey }
    const { publisher, info, cids } = await dtsync.publisher(net, { chain: 1, dtsync: { dataTransfer }, components })
    const sync = async (): Promise<unknown> => {
      const { subscriber } = await dtsync.subscriber(net)
      return inTime(subscriber.sync(info, { cid: cids[0] }))
    }
    await sync()
    for (let i = 0; i < 2; i++) {
      await publisher.stop()
      await rejects(sync(), { name: 'TransferRejectedError' })
      await publisher.start()
      await sync()
    }
  })

  it('requests that come while the last one leaves are answered as before (ipnisync)', async () => {
    await using net = new TestNet()
    const privateKey = await generateKeyPair('Ed25519')
    const libp2p = await net.node({ privateKey })
    const { publisher, info, cids } = await ipnisync.publisher(net, { chain: 2, components: { libp2p, privateKey } })
    const { subscriber } = await ipnisync.subscriber(net, { httpRetry: false })
    await subscriber.sync(info, { cid: cids[1] }) // which keeps a stream
    const { reached, gate } = heldUnhandle(libp2p)
    const stopping = publisher.stop()
    await reached.promise
    await inTime(subscriber.sync(info, { cid: cids[0] })).finally(gate.resolve)
    await stopping
  })

  it('one that cannot start has left nothing behind: another one can', async () => {
    await using net = new TestNet()
    const privateKey = await generateKeyPair('Ed25519')
    const libp2p = await net.node({ privateKey })
    const protocols = (): string[] => libp2p.getProtocols().filter(protocol => /graphsync|datatransfer|legs/.test(protocol))
    const protocol = headProtocol(TOPIC)
    await libp2p.handle(protocol, () => {})
    await rejects(dtsync.publisher(net, { components: { libp2p, privateKey } }), { name: 'DuplicateProtocolHandlerError' })
    deepEqual(protocols(), [protocol])
    await libp2p.unhandle(protocol)
    const { info, cids } = await dtsync.publisher(net, { chain: 1, components: { libp2p, privateKey } })
    const { subscriber } = await dtsync.subscriber(net)
    equal(String(await subscriber.sync(info)), String(cids[0]))
  })

  it('one whose stop fails has left all the same: the protocols are free', async () => {
    await using net = new TestNet()
    const privateKey = await generateKeyPair('Ed25519')
    const libp2p = await net.node({ privateKey })
    const { publisher } = await dtsync.publisher(net, { components: { libp2p, privateKey } })
    const unhandle = libp2p.unhandle.bind(libp2p)
    libp2p.unhandle = async protocols => {
      await unhandle(protocols)
      if (String(protocols).startsWith('/legs/head')) { throw new Error('the peer store is gone') }
    }
    const before = libp2p.getProtocols().filter(protocol => /graphsync|datatransfer|legs/.test(protocol)).length
    equal(before, 3)
    await rejects(publisher.stop(), /the peer store is gone/)
    equal(libp2p.getProtocols().filter(protocol => /graphsync|datatransfer|legs/.test(protocol)).length, 0)
  })

  it('a subscriber whose stop fails has left all the same, and its readers end', async () => {
    await using net = new TestNet()
    const { info } = await dtsync.publisher(net, { chain: 1 })
    const libp2p = await net.node()
    const subscriber = new Subscriber({ libp2p, linkSystem: createLinkSystem() }, { topic: TOPIC })
    await subscriber.start()
    const events = subscriber.onSyncFinished()
    await subscriber.sync(info)
    const unhandle = libp2p.unhandle.bind(libp2p)
    libp2p.unhandle = async protocols => {
      await unhandle(protocols)
      throw new Error('the peer store is gone')
    }
    await rejects(subscriber.stop(), /the peer store is gone/)
    equal((await rest(events)).length, 1)
    equal(libp2p.getProtocols().filter(protocol => /graphsync|datatransfer/.test(protocol)).length, 0)
  })

  it('one that comes while the last one leaves waits for that (dtsync)', async () => {
    await using net = new TestNet()
    const { info, cids } = await dtsync.publisher(net, { chain: 1 })
    const libp2p = await net.node()
    const first = await dtsync.subscriber(net, { components: { libp2p } })
    const second = await dtsync.subscriber(net, { components: { libp2p } })
    await first.subscriber.sync(info)
    const { reached, gate } = heldUnhandle(libp2p)
    const stopping = first.subscriber.stop()
    await reached.promise
    const sync = second.subscriber.sync(info)
    gate.resolve()
    equal(String(await inTime(sync)), String(cids[0]))
    await stopping
  })

  it('a syncer that is stopped while it joins, in vain, has stopped all the same; it joins no more', async () => {
    await using net = new TestNet()
    const { info } = await dtsync.publisher(net, { chain: 1 })
    const libp2p = await net.node()
    await libp2p.peerStore.merge(info.id, { multiaddrs: info.multiaddrs })
    const syncer = createDtsyncSyncer({ libp2p, linkSystem: createLinkSystem() }, { peerId: info.id, topic: TOPIC })
    const { handle } = libp2p
    const [reached, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    libp2p.handle = async () => {
      reached.resolve()
      await gate.promise
      throw new Error('the peer store is gone')
    }
    const asked = rejects(syncer.head(), /the peer store is gone/)
    await reached.promise
    const stopping = syncer.stop()
    gate.resolve()
    await Promise.all([asked, stopping])
    libp2p.handle = handle
    await rejects(syncer.head(), { name: 'TransferFailedError', message: /stopped/ })
    deepEqual(libp2p.getProtocols().filter(protocol => /graphsync|datatransfer/.test(protocol)), [])
  })
})
