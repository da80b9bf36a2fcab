import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { MemoryDatastore } from 'datastore-core'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { readBlock } from '../../src/store/read.ts'
import { TestNet } from '../../src/testing/index.ts'
import { next, randomCid, recorder } from '../support/hall.ts'
import { faultyTransports, transports, type Transport } from '../support/transports.ts'

const LENGTH = 8

describe('resuming', () => {
  for (const transport of faultyTransports) {
    it(`after an end at any block: no gap, and only the rest is fetched (${transport.name})`, async () => {
      await using net = new TestNet()
      const { publisher, cids } = await transport.faulty(net, { chain: LENGTH })
      for (let fetched = 0; fetched <= LENGTH; fetched++) {
        const components = { linkSystem: createLinkSystem(), datastore: new MemoryDatastore() }
        const first = await transport.subscriber(net, { components, httpRetry: false })
        const seen = recorder()
        publisher.resetAfter(1 + fetched) // the head, and so many blocks
        const sync = first.subscriber.sync(publisher.info, { blockHook: seen.hook })
        if (fetched < LENGTH) { await rejects(sync, { name: 'TransferFailedError' }) } else { await sync }
        equal(seen.cids.length, fetched)
        await first.subscriber.stop()

        publisher.script = undefined
        const asked = publisher.requests.length
        const second = await transport.subscriber(net, { components })
        const again = recorder()
        await second.subscriber.sync(publisher.info, { blockHook: again.hook })
        deepEqual(again.texts(), fetched < LENGTH ? cids.map(String) : [])
        equal(publisher.requests.length - asked, 1 + LENGTH - fetched)
        ok((await second.subscriber.getLatestSync(publisher.id))?.equals(cids[0]))
      }
    })
  }

  it('after a hook that failed at any block: every block is told, in order', async () => {
    await using net = new TestNet()
    const { info, cids } = await net.publisher({ chain: LENGTH })
    const { subscriber } = await net.subscriber()
    const { subscriber: other } = await net.subscriber({ segmentDepthLimit: 3 })
    for (const one of [subscriber, other]) {
      for (let bad = 1; bad <= LENGTH; bad++) {
        let calls = 0
        await rejects(one.sync(info, {
          blockHook: (_peerId, cid, { setNextSyncCid }) => {
            if (++calls === bad) { throw new Error('not yet') }
            setNextSyncCid(cids[cids.findIndex(other => other.equals(cid)) + 1])
          }
        }), { name: 'BlockHookError' })
        equal(calls, bad)
      }
      const { hook, texts } = recorder()
      await one.sync(info, { blockHook: hook, segmentDepthLimit: false })
      deepEqual(texts(), cids.map(String))
    }
  })

  it('with the latest sync of a datastore, also when lastKnownSync says otherwise', async () => {
    await using net = new TestNet()
    const publisher = await net.publisher({ chain: 4 })
    const datastore = new MemoryDatastore()
    const { cids, id, info } = publisher
    const first = await net.subscriber({ topic: '/a', components: { datastore } })
    await first.subscriber.sync(info)
    await first.subscriber.stop()

    const [head, second] = await publisher.extend(2)
    const { hook, texts } = recorder()
    let asked = 0
    const { subscriber } = await net.subscriber({
      topic: '/a',
      components: { datastore },
      lastKnownSync: () => {
        asked++
        return cids[cids.length - 1]
      }
    })
    await subscriber.sync(info, { blockHook: hook })
    deepEqual(texts(), [head, second].map(String))
    equal(asked, 0)
    ok((await subscriber.getLatestSync(id))?.equals(head))
    await subscriber.stop()
    ok((await subscriber.getLatestSync(id))?.equals(head))
    await subscriber.start()
    ok((await subscriber.getLatestSync(id))?.equals(head))
  })

  it('with lastKnownSync where nothing is stored; what it throws fails the sync', async () => {
    await using net = new TestNet()
    const { info, cids, id } = await net.publisher({ chain: 4 })
    const { subscriber } = await net.subscriber({ lastKnownSync: async peer => peer.equals(id) ? cids[2] : undefined })
    const { hook, texts } = recorder()
    await subscriber.sync(info, { blockHook: hook })
    deepEqual(texts(), cids.slice(0, 2).map(String))

    const { subscriber: failing } = await net.subscriber({ lastKnownSync: () => { throw new Error('no records') } })
    await rejects(failing.sync(info), /no records/)
  })
})

