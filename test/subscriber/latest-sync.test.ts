import { before, describe, it } from 'node:test'
import { deepEqual, equal, rejects } from 'node:assert/strict'
import type { PeerId } from '@libp2p/interface'
import { MemoryDatastore } from 'datastore-core'
import { Key } from 'interface-datastore'
import type { CID } from 'multiformats/cid'
import { LatestSync } from '../../src/subscriber/latest-sync.ts'
import { randomCid, randomPeer, TOPIC } from '../support/hall.ts'

describe('latest sync', () => {
  let peer: PeerId
  let cid: CID
  let known: CID

  before(async () => {
    peer = await randomPeer()
    cid = await randomCid()
    known = await randomCid()
  })

  for (const [where, datastore] of [['memory', () => undefined], ['a datastore', () => new MemoryDatastore()]] as const) {
    it(`is kept per publisher in ${where}`, async () => {
      const latest = new LatestSync({ datastore: datastore(), topic: TOPIC })
      equal(await latest.get(peer), undefined)
      await latest.set(peer, cid)
      equal((await latest.get(peer))?.equals(cid), true)
      equal(await latest.get(await randomPeer()), undefined)
    })

    it(`asks lastKnownSync for what is not in ${where}, and only for that`, async () => {
      const asked: string[] = []
      const lastKnownSync = async (publisher: PeerId): Promise<CID> => {
        asked.push(publisher.toString())
        return known
      }
      const latest = new LatestSync({ datastore: datastore(), topic: TOPIC, lastKnownSync })
      equal((await latest.get(peer))?.equals(known), true)
      await latest.set(peer, cid)
      equal((await latest.get(peer))?.equals(cid), true)
      deepEqual(asked, [peer.toString()])
    })
  }

  it('has its place in the datastore', async () => {
    const datastore = new MemoryDatastore()
    await new LatestSync({ datastore, topic: TOPIC }).set(peer, cid)
    deepEqual(await datastore.get(new Key(`/dagsync/v1/${TOPIC}/latest/${peer}`)), cid.bytes)
  })

  it('of one topic is not that of another', async () => {
    const datastore = new MemoryDatastore()
    await new LatestSync({ datastore, topic: '/a' }).set(peer, cid)
    equal(await new LatestSync({ datastore, topic: '/b' }).get(peer), undefined)
    equal((await new LatestSync({ datastore, topic: '/a' }).get(peer))?.equals(cid), true)
  })

  it('does not take a failing datastore for an empty one', async () => {
    const datastore = new MemoryDatastore()
    datastore.get = () => { throw new Error('the disk is gone') }
    const latest = new LatestSync({ datastore, topic: TOPIC, lastKnownSync: () => known })
    await rejects(latest.get(peer), /the disk is gone/)
  })
})
