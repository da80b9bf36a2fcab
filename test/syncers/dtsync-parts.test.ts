import { deepEqual, equal } from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import type { Libp2p, PrivateKey } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import type { SyncedBlock } from '../../src/shared/types.ts'
import { createLinkSystem } from '../../src/index.ts'
import { createDtsyncSyncer } from '../../src/syncers/index.ts'
import { TestNet, type TestPublisher } from '../../src/testing/index.ts'
import { dagsyncSelector, recursionLimitNone } from '../../src/traversal/index.ts'
import { recorder, TOPIC } from '../support/hall.ts'

/** A node that calls itself Go's, as far as identify goes. */
async function nodeOf (privateKey: PrivateKey, userAgent?: string): Promise<Libp2p> {
  return createLibp2p({
    privateKey,
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify() },
    ...(userAgent != null && { nodeInfo: { userAgent } })
  })
}

interface Setup extends AsyncDisposable { net: TestNet, publisher: TestPublisher, pulls: () => number }

async function start (chain: number, userAgent?: string): Promise<Setup> {
  const net = new TestNet()
  const privateKey = await generateKeyPair('Ed25519')
  const libp2p = await nodeOf(privateKey, userAgent)
  let pulls = 0
  const allowPeer = (): boolean => ++pulls > 0
  const components = { libp2p, privateKey }
  const publisher = await net.publisher({ http: false, ipnisync: false, dtsync: { allowPeer }, topic: TOPIC, chain, components })
  return {
    net,
    publisher,
    pulls: () => pulls,
    async [Symbol.asyncDispose] () {
      await net[Symbol.asyncDispose]()
      await libp2p.stop()
    }
  }
}

describe('a long chain over dtsync', () => {
  for (const [who, userAgent, pulls] of [['this package', undefined, 1], ['Go', 'go-libp2p/0.26.3', 3]] as const) {
    it(`comes in ${pulls} pull(s) from a publisher of ${who}, each block once and in order`, async () => {
      await using setup = await start(2_500, userAgent)
      const { net, publisher } = setup
      const seen = recorder()
      const depths: Array<number | undefined> = []
      const { subscriber } = await net.subscriber({
        topic: TOPIC, transports: ['dtsync'], blockHook: seen.hook, components: { libp2p: await net.node() }
      })
      await subscriber.sync(publisher.info, {
        onProgress: event => { if (event.type === 'dagsync:block') { depths.push((event.detail as SyncedBlock).depth) } }
      })
      deepEqual(seen.texts(), publisher.cids.map(String))
      deepEqual(depths, publisher.cids.map((_, i) => i))
      equal(setup.pulls(), pulls)
      deepEqual(await subscriber.getLatestSync(publisher.id), publisher.cids[0])
    })
  }

  for (const [who, userAgent, pulls] of [['this package', undefined, 1], ['Go', 'go-libp2p/0.26.3', 3]] as const) {
    it(`comes in ${pulls} pull(s) from a publisher of ${who} that is asked for a CID before it has said who it is`, async () => {
      await using setup = await start(2_500, userAgent)
      const { net, publisher } = setup
      const seen = recorder()
      const libp2p = await net.node()
      const identified = once(libp2p as EventTarget, 'peer:identify')
      await using syncer = createDtsyncSyncer(
        { libp2p, linkSystem: createLinkSystem() }, { peerId: publisher.id, addrs: publisher.info.multiaddrs, topic: TOPIC })
      await syncer.sync(publisher.cids[0], dagsyncSelector(recursionLimitNone), {
        onBlock: async ({ cid }) => {
          seen.cids.push(cid)
          await identified
        }
      })
      deepEqual(seen.texts(), publisher.cids.map(String))
      equal(setup.pulls(), pulls)
    })
  }

  it('stops at the latest sync in whatever part that is, and at a depth', async () => {
    await using setup = await start(1, 'go-libp2p/0.26.3')
    const { net, publisher } = setup
    const seen = recorder()
    const { subscriber } = await net.subscriber({
      topic: TOPIC, transports: ['dtsync'], blockHook: seen.hook, components: { libp2p: await net.node() }
    })
    await subscriber.sync(publisher.info)
    await publisher.extend(1_200)
    seen.cids.length = 0
    await subscriber.sync(publisher.info)
    deepEqual([seen.cids.length, setup.pulls()], [1_200, 3])
    seen.cids.length = 0
    await subscriber.sync(publisher.info, { resync: true, depthLimit: 1_100 })
    equal(seen.cids.length, 1_100)
  })
})