describe('resuming over dtsync', () => {
  it('lets the event loop turn while it walks over what is stored here, so that it can be aborted', async () => {
    await using net = new TestNet()
    const dtsync = transports.find(({ name }) => name === 'dtsync') as Transport
    const { info, cids, linkSystem: source } = await dtsync.publisher(net, { chain: 20_000 })
    const { subscriber, linkSystem } = await dtsync.subscriber(net)
    for (const cid of cids) { await linkSystem.put(cid, await readBlock(source.blockstore, cid)) }
    const controller = new AbortController()
    let calls = 0
    await rejects(subscriber.sync(info, {
      signal: controller.signal,
      blockHook: () => { if (calls++ === 0) { setImmediate(() => { controller.abort(new Error('enough')) }) } }
    }), /enough/)
    ok(calls < cids.length, `${calls} blocks`)
  })

  it('does not stall while a slow publisher walks for long over what is stored here', async () => {
    await using net = new TestNet()
    const dtsync = transports.find(({ name }) => name === 'dtsync') as Transport
    const { info, cids, linkSystem: source } = await dtsync.publisher(net, { chain: 60 })
    const { subscriber, linkSystem } = await dtsync.subscriber(net, { stallTimeout: 400 })
    for (const cid of cids.slice(0, 50)) { await linkSystem.put(cid, await readBlock(source.blockstore, cid)) }
    const get = source.blockstore.get.bind(source.blockstore)
    source.blockstore.get = async function * (cid, options) {
      await delay(20)
      yield * get(cid, options)
    }
    const seen = recorder()
    await subscriber.sync(info, { blockHook: seen.hook })
    deepEqual(seen.texts(), cids.map(String))
  })
})

describe('the stop link', () => {
  it('may be anywhere in the chain', async () => {
    await using net = new TestNet()
    const { info, cids, id } = await net.publisher({ chain: LENGTH })
    for (let at = 0; at < LENGTH; at++) {
      for (const local of [false, true]) {
        const { subscriber } = await net.subscriber()
        if (local) { await subscriber.sync(info, { cid: cids[0] }) }
        await subscriber.setLatestSync(id, cids[at])
        const events = subscriber.onSyncFinished()
        const { hook, texts } = recorder()
        ok((await subscriber.sync(info, { blockHook: hook }))?.equals(cids[0]))
        deepEqual(texts(), cids.slice(0, at).map(String))
        equal((await next(events)).count, at)
      }
    }
  })

  it('in another chain altogether: the whole chain is synced', async () => {
    await using net = new TestNet()
    const { info, cids, id } = await net.publisher({ chain: LENGTH })
    const { subscriber } = await net.subscriber()
    await subscriber.setLatestSync(id, await randomCid())
    const { hook, texts } = recorder()
    await subscriber.sync(info, { blockHook: hook })
    deepEqual(texts(), cids.map(String))
    ok((await subscriber.getLatestSync(id))?.equals(cids[0]))
  })

  for (const transport of faultyTransports) {
    it(`newer than the head: what the publisher says holds, and nothing is fetched again (${transport.name})`, async () => {
      await using net = new TestNet()
      const { publisher, cids } = await transport.faulty(net, { chain: LENGTH })
      const { subscriber } = await transport.subscriber(net)
      await subscriber.sync(publisher.info)
      await publisher.setRoot(cids[3])
      const asked = publisher.requests.length
      const { hook, texts } = recorder()
      ok((await subscriber.sync(publisher.info, { blockHook: hook }))?.equals(cids[3]))
      deepEqual(texts(), cids.slice(3).map(String))
      equal(publisher.requests.length - asked, 1)
      ok((await subscriber.getLatestSync(publisher.id))?.equals(cids[3]))
    })

    it(`being the CID to sync: nothing is asked, unless latest is to move (${transport.name})`, async () => {
      await using net = new TestNet()
      const { publisher, cids } = await transport.faulty(net, { chain: 3 })
      const { subscriber } = await transport.subscriber(net, { receiver: {} })
      const events = subscriber.onSyncFinished()
      await subscriber.setLatestSync(publisher.id, cids[1])
      ok((await subscriber.sync(publisher.id, { cid: cids[1] }))?.equals(cids[1])) // not even an address is needed
      equal(publisher.requests.length, 0)
      ok((await subscriber.sync(publisher.info, { cid: cids[1], forceUpdateLatest: true }))?.equals(cids[1]))
      equal(publisher.requests.length, 0)
      equal((await next(events)).count, 0)
      // v0.3.2 tells it, v0.7.8 does not
      await subscriber.announce(cids[1], publisher.info)
      equal((await next(events)).count, 0)
      equal(publisher.requests.length, 0)
    })
  }

  it('forceUpdateLatest moves latest for an explicit CID, and a later sync stops there', async () => {
    await using net = new TestNet()
    const { info, cids, id } = await net.publisher({ chain: LENGTH })
    const { subscriber } = await net.subscriber()
    const events = subscriber.onSyncFinished()
    await subscriber.sync(info, { cid: cids[4], forceUpdateLatest: true })
    ok((await subscriber.getLatestSync(id))?.equals(cids[4]))
    equal((await next(events)).count, LENGTH - 4)
    const { hook, texts } = recorder()
    await subscriber.sync(info, { blockHook: hook })
    deepEqual(texts(), cids.slice(0, 4).map(String))
  })
})

describe('two syncs of one publisher at once', () => {
  it('do not tell a block twice: the second reads the latest that the first has moved', async () => {
    await using net = new TestNet()
    const { info, cids } = await net.publisher({ chain: 30 })
    const { hook, texts } = recorder()
    const { subscriber } = await net.subscriber({ receiver: {}, blockHook: hook })
    const events = subscriber.onSyncFinished()
    await subscriber.announce(cids[10], info)
    await Promise.all([subscriber.sync(info), subscriber.sync(info), subscriber.sync(info)])
    for (let i = 0; i < 4; i++) { await next(events) }
    equal(new Set(texts()).size, 30)
    equal(texts().length, 30)
  })
})
