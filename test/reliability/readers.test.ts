import { describe, it } from 'node:test'
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { MemoryDatastore } from 'datastore-core'
import { TestNet } from '../../src/testing/index.ts'
import { inTime, next, rest } from '../support/hall.ts'

describe('readers of onSyncFinished()', () => {
  it('many of them see all events in order; slow and absent ones block no sync', async () => {
    await using net = new TestNet()
    const publisher = await net.publisher({ chain: 1 })
    const { subscriber } = await net.subscriber()
    const absent = subscriber.onSyncFinished()
    const readers = Array.from({ length: 20 }, () => subscriber.onSyncFinished())
    const bounded = subscriber.onSyncFinished({ maxPending: 3 })
    const reading = readers.map(async (reader, i) => {
      const cids: string[] = []
      for await (const { cid } of reader) {
        cids.push(`${cid}`)
        if (i % 2 === 0) { await new Promise(resolve => setTimeout(resolve, 1)) }
      }
      return cids
    })
    for (let i = 0; i < 30; i++) {
      await inTime(subscriber.sync(publisher.info))
      await publisher.extend(1)
    }
    await subscriber.stop()
    const expected = publisher.cids.slice(1).reverse().map(String)
    for (const cids of await Promise.all(reading)) { deepEqual(cids, expected) }
    deepEqual((await rest(absent)).map(({ cid }) => `${cid}`), expected)
    deepEqual((await rest(bounded)).map(({ cid }) => `${cid}`), expected.slice(-3))
  })

  it('latest has moved when the event comes, however slow the datastore is', async () => {
    await using net = new TestNet()
    const publisher = await net.publisher({ chain: 1 })
    const datastore = new MemoryDatastore()
    const put = datastore.put.bind(datastore)
    datastore.put = async (key, value) => {
      await new Promise(resolve => setTimeout(resolve, 5))
      return put(key, value)
    }
    const { subscriber } = await net.subscriber({ components: { datastore } })
    const checking = (async () => {
      let count = 0
      for await (const { cid, peerId } of subscriber.onSyncFinished()) {
        ok((await subscriber.getLatestSync(peerId))?.equals(cid))
        if (++count === 5) { break }
      }
    })()
    for (let i = 0; i < 5; i++) {
      await subscriber.sync(publisher.info)
      await new Promise(resolve => setImmediate(resolve))
      await publisher.extend(1)
    }
    await inTime(checking)
  })

  it('one that comes late hears what comes from then on', async () => {
    await using net = new TestNet()
    const publisher = await net.publisher({ chain: 1 })
    const { subscriber } = await net.subscriber()
    await subscriber.sync(publisher.info)
    const late = subscriber.onSyncFinished()
    const [head] = await publisher.extend(1)
    await subscriber.sync(publisher.info)
    ok((await next(late)).cid.equals(head))
  })

  it('one that is registered before start() hears all; one after stop() has ended; start() gives new ones', async () => {
    await using net = new TestNet()
    const publisher = await net.publisher({ chain: 1 })
    const { subscriber } = await net.subscriber()
    await subscriber.stop()
    equal((await subscriber.onSyncFinished().next()).done, true)
    await subscriber.start()
    const events = subscriber.onSyncFinished()
    await subscriber.sync(publisher.info)
    ok((await next(events)).cid.equals(publisher.cids[0]))
  })

  it('one that syncs in its loop does not stop the others', async () => {
    await using net = new TestNet()
    const publisher = await net.publisher({ chain: 1 })
    const { subscriber } = await net.subscriber({ receiver: {} })
    const other = subscriber.onSyncFinished()
    const syncing = (async () => {
      for await (const { count } of subscriber.onSyncFinished()) {
        if (count === 0) { break }
        await subscriber.sync(publisher.info)
      }
    })()
    await subscriber.announce(publisher.cids[0], publisher.info)
    await inTime(syncing)
    deepEqual([(await next(other)).count, (await next(other)).count], [1, 0])
  })

  it('leaves a loop that throws, as any iterator', async () => {
    await using net = new TestNet()
    const publisher = await net.publisher({ chain: 1 })
    const { subscriber } = await net.subscriber()
    const events = subscriber.onSyncFinished()
    await subscriber.sync(publisher.info)
    const reading = (async () => { for await (const { count } of events) { if (count === 1) { throw new Error('reader') } } })()
    await rejects(reading, /reader/)
    equal((await events.next()).done, true)
  })
})
