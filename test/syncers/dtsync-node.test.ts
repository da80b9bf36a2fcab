import { equal, rejects } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { MemoryBlockstore } from 'blockstore-core'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { TestNet } from '../../src/testing/index.ts'
import { inTime } from '../support/hall.ts'
import { transports } from '../support/transports.ts'

const dtsync = transports.find(({ name }) => name === 'dtsync') as typeof transports[number]

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

  it('one whose store fails keeps nobody from the blocks of another one', async () => {
    await using net = new TestNet()
    const privateKey = await generateKeyPair('Ed25519')
    const libp2p = await net.node({ privateKey })
    const blockstore = new MemoryBlockstore()
    blockstore.has = () => { throw new Error('the disk is gone') }
    const components = { libp2p, privateKey }
    await dtsync.publisher(net, { topic: '/broken', components: { ...components, linkSystem: createLinkSystem({ blockstore }) } })
    const { info, cids } = await dtsync.publisher(net, { chain: 2, components })
    const { subscriber } = await dtsync.subscriber(net)
    equal(String(await inTime(subscriber.sync(info))), String(cids[0]))
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
})
