import { describe, it } from 'node:test'
import { equal, rejects } from 'node:assert/strict'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { createPublisher } from '../../src/index.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { chain, TestNet } from '../../src/testing/index.ts'
import { inTime, TOPIC } from '../support/hall.ts'
import { transports } from '../support/transports.ts'

const [http, , dtsync] = transports
// what TypeScript refuses
const promised = (async () => false) as never
const rejecting = (async () => { throw new Error('no list of peers') }) as never

for (const [what, allowPeer] of [['gives a promise', promised], ['gives a promise that rejects, which does not end the process', rejecting]] as const) {
  describe(`an allowPeer that ${what}`, () => {
    it('lets no announcement in: announce() says why', async () => {
      await using net = new TestNet()
      const { info, cids } = await http.publisher(net, { chain: 1 })
      const { subscriber } = await http.subscriber(net, { receiver: { allowPeer } })
      const announced = subscriber.announce(cids[0], info)
      await rejects(announced, { name: 'InvalidOptionError', field: 'allowPeer' })
      equal(await subscriber.getLatestSync(info.id), undefined)
    })

    it('serves nobody over dtsync', async () => {
      await using net = new TestNet()
      const { info } = await dtsync.publisher(net, { chain: 1, dtsync: { allowPeer } })
      const { subscriber } = await dtsync.subscriber(net)
      await rejects(inTime(subscriber.sync(info)), { name: 'TransferRejectedError' })
    })
  })
}

describe('an allowPeer that throws', () => {
  it('refuses for its own publisher, and not for another one on the node', async () => {
    await using net = new TestNet()
    const privateKey = await generateKeyPair('Ed25519')
    const libp2p = await net.node({ privateKey })
    const linkSystem = createLinkSystem()
    const [root] = await chain(linkSystem, 1)
    const fails = (): never => { throw new Error('no list of peers') }
    await using bad = await createPublisher({ libp2p, privateKey, linkSystem: createLinkSystem() }, {
      topic: '/bad', root, ipnisync: false, dtsync: { allowPeer: fails }
    })
    const target = { id: bad.id, multiaddrs: bad.addrs() }
    const refused = await dtsync.subscriber(net, { topic: '/bad' })
    await rejects(inTime(refused.subscriber.sync(target)), { name: 'TransferRejectedError' })
    await using good = await createPublisher({ libp2p, privateKey, linkSystem }, { topic: TOPIC, root, ipnisync: false })
    const { subscriber } = await dtsync.subscriber(net)
    equal((await inTime(subscriber.sync({ ...target, id: good.id })))?.equals(root), true)
  })
})
