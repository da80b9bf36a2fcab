import { deepEqual, equal, rejects } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { TestNet } from '../../src/testing/index.ts'
import type { TestPublisher } from '../../src/testing/index.ts'
import { createDataTransfer } from '../../src/wire/data-transfer/index.ts'
import { inTime, recorder } from '../support/hall.ts'
import { transports } from '../support/transports.ts'
import { gate } from '../wire/data-transfer/kit.ts'
import type { Gate } from '../wire/data-transfer/kit.ts'

const dtsync = transports.find(({ name }) => name === 'dtsync') as typeof transports[number]

interface Midway { publisher: TestPublisher, sync: Promise<unknown>, held: Gate, given: string[] }

/** Two publishers on one node, and a sync of each that has come to the middle. */
async function midway (net: TestNet, own: boolean): Promise<Midway[]> {
  const privateKey = await generateKeyPair('Ed25519')
  const libp2p = await net.node({ privateKey })
  const dataTransfer = own ? createDataTransfer({ libp2p }) : undefined
  await dataTransfer?.start()
  return await Promise.all(['/one', '/two'].map(async topic => {
    const components = { libp2p, privateKey, linkSystem: createLinkSystem() }
    const publisher = await dtsync.publisher(net, { chain: 6, topic, components, dtsync: { dataTransfer } })
    const held = gate(publisher.linkSystem, publisher.cids[3])
    const seen = recorder()
    const { subscriber } = await dtsync.subscriber(net, { topic, blockHook: seen.hook })
    const sync = subscriber.sync(publisher.info)
    sync.catch(() => {})
    await inTime(held.reached)
    return { publisher, sync, held, get given () { return seen.texts() } }
  }))
}

describe('a dtsync publisher that is stopped in the middle of a sync', () => {
  for (const own of [false, true]) {
    it(`ends it at once, with ${own ? 'a data transfer that was passed in' : 'another publisher on the node'}, and none of another one`, async () => {
      await using net = new TestNet()
      const [one, two] = await midway(net, own)
      await one.publisher.publisher.stop()
      await inTime(rejects(one.sync, { name: 'TransferFailedError' }), 1_000)
      one.held.open()
      two.held.open()
      await inTime(two.sync)
      deepEqual(one.given, one.publisher.cids.slice(0, 3).map(String))
      deepEqual(two.given, two.publisher.cids.map(String))
    })
  }

  it('has it resumed when it is started again soon', async () => {
    await using net = new TestNet()
    const publisher = await dtsync.publisher(net, { chain: 6 })
    const held = gate(publisher.linkSystem, publisher.cids[3], { once: true })
    const seen = recorder()
    const { subscriber } = await dtsync.subscriber(net, { blockHook: seen.hook })
    const sync = subscriber.sync(publisher.info)
    await inTime(held.reached)
    await publisher.publisher.stop()
    held.open()
    await publisher.publisher.start()
    equal(String(await inTime(sync)), String(publisher.cids[0]))
    deepEqual(seen.texts(), publisher.cids.map(String))
  })
})
