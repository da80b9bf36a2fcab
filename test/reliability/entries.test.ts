import { describe, it } from 'node:test'
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import type { CID } from 'multiformats/cid'
import type { LinkSystem } from '../../src/shared/types.ts'
import { TestNet, type Fault, type FaultyPublisher } from '../../src/testing/index.ts'
import { adChain, doubling, entriesChain } from '../support/ads.ts'
import { gate, inTime, randomCid, recorder, until } from '../support/hall.ts'
import { faultyTransports, type FaultyTransport } from '../support/transports.ts'

const QUICK = { httpRetry: false as const, httpTimeout: 2_000 }
const FAULTS: Array<[Fault, string]> = [
  [{ status: 404 }, 'ContentNotFoundError'], [{ status: 500 }, 'HttpStatusError'], ['reset', 'TransferFailedError'],
  ['wrong-bytes', 'HashMismatchError'], ['endless', 'BlockTooLargeError']
]

async function publisherOf (transport: FaultyTransport, net: TestNet): Promise<{ publisher: FaultyPublisher, source: LinkSystem }> {
  const { publisher, linkSystem: source } = await transport.faulty(net)
  return { publisher, source }
}

/** A block with so many leaves. */
async function wide (source: LinkSystem, count: number, size = 100): Promise<{ root: CID, leaves: CID[] }> {
  const leaves: CID[] = []
  for (let i = 0; i < count; i++) { leaves.push(await source.store({ leaf: i, pad: 'x'.repeat(size) })) }
  return { root: await source.store(leaves), leaves }
}

/** Answers nothing until it is let go; notes how many wait. */
function hold (publisher: FaultyPublisher, holds: (resource: string) => boolean): { waiting: Set<string>, open: () => void } {
  const waiting = new Set<string>()
  const opened = Promise.withResolvers<undefined>()
  publisher.script = async ({ resource }) => {
    if (!holds(resource)) { return undefined }
    waiting.add(resource)
    await opened.promise
    waiting.delete(resource)
    return undefined
  }
  return { waiting, open: () => { opened.resolve(undefined) } }
}

