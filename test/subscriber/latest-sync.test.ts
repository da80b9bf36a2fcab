import { before, describe, it } from 'node:test'
import { deepEqual, equal, rejects } from 'node:assert/strict'
import { runInNewContext } from 'node:vm'
import type { PeerId } from '@libp2p/interface'
import { MemoryDatastore } from 'datastore-core'
import { Key } from 'interface-datastore'
import type { CID } from 'multiformats/cid'
import { LatestSync } from '../../src/subscriber/latest-sync.ts'
import { inTime, randomCid, randomPeer, TOPIC } from '../support/hall.ts'

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

  it('takes a CID of another copy of multiformats from lastKnownSync, and names it where it gives something else', async () => {
    const { code, version, multihash, bytes } = cid
    const foreign: any = { code, version, multihash, bytes, '/': bytes }
    equal(typeof (await new LatestSync({ lastKnownSync: () => foreign }).get(peer))?.equals, 'function')
    const text = new LatestSync({ lastKnownSync: (): any => cid.toString() })
    await rejects(text.get(peer), { name: 'InvalidOptionError', field: 'lastKnownSync' })
  })

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

  it('takes what its datastore lacks for missing, also where the error is of another realm', async () => {
    const datastore = new MemoryDatastore()
    datastore.get = () => { throw Object.assign(runInNewContext('new Error("none")'), { name: 'NotFoundError' }) }
    const latest = new LatestSync({ datastore, topic: TOPIC, lastKnownSync: () => known })
    equal((await latest.get(peer))?.equals(known), true)
  })

  it('says where what is stored is no CID; setting it mends that', async () => {
    const datastore = new MemoryDatastore()
    const key = new Key(`/dagsync/v1/${TOPIC}/latest/${peer}`)
    const latest = new LatestSync({ datastore, topic: TOPIC, lastKnownSync: () => known })
    for (const bytes of [new Uint8Array(), Uint8Array.of(1, 2, 3), cid.bytes.subarray(0, 20)]) {
      await datastore.put(key, bytes)
      await rejects(latest.get(peer), error => {
        const { name, field, message } = error as any
        deepEqual([name, field], ['InvalidOptionError', 'datastore'])
        return message.includes(String(key))
      })
    }
    await latest.set(peer, cid)
    equal((await latest.get(peer))?.equals(cid), true)
  })

  it('can be aborted where a datastore hangs', async () => {
    const datastore = new MemoryDatastore()
    datastore.get = datastore.put = (async () => new Promise(() => {})) as never
    const latest = new LatestSync({ datastore, topic: TOPIC })
    const options = { signal: AbortSignal.timeout(20) }
    await rejects(inTime(latest.get(peer, options)), { name: 'TimeoutError' })
    await rejects(inTime(latest.set(peer, cid, options)), { name: 'TimeoutError' })
  })

  it('is written in the order of the calls, and one that fails holds up no other', async () => {
    const datastore = new MemoryDatastore()
    const put = datastore.put.bind(datastore)
    const gate = Promise.withResolvers<void>()
    let calls = 0
    datastore.put = (async (...args: Parameters<typeof put>) => {
      const call = ++calls
      if (call === 1) { await gate.promise }
      if (call === 2) { throw new Error('the disk is full') }
      return put(...args)
    }) as never
    const latest = new LatestSync({ datastore, topic: TOPIC })
    const writes = [latest.set(peer, known), latest.set(peer, known), latest.set(peer, cid)]
    const second = rejects(writes[1], /the disk is full/)
    gate.resolve()
    await Promise.all([writes[0], second, writes[2]])
    equal((await latest.get(peer))?.equals(cid), true)
  })
})
