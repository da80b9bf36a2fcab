import { describe, it } from 'node:test'
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { runInNewContext } from 'node:vm'
import { MemoryBlockstore } from 'blockstore-core'
import { MemoryDatastore } from 'datastore-core'
import type { CID } from 'multiformats/cid'
import { from } from 'multiformats/hashes/hasher'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { readBlock } from '../../src/store/read.ts'
import { TestNet } from '../../src/testing/index.ts'
import { inTime, next, recorder, rest } from '../support/hall.ts'
import { transports } from '../support/transports.ts'

/** A datastore of which the first put takes until it is let go. */
function slowDatastore (): { datastore: MemoryDatastore, reached: Promise<void>, letGo(): void, ended: Promise<void> } {
  const datastore = new MemoryDatastore()
  const reached = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<void>()
  const put = datastore.put.bind(datastore)
  let puts = 0
  datastore.put = (async (...args: Parameters<typeof put>) => {
    const first = puts++ === 0
    if (first) {
      reached.resolve()
      await gate.promise
    }
    const key = put(...args)
    if (first) { setImmediate(ended.resolve) }
    return key
  }) as never
  return { datastore, reached: reached.promise, letGo: gate.resolve, ended: ended.promise }
}

const same = (a: CID | undefined, b: CID): void => { ok(a?.equals(b), `${a} is not ${b}`) }

describe('a datastore that answers long after an abort', () => {
  it('has no SyncFinished of a sync that was rejected; the next sync has one', async () => {
    await using net = new TestNet()
    const { info, cids } = await net.publisher({ chain: 2 })
    const { datastore, reached, letGo, ended } = slowDatastore()
    const { subscriber } = await net.subscriber({ components: { datastore } })
    const events = subscriber.onSyncFinished()
    const controller = new AbortController()
    const sync = subscriber.sync(info, { signal: controller.signal })
    await reached
    controller.abort(new Error('enough'))
    await rejects(inTime(sync), /enough/)
    letGo()
    await ended
    same(await subscriber.sync(info), cids[0])
    const { cid, count } = await next(events)
    same(cid, cids[0])
    equal(count, 0)
    await subscriber.stop()
    deepEqual(await rest(events), [])
  })

  it('does not move latest back: what was written after it stays', async () => {
    await using net = new TestNet()
    const publisher = await net.publisher({ chain: 2 })
    const { datastore, reached, letGo } = slowDatastore()
    const { subscriber } = await net.subscriber({ components: { datastore } })
    const controller = new AbortController()
    const left = subscriber.sync(publisher.info, { signal: controller.signal })
    await reached
    controller.abort(new Error('enough'))
    await rejects(inTime(left), /enough/)
    await publisher.extend(2)
    const walked = Promise.withResolvers<void>()
    const sync = subscriber.sync(publisher.info, {
      blockHook: (_peerId, cid) => { if (cid.equals(publisher.cids[3])) { walked.resolve() } }
    })
    await inTime(walked.promise)
    letGo()
    same(await inTime(sync), publisher.cids[0])
    same(await subscriber.getLatestSync(publisher.id), publisher.cids[0])
  })

  it('does not hold up a sync for ever that waits for it', async () => {
    await using net = new TestNet()
    const publisher = await net.publisher({ chain: 1 })
    const { datastore, reached, letGo, ended } = slowDatastore()
    const { subscriber } = await net.subscriber({ stallTimeout: 300, components: { datastore } })
    const events = subscriber.onSyncFinished()
    const left = subscriber.sync(publisher.info)
    await reached
    await rejects(inTime(left), { name: 'StalledError' })
    await publisher.extend(1)
    await rejects(inTime(subscriber.sync(publisher.info)), { name: 'StalledError' })
    letGo()
    await ended
    same(await subscriber.getLatestSync(publisher.id), publisher.cids[1])
    await subscriber.stop()
    deepEqual(await rest(events), [])
  })

  it('is heard of by nobody after stop() and start()', async () => {
    await using net = new TestNet()
    const { info, cids } = await net.publisher({ chain: 1 })
    const { datastore, reached, letGo, ended } = slowDatastore()
    const { subscriber } = await net.subscriber({ receiver: {}, components: { datastore } })
    await subscriber.announce(cids[0], info)
    await reached
    await inTime(subscriber.stop())
    await subscriber.start()
    const events = subscriber.onSyncFinished()
    letGo()
    await ended
    await subscriber.stop()
    deepEqual(await rest(events), [])
  })
})

