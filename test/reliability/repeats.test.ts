import { describe, it } from 'node:test'
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { inTime, next, recorder } from '../support/hall.ts'
import { doubling } from '../support/ads.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { TestNet } from '../../src/testing/index.ts'
import { transports } from '../support/transports.ts'

for (const transport of transports) {
  describe(`blocks that a sync comes to again (${transport.name})`, () => {
    it('without end: ended by name, and soon; nothing is synced, and the next publisher has its turn', async () => {
      await using net = new TestNet()
      const linkSystem = createLinkSystem()
      const root = await doubling(linkSystem, 50)
      const hostile = await transport.publisher(net, { root, components: { linkSystem } })
      const { info, cids } = await transport.publisher(net, { chain: 3 })
      const { subscriber } = await transport.subscriber(net, { receiver: {}, maxAsyncSyncs: 1, repeatLimit: 1_000 })
      const seen = recorder()
      await rejects(inTime(subscriber.sync(hostile.info, { blockHook: seen.hook })), { name: 'RepeatLimitError', limit: 1_000 })
      ok(seen.cids.length > 1_000 && seen.cids.length < 2_100, `${seen.cids.length} blocks`)
      await rejects(inTime(subscriber.sync(hostile.info, { repeatLimit: 10 })), { name: 'RepeatLimitError', limit: 10 })

      const events = subscriber.onSyncFinished()
      await subscriber.announce(root, hostile.info)
      await subscriber.announce(cids[0], info)
      const failed = await next(events)
      deepEqual([failed.error?.name, failed.cid.toString()], ['RepeatLimitError', root.toString()])
      equal((await next(events)).count, 3)
      equal(await subscriber.getLatestSync(hostile.id), undefined)
    })

    it('as often as it comes to others: as advertisements that share their entries', async () => {
      await using net = new TestNet()
      const linkSystem = createLinkSystem()
      const shared = await linkSystem.store({ Entries: ['a'] })
      let root = await linkSystem.store({ Entries: shared })
      for (let i = 0; i < 200; i++) { root = await linkSystem.store({ Entries: shared, PreviousID: root }) }
      const { info } = await transport.publisher(net, { root, components: { linkSystem } })
      const { subscriber } = await transport.subscriber(net, { repeatLimit: 10 })
      const { hook, cids } = recorder()
      ok((await inTime(subscriber.sync(info, { blockHook: hook })))?.equals(root))
      equal(cids.length, 402)
    })
  })
}

describe('the limit of repeats', () => {
  it('is a whole number above zero, or false', async () => {
    await using net = new TestNet()
    const { info } = await net.publisher({ chain: 1 })
    await rejects(net.subscriber({ repeatLimit: 0 }), { name: 'InvalidOptionError', field: 'repeatLimit' })
    const { subscriber } = await net.subscriber({ repeatLimit: false })
    await rejects(subscriber.sync(info, { repeatLimit: 1.5 }), { name: 'InvalidOptionError', field: 'repeatLimit' })
    ok(await subscriber.sync(info))
  })
})