for (const transport of faultyTransports) {
  describe(`entries of several advertisements (${transport.name})`, () => {
    it('are synced at once, as many as `concurrency`, each in the order of its chain', async () => {
      await using net = new TestNet()
      const { publisher, source } = await publisherOf(transport, net)
      const { entries } = await adChain(source, 20, { chunks: 3 })
      const held = hold(publisher, () => true)
      const { subscriber } = await transport.subscriber(net, QUICK)
      const seen = new Map<string, string[]>()
      const syncing = subscriber.syncEntries(publisher.info, entries.map(([first]) => first), {
        concurrency: 7,
        blockHook: async (_peerId, cid, _actions, first) => { seen.set(`${first}`, [...seen.get(`${first}`) ?? [], `${cid}`]) }
      })
      await until(() => held.waiting.size === 7)
      await new Promise(resolve => setTimeout(resolve, 20))
      equal(publisher.requests.length, 7)
      held.open()
      await inTime(syncing)
      deepEqual(Object.fromEntries(seen), Object.fromEntries(entries.map(chunks => [`${chunks[0]}`, chunks.map(String)])))
      equal(publisher.requests.length, 60)
      ok(publisher.requests.every(({ headers }) => headers['ipni-cid-schema-type'] === 'EntryChunk'))
    })

    it('that do not come: StalledError', async () => {
      await using net = new TestNet()
      const { publisher, source } = await publisherOf(transport, net)
      const chunks = await entriesChain(source, 1)
      const held = hold(publisher, () => true)
      const { subscriber } = await transport.subscriber(net, { httpRetry: false, stallTimeout: 100 })
      await rejects(inTime(subscriber.syncEntries(publisher.info, chunks[0]), 5_000), { name: 'StalledError' })
      held.open()
    })

    it('are synced once where a CID comes twice', async () => {
      await using net = new TestNet()
      const { publisher, source } = await publisherOf(transport, net)
      const chunks = await entriesChain(source, 3)
      const seen = recorder()
      const { subscriber } = await transport.subscriber(net, { ...QUICK, blockHook: seen.hook })
      await subscriber.syncEntries(publisher.info, [chunks[0], chunks[0]])
      equal(seen.cids.length, 3)
      equal(publisher.requests.length, 3)
    })

    it('none: nothing is asked', async () => {
      await using net = new TestNet()
      const { publisher } = await publisherOf(transport, net)
      const { subscriber } = await transport.subscriber(net, QUICK)
      await subscriber.syncEntries(publisher.info, [])
      equal(publisher.requests.length, 0)
      await rejects(subscriber.syncEntries(publisher.info, undefined as any), { name: 'InvalidOptionError', field: 'entries' })
      await rejects(subscriber.syncEntries(publisher.info, [], { concurrency: 0 }), { name: 'InvalidOptionError', field: 'concurrency' })
    })

    for (const [fault, name] of FAULTS) {
      it(`one that fails ends all of them: ${typeof fault === 'string' ? fault : fault.status}`, async () => {
        await using net = new TestNet()
        const { publisher, source } = await publisherOf(transport, net)
        const { entries } = await adChain(source, 8, { chunks: 4 })
        const bad = String(entries[3][1])
        const held = hold(publisher, resource => resource === String(entries[5][2]))
        const { script } = publisher
        publisher.script = async request => request.resource === bad ? fault : script?.(request)
        const { subscriber, linkSystem } = await transport.subscriber(net, QUICK)
        await rejects(inTime(subscriber.syncEntries(publisher.info, entries.map(([first]) => first), { concurrency: 8 })), { name })
        equal(await linkSystem.has(entries[3][1]), false)
        held.open()
        publisher.script = undefined
        await subscriber.syncEntries(publisher.info, entries.map(([first]) => first))
        ok(await linkSystem.has(entries[5][3]))
      })
    }

    it('a hook that throws fails all, and is not called again', async () => {
      await using net = new TestNet()
      const { publisher, source } = await publisherOf(transport, net)
      const { entries } = await adChain(source, 10, { chunks: 3 })
      const { subscriber } = await transport.subscriber(net, QUICK)
      let calls = 0
      await rejects(subscriber.syncEntries(publisher.info, entries.map(([first]) => first), {
        blockHook: () => { if (++calls === 9) { throw new Error('no more') } }
      }), { name: 'BlockHookError' })
      equal(calls, 9)
    })

    it('an abort ends all, with its reason; so does stop()', async () => {
      await using net = new TestNet()
      const { publisher, source } = await publisherOf(transport, net)
      const { entries } = await adChain(source, 10, { chunks: 3 })
      const held = hold(publisher, resource => entries.some(chunks => resource === String(chunks[1])))
      const { subscriber } = await transport.subscriber(net, QUICK)
      const firsts = entries.map(([first]) => first)
      const controller = new AbortController()
      const reason = new Error('enough')
      const aborted = subscriber.syncEntries(publisher.info, firsts, { signal: controller.signal })
      await until(() => held.waiting.size === 10)
      controller.abort(reason)
      await rejects(inTime(aborted, 2_000), error => error === reason)
      const stopped = rejects(subscriber.syncEntries(publisher.info, firsts), { name: 'SubscriberStoppedError' })
      await until(() => publisher.requests.length === 30)
      await inTime(subscriber.stop(), 2_000)
      await stopped
      held.open()
    })

    it('an aborted one whose hook never returns leaves nothing of the publisher behind', async () => {
      await using net = new TestNet()
      const { publisher, source } = await publisherOf(transport, net)
      const { entries: [entry] } = await adChain(source, 1, { chunks: 2 })
      const { subscriber } = await transport.subscriber(net, { ...QUICK, idleHandlerTTL: 1 })
      const controller = new AbortController()
      const blockHook = async (): Promise<never> => {
        controller.abort(new Error('enough'))
        return Promise.withResolvers<never>().promise
      }
      await rejects(inTime(subscriber.syncEntries(publisher.info, entry, { signal: controller.signal, blockHook })), /enough/)
      await new Promise(resolve => setTimeout(resolve, 50)) // timers keep their order: this one comes after that of the handler
      equal(subscriber.removeHandler(publisher.id), false)
    })

    it('that never end: the depth limit holds', async () => {
      await using net = new TestNet()
      const { publisher, source } = await publisherOf(transport, net)
      const chunks = await entriesChain(source, 300)
      const { subscriber } = await transport.subscriber(net, { ...QUICK, entriesDepthLimit: 50 })
      await subscriber.syncEntries(publisher.info, chunks[0])
      equal(publisher.requests.length, 50)
    })

    it('that never end, as a HAMT: ended by name, and no further than the limit', async () => {
      await using net = new TestNet()
      const { publisher, source } = await publisherOf(transport, net)
      const chunks = await entriesChain(source, 200)
      const { subscriber } = await transport.subscriber(net, QUICK)
      const seen = recorder()
      const hamt = async (depthLimit?: number | false): Promise<void> =>
        subscriber.syncHamtEntries(publisher.info, chunks[0], { depthLimit, blockHook: seen.hook })
      await rejects(hamt(), { name: 'DepthLimitError', code: 'ERR_DEPTH_LIMIT', limit: 128 })
      equal(seen.cids.length, 129)
      equal(publisher.requests.length, 130)
      await hamt(199)
      await hamt(false)
      await rejects(hamt(-1), { name: 'InvalidOptionError', field: 'depthLimit' })
    })

    it('that never end, as a HAMT with the same children again and again: ended by name, and soon', async () => {
      await using net = new TestNet()
      const { publisher, source } = await publisherOf(transport, net)
      const root = await doubling(source, 64)
      const { subscriber } = await transport.subscriber(net, QUICK)
      let count = 0
      const hamt = async (repeatLimit?: number | false): Promise<void> =>
        subscriber.syncHamtEntries(publisher.info, root, { repeatLimit, blockHook: () => { count++ } })
      await rejects(inTime(hamt()), { name: 'RepeatLimitError', code: 'ERR_REPEAT_LIMIT', limit: 65_536 })
      equal(count, 65_536 + 65)
      equal(publisher.requests.length, 65)
      await rejects(hamt(1), { name: 'RepeatLimitError', limit: 1 })
      equal(count, 65_536 + 65 + 66)
      await rejects(hamt(-1), { name: 'InvalidOptionError', field: 'repeatLimit' })
    })

    it('that never end, in the store already: an abort is heard', async () => {
      await using net = new TestNet()
      const { publisher, source } = await publisherOf(transport, net)
      const root = await doubling(source, 64)
      const { subscriber } = await transport.subscriber(net, QUICK)
      const end = performance.now() + 20_000
      const onProgress = (): void => { if (performance.now() > end) { throw new Error('nothing else had a turn') } }
      const signal = AbortSignal.timeout(100)
      await rejects(subscriber.syncHamtEntries(publisher.info, root, { repeatLimit: false, signal, onProgress }), { name: 'TimeoutError' })
      const sync = subscriber.sync(publisher.info, { cid: root, signal: AbortSignal.timeout(100), onProgress })
      await rejects(sync, { name: 'TimeoutError' })
    })

    it('are synced by the block hook of their publisher, which knows its id only', async () => {
      await using net = new TestNet()
      const { publisher, source } = await publisherOf(transport, net)
      const { ads, entries } = await adChain(source, 4, { chunks: 2 })
      await publisher.setRoot(ads[0])
      const { subscriber, linkSystem } = await transport.subscriber(net, {
        ...QUICK,
        async blockHook (publisher, cid) {
          await subscriber.syncEntries(publisher, (await linkSystem.load(cid)).Entries, { blockHook: () => {} })
        }
      })
      await inTime(subscriber.syncAdChain(publisher.info))
      for (const chunks of entries) { ok(await linkSystem.has(chunks[1])) }
    })
  })

  describe(`blocks that are fetched ahead (${transport.name})`, () => {
    it('are asked for while the walk waits, within the budget, and stored in the order of the walk', async () => {
      await using net = new TestNet()
      const { publisher, source } = await publisherOf(transport, net)
      const { root, leaves } = await wide(source, 100)
      const held = hold(publisher, resource => resource === String(leaves[0]))
      const seen = recorder()
      const { subscriber, linkSystem } = await transport.subscriber(net, { ...QUICK, prefetch: { requests: 20, bytes: 4_000_000 } })
      const syncing = subscriber.syncHamtEntries(publisher.info, root, { blockHook: seen.hook })
      await until(() => publisher.requests.length === 101)
      equal(held.waiting.size, 1)
      equal(seen.cids.length, 1)
      equal(await linkSystem.has(leaves[1]), false)
      held.open()
      await inTime(syncing)
      deepEqual(seen.texts(), [root, ...leaves].map(String))
      equal(publisher.requests.length, 101)
    })

    it('are those below blocks that have come ahead, too', async () => {
      await using net = new TestNet()
      const { publisher, source } = await publisherOf(transport, net)
      const trees: Array<{ root: CID, leaves: CID[] }> = []
      for (let i = 0; i < 3; i++) { trees.push(await wide(source, 3, 100 + i)) }
      const root = await source.store(trees.map(tree => tree.root))
      const held = hold(publisher, resource => resource === String(trees[0].leaves[0]))
      const seen = recorder()
      const { subscriber } = await transport.subscriber(net, QUICK)
      const syncing = subscriber.syncHamtEntries(publisher.info, root, { blockHook: seen.hook })
      await until(() => publisher.requests.length === 13) // all of them, while the first leaf is not there
      equal(held.waiting.size, 1)
      equal(seen.cids.length, 2)
      held.open()
      await inTime(syncing)
      deepEqual(seen.texts(), [root, ...trees.flatMap(tree => [tree.root, ...tree.leaves])].map(String))
      equal(publisher.requests.length, 13)
    })

    it('are no more than the bytes allow', async () => {
      await using net = new TestNet()
      const { publisher, source } = await publisherOf(transport, net)
      const { root, leaves } = await wide(source, 60, 90_000)
      const held = hold(publisher, resource => resource === String(leaves[0]))
      const { subscriber } = await transport.subscriber(net, { ...QUICK, prefetch: { requests: 64, bytes: 1_000_000 } })
      const syncing = subscriber.syncHamtEntries(publisher.info, root, { blockHook: () => {} })
      await until(() => held.waiting.size === 1)
      await new Promise(resolve => setTimeout(resolve, 100))
      ok(publisher.requests.length <= 9, `${publisher.requests.length} requests`) // the root, and 500,000 bytes: 7 of 65 KiB as was thought
      held.open()
      await inTime(syncing)
      equal(publisher.requests.length, 61)
    })

    it('prefetch: false: one after the other', async () => {
      await using net = new TestNet()
      const { publisher, source } = await publisherOf(transport, net)
      const { root, leaves } = await wide(source, 10)
      const held = hold(publisher, resource => resource === String(leaves[0]))
      const { subscriber } = await transport.subscriber(net, { ...QUICK, prefetch: false })
      const syncing = subscriber.syncHamtEntries(publisher.info, root)
      await until(() => held.waiting.size === 1)
      await new Promise(resolve => setTimeout(resolve, 20))
      equal(publisher.requests.length, 2)
      held.open()
      await inTime(syncing)
    })

    for (const [fault, name] of FAULTS) {
      it(`one that fails fails when the walk is there: ${typeof fault === 'string' ? fault : fault.status}`, async () => {
        await using net = new TestNet()
        const { publisher, source } = await publisherOf(transport, net)
        const { root, leaves } = await wide(source, 30)
        publisher.script = ({ resource }) => resource === String(leaves[8]) ? fault : undefined
        const seen = gate()
        const { subscriber, linkSystem } = await transport.subscriber(net, { ...QUICK, blockHook: seen.hook })
        const syncing = subscriber.syncHamtEntries(publisher.info, root)
        const first = await seen.arrival()
        await until(() => publisher.requests.length >= 12)
        seen.openAll()
        first.open()
        await rejects(inTime(syncing), { name })
        deepEqual(seen.calls.map(String), [root, ...leaves.slice(0, 8)].map(String))
        for (const leaf of leaves.slice(8)) { equal(await linkSystem.has(leaf), false) }
      })
    }

    it('an abort cancels them: their connections are given up, nothing of them is stored', async () => {
      await using net = new TestNet()
      const { publisher, source } = await publisherOf(transport, net)
      const { root, leaves } = await wide(source, 30)
      const held = hold(publisher, resource => resource !== String(root))
      const { subscriber, linkSystem } = await transport.subscriber(net, QUICK)
      const controller = new AbortController()
      const syncing = subscriber.syncHamtEntries(publisher.info, root, { signal: controller.signal })
      await until(() => held.waiting.size >= 10)
      controller.abort(new Error('enough'))
      await rejects(inTime(syncing, 2_000), { message: 'enough' })
      await until(async () => await publisher.connections() <= 1) // the one of the root may be kept
      held.open()
      for (const leaf of leaves) { equal(await linkSystem.has(leaf), false) }
    })

    it('a slow hook is not outrun: it waits with no more than the budget behind it', async () => {
      await using net = new TestNet()
      const { publisher, source } = await publisherOf(transport, net)
      const { root, leaves } = await wide(source, 600)
      const slow = gate()
      const { subscriber } = await transport.subscriber(net, { ...QUICK, prefetch: { requests: 8, bytes: 200_000 }, blockHook: slow.hook })
      const syncing = subscriber.syncHamtEntries(publisher.info, root)
      const first = await slow.arrival()
      await until(() => publisher.requests.length >= 2)
      await new Promise(resolve => setTimeout(resolve, 100))
      ok(publisher.requests.length < 60, `${publisher.requests.length} requests`)
      first.open()
      slow.openAll()
      await inTime(syncing)
      equal(slow.calls.length, leaves.length + 1)
      equal(publisher.requests.length, leaves.length + 1)
    })

    it('a link that leads nowhere among many: those before it are told', async () => {
      await using net = new TestNet()
      const { publisher, source } = await publisherOf(transport, net)
      const { leaves } = await wide(source, 5)
      const root = await source.store([...leaves, await randomCid(), ...leaves])
      const seen = recorder()
      const { subscriber } = await transport.subscriber(net, { ...QUICK, blockHook: seen.hook })
      await rejects(subscriber.syncHamtEntries(publisher.info, root), { name: 'ContentNotFoundError' })
      deepEqual(seen.texts(), [root, ...leaves].map(String))
    })
  })
}