describe('a disk that is full', () => {
  for (const transport of transports) {
    it(`in the middle of a sync: what is stored stays, latest does not move, and the next sync goes on (${transport.name})`, async () => {
      await using net = new TestNet()
      const { info, cids, id } = await transport.publisher(net, { chain: 12 })
      const blockstore = new MemoryBlockstore()
      const put = blockstore.put.bind(blockstore)
      let room = 5
      blockstore.put = (...args) => {
        if (room-- <= 0) { throw new Error('the disk is full') }
        return put(...args)
      }
      const linkSystem = createLinkSystem({ blockstore })
      const components = { linkSystem, datastore: new MemoryDatastore() }
      const { subscriber } = await transport.subscriber(net, { receiver: {}, components })
      const events = subscriber.onSyncFinished()
      await rejects(inTime(subscriber.sync(info)), /the disk is full/)
      await subscriber.announce(cids[0], info)
      equal((await next(events)).error?.message, 'the disk is full')
      deepEqual(await Promise.all(cids.map(async cid => linkSystem.has(cid))), cids.map((_cid, i) => i < 5))
      equal(await subscriber.getLatestSync(id), undefined)
      room = Infinity
      let fetched = 0
      same(await subscriber.sync(info, { onProgress: ({ detail }) => { if ('local' in detail && !detail.local) { fetched++ } } }), cids[0])
      equal(fetched, 7)
      same(await subscriber.getLatestSync(id), cids[0])
      equal((await next(events)).count, 12)
    })
  }
})

describe('a store with a block that is not what its CID says', () => {
  for (const transport of transports) {
    for (const what of ['cut off, as by a process that was killed', 'another one']) {
      it(`${what}: it is fetched again, and nothing below it is left out (${transport.name})`, async () => {
        await using net = new TestNet()
        const { info, cids, id, linkSystem: source } = await transport.publisher(net, { chain: 8 })
        const linkSystem = createLinkSystem()
        const bytes = await Promise.all(cids.map(async cid => readBlock(source.blockstore, cid)))
        for (const i of [0, 1, 2, 3]) { await linkSystem.blockstore.put(cids[i], bytes[i]) }
        await linkSystem.blockstore.put(cids[3], what === 'another one' ? bytes[7] : bytes[3].subarray(0, 30))
        const { subscriber } = await transport.subscriber(net, { components: { linkSystem } })
        const remote: string[] = []
        const hook = recorder()
        await subscriber.sync(info, {
          blockHook: hook.hook, onProgress: ({ detail }) => { if ('local' in detail && !detail.local) { remote.push(`${detail.cid}`) } }
        })
        deepEqual(hook.texts(), cids.map(String))
        deepEqual(remote, cids.slice(3).map(String))
        deepEqual(await Promise.all(cids.map(async cid => readBlock(linkSystem.blockstore, cid))), bytes)
        same(await subscriber.getLatestSync(id), cids[0])
      })
    }

    it(`and that the publisher has not: ContentNotFoundError, latest stays (${transport.name})`, async () => {
      await using net = new TestNet()
      const { info, cids, id, linkSystem: source } = await transport.publisher(net, { chain: 3 })
      const linkSystem = createLinkSystem()
      for (const cid of cids) { await linkSystem.blockstore.put(cid, await readBlock(source.blockstore, cid)) }
      await linkSystem.blockstore.put(cids[1], await readBlock(source.blockstore, cids[2]))
      await source.blockstore.delete(cids[1])
      const { subscriber } = await transport.subscriber(net, { components: { linkSystem } })
      await rejects(inTime(subscriber.sync(info)), { name: 'ContentNotFoundError' })
      equal(await subscriber.getLatestSync(id), undefined)
    })
  }

  it('of a hash that is not known here: it is taken as it is', async () => {
    await using net = new TestNet()
    const hasher = from({ name: 'test', code: 0x300001, encode: () => new Uint8Array(32) })
    const components = { linkSystem: createLinkSystem({ hashers: [hasher] }) }
    const { publisher, info, linkSystem: source } = await net.publisher({ components })
    const cid = await source.store({ hello: 'world' }, { hasher })
    await publisher.setRoot(cid)
    const { subscriber, linkSystem } = await net.subscriber()
    await linkSystem.blockstore.put(cid, await readBlock(source.blockstore, cid))
    same(await subscriber.sync(info), cid)
  })
})

