import { describe, it } from 'node:test'
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { MemoryBlockstore } from 'blockstore-core'
import type { CID } from 'multiformats/cid'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { TestNet } from '../../src/testing/index.ts'
import { inTime, next, random, recorder } from '../support/hall.ts'
import { faultyTransports } from '../support/transports.ts'

for (const transport of faultyTransports) {
  describe(`an aborted sync (${transport.name})`, () => {
    it("rejects with the signal's reason as it came, whatever it waits for", async () => {
      await using net = new TestNet()
      const { publisher, cids } = await transport.faulty(net, { chain: 3 })
      const { subscriber } = await transport.subscriber(net, { httpRetry: { retries: 5, minDelay: 60_000, maxDelay: 60_000 } })
      for (const [what, fault, resource] of [
        ['the head', 'silence', 'head'], ['a block', 'silence', cids[1].toString()], ['the rest of a block', 'drip', cids[1].toString()],
        ['a retry', { status: 503 }, cids[1].toString()]
      ] as const) {
        const controller = new AbortController()
        const reason = { what }
        publisher.script = request => {
          if (request.resource !== resource) { return undefined }
          setTimeout(() => { controller.abort(reason) }, 10)
          return fault
        }
        const began = performance.now()
        await rejects(inTime(subscriber.sync(publisher.info, { signal: controller.signal })), error => error === reason)
        ok(performance.now() - began < 1_000)
        equal(getEventListeners(controller.signal, 'abort').length, 0)
      }
      publisher.script = undefined
      await subscriber.sync(publisher.info)
    })

    it('that waits for its turn gives it up, and the others keep theirs', async () => {
      await using net = new TestNet()
      const { publisher } = await transport.faulty(net, { chain: 1 })
      const { subscriber } = await transport.subscriber(net)
      const events = subscriber.onSyncFinished()
      const open = Promise.withResolvers<undefined>()
      publisher.script = async () => open.promise
      const controller = new AbortController()
      const first = subscriber.sync(publisher.info)
      const second = rejects(subscriber.sync(publisher.info, { signal: controller.signal }), /enough/)
      const third = subscriber.sync(publisher.info)
      controller.abort(new Error('enough'))
      await inTime(second)
      open.resolve(undefined)
      await inTime(Promise.all([first, third]))
      deepEqual([(await next(events)).count, (await next(events)).count], [1, 0])
    })

    it("one caller's abort is not another's", async () => {
      await using net = new TestNet()
      const { publisher, cids } = await transport.faulty(net, { chain: 10 })
      const { subscriber } = await transport.subscriber(net)
      const controller = new AbortController()
      publisher.script = async ({ index }) => {
        if (index === 6) { controller.abort(new Error('enough')) }
        return undefined
      }
      const syncs = [
        subscriber.sync(publisher.info, { cid: cids[0] }),
        subscriber.sync(publisher.info, { cid: cids[0], signal: controller.signal }),
        subscriber.sync(publisher.info)
      ]
      await rejects(inTime(syncs[1]), /enough/)
      for (const sync of [syncs[0], syncs[2]]) { ok((await inTime(sync))?.equals(cids[0])) }
    })

    it('in its own progress event or hook ends at that block', async () => {
      await using net = new TestNet()
      const { publisher, cids } = await transport.faulty(net, { chain: 10 })
      for (const where of ['progress', 'hook']) {
        const { subscriber } = await transport.subscriber(net)
        const controller = new AbortController()
        let calls = 0
        const abortAt = (count: number): void => { if (count === 4) { controller.abort(new Error('enough')) } }
        await rejects(subscriber.sync(publisher.info, {
          signal: controller.signal,
          onProgress: ({ type }) => { if (type === 'dagsync:block' && where === 'progress') { abortAt(++calls) } },
          blockHook: () => { if (where === 'hook') { abortAt(++calls) } }
        }), /enough/)
        equal(calls, 4)
        equal(await subscriber.getLatestSync(publisher.id), undefined)
        const asked = publisher.requests.length
        await new Promise(resolve => setTimeout(resolve, 20))
        equal(publisher.requests.length, asked)
        ok(publisher.requests.every(({ resource }) => resource !== `${cids[5]}`))
      }
    })

    it('between the head and its end moves nothing, also when there is nothing to fetch', async () => {
      await using net = new TestNet()
      const { info, cids, id } = await transport.publisher(net, { chain: 2 })
      const { subscriber } = await transport.subscriber(net)
      const events = subscriber.onSyncFinished()
      await subscriber.setLatestSync(id, cids[0])
      const controller = new AbortController()
      await rejects(subscriber.sync(info, {
        signal: controller.signal,
        onProgress: ({ type }) => { if (type === 'dagsync:head') { controller.abort(new Error('enough')) } }
      }), /enough/)
      await subscriber.stop()
      equal((await events.next()).done, true)
    })

    it('while its block is stored does not tell that block', async () => {
      await using net = new TestNet()
      const { info, cids } = await transport.publisher(net, { chain: 3 })
      const controller = new AbortController()
      const blockstore = new MemoryBlockstore()
      const put = blockstore.put.bind(blockstore)
      blockstore.put = (async (cid: CID, bytes: Uint8Array) => {
        if (cid.equals(cids[1])) { controller.abort(new Error('enough')) }
        return put(cid, bytes) // as a store does that takes no signal
      }) as never
      const { subscriber } = await transport.subscriber(net, { components: { linkSystem: createLinkSystem({ blockstore }) } })
      const { hook, texts } = recorder()
      await rejects(subscriber.sync(info, { signal: controller.signal, blockHook: hook }), /enough/)
      deepEqual(texts(), [`${cids[0]}`])
    })

    for (const seed of [11, 12, 13]) {
      it(`at random moments: latest is right, and the next sync's hook count exact (seed ${seed})`, async () => {
        await using net = new TestNet()
        const dice = random(seed)
        const publisher = await transport.publisher(net, { chain: 20 })
        const { subscriber } = await transport.subscriber(net)
        for (let round = 0; round < 30; round++) {
          const before = await subscriber.getLatestSync(publisher.id)
          const unsynced = before == null ? publisher.cids.length : publisher.cids.findIndex(cid => cid.equals(before))
          const controller = new AbortController()
          const timer = setTimeout(() => { controller.abort(new Error('enough')) }, dice() * 12)
          const aborted = recorder()
          const result = await subscriber.sync(publisher.info, { signal: controller.signal, blockHook: aborted.hook })
            .catch((error: Error) => { equal(error.message, 'enough') })
          clearTimeout(timer)
          const after = await subscriber.getLatestSync(publisher.id)
          equal(`${after}`, `${result ?? before}`)
          deepEqual(aborted.texts(), publisher.cids.slice(0, result == null ? aborted.cids.length : unsynced).map(String))

          if (dice() < 0.5) {
            const { hook, texts } = recorder()
            await subscriber.sync(publisher.info, { blockHook: hook })
            deepEqual(texts(), publisher.cids.slice(0, result == null ? unsynced : 0).map(String))
            await publisher.extend(1 + Math.floor(dice() * 20))
          }
        }
      })
    }
  })
}