describe('a blockstore that throws what is no error, and no text', () => {
  it('fails an announced sync with one event', async () => {
    await using net = new TestNet()
    const { info, cids } = await net.publisher({ chain: 1 })
    const linkSystem = createLinkSystem()
    const cause = Object.create(null)
    linkSystem.blockstore.put = () => { throw cause }
    const { subscriber } = await net.subscriber({ receiver: {}, components: { linkSystem } })
    const events = subscriber.onSyncFinished()
    await subscriber.announce(cids[0], info)
    equal((await next(events)).error?.cause, cause)
  })
})

describe('a blockstore with errors of another realm', () => {
  for (const transport of transports) {
    it(`lacks a block where one is named NotFoundError (${transport.name})`, async () => {
      await using net = new TestNet()
      const { info, cids } = await transport.publisher(net, { chain: 4 })
      const blockstore = new MemoryBlockstore()
      const get = blockstore.get.bind(blockstore)
      blockstore.get = function * (cid) {
        if (!blockstore.has(cid)) { throw Object.assign(runInNewContext('new Error("none")'), { name: 'NotFoundError' }) }
        yield * get(cid) as Generator<Uint8Array>
      }
      const { subscriber } = await transport.subscriber(net, { components: { linkSystem: createLinkSystem({ blockstore }) } })
      same(await subscriber.sync(info), cids[0])
    })
  }
})

describe('a blockstore with promises of another realm', () => {
  const Foreign: PromiseConstructor = runInNewContext('Promise')
  const later = <T>(work: () => T): Promise<T> => new Foreign<T>((resolve, reject) => {
    setImmediate(() => { try { resolve(work()) } catch (error) { reject(error) } })
  })

  function store (): MemoryBlockstore {
    const blockstore = new MemoryBlockstore()
    const [put, has] = [blockstore.put.bind(blockstore), blockstore.has.bind(blockstore)]
    blockstore.put = ((...args: Parameters<typeof put>) => later(() => put(...args))) as never
    blockstore.has = ((...args: Parameters<typeof has>) => later(() => has(...args))) as never
    return blockstore
  }

  for (const transport of transports) {
    it(`has a block when its hook is called, and fails the sync when it fails (${transport.name})`, async () => {
      await using net = new TestNet()
      const { info, id } = await transport.publisher(net, { chain: 4 })
      const blockstore = store()
      const { subscriber } = await transport.subscriber(net, { components: { linkSystem: createLinkSystem({ blockstore }) } })
      let missing = 0
      const blockHook = (_peerId: unknown, cid: CID): void => { if (!MemoryBlockstore.prototype.has.call(blockstore, cid)) { missing++ } }
      await subscriber.sync(info, { blockHook })
      equal(missing, 0)

      const full = store()
      full.put = (() => later(() => { throw new Error('the disk is full') })) as never
      const second = await transport.subscriber(net, { components: { linkSystem: createLinkSystem({ blockstore: full }) } })
      await rejects(inTime(second.subscriber.sync(info)), /the disk is full/)
      equal(await second.subscriber.getLatestSync(id), undefined)
    })
  }
})
