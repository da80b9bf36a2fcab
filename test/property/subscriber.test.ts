import { describe, it } from 'node:test'
import { deepEqual, equal, ok } from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { MemoryBlockstore } from 'blockstore-core'
import { MemoryDatastore } from 'datastore-core'
import type { CID } from 'multiformats/cid'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { TestNet } from '../../src/testing/index.ts'
import { inTime, random, until } from '../support/hall.ts'
import { transports } from '../support/transports.ts'

void process.stdin // a pipe of the runner, which would else appear when a module imports 'process'

/** Timers, sockets and servers that are open now. */
const open = (): number => process.getActiveResourcesInfo().filter(name => /^(Timeout|Immediate|TCP)/.test(name)).length

/** By SyncFinished: whose, and how high in the publisher's chain. */
interface Seen { publisher: number, height: number }

const [http, , dtsync, ipnisync] = transports
const [NEVER, SELDOM] = [0, 0.02]
const rounds = [[http, 1, NEVER], [http, 2, SELDOM], [http, 3, SELDOM], [dtsync, 4, NEVER], [ipnisync, 5, SELDOM]] as const

describe('a subscriber whose methods are called at every moment', () => {
  for (const [transport, seed, failures] of rounds) {
    it(`loses no event and doubles none, moves latest only forwards, and leaves nothing open (${transport.name}, seed ${seed})`, async () => {
      await using net = new TestNet()
      const dice = random(seed)
      const chance = (share: number): boolean => dice() < share
      const slow = <A extends any[]>(work: (...args: A) => unknown, longest: number) => async (...args: A): Promise<any> => {
        if (chance(0.3)) { await delay(dice() * longest) }
        if (chance(failures)) { throw new Error('the disk fails') }
        return work(...args)
      }
      const publishers = await Promise.all([0, 1, 2].map(async () => transport.publisher(net, { chain: 3 })))
      const height = (publisher: number, cid: CID): number => {
        const { cids } = publishers[publisher]
        return cids.length - cids.findIndex(other => other.equals(cid))
      }
      const [blockstore, datastore] = [new MemoryBlockstore(), new MemoryDatastore()]
      blockstore.put = slow(blockstore.put.bind(blockstore), 3)
      datastore.put = slow(datastore.put.bind(datastore), 300) // beyond what an aborted sync waits for
      const linkSystem = createLinkSystem({ blockstore })
      const { subscriber } = await transport.subscriber(net, {
        receiver: {},
        maxAsyncSyncs: 2,
        idleHandlerTTL: 5,
        blockHook: async () => { if (chance(0.1)) { await delay(dice() * 3) } },
        components: { linkSystem, datastore }
      })
      const before = open()

      const read = async (): Promise<Seen[]> => {
        const seen: Seen[] = []
        for await (const { peerId, cid, error } of subscriber.onSyncFinished()) {
          const publisher = publishers.findIndex(({ id }) => id.equals(peerId))
          if (error == null) { seen.push({ publisher, height: height(publisher, cid) }) }
        }
        return seen
      }
      const forwards = (seen: Seen[]): void => {
        for (const [i] of publishers.entries()) {
          const heights = seen.flatMap(({ publisher, height }) => publisher === i ? height : [])
          deepEqual(heights, heights.toSorted((a, b) => a - b))
        }
      }

      const readers = [read()]
      const calls: Array<Promise<unknown>> = []
      const call = (made: Promise<unknown>): void => { calls.push(made.catch(() => {})) }
      const signals: AbortSignal[] = []
      const options = (): { signal?: AbortSignal } => {
        if (!chance(0.2)) { return {} }
        const controller = new AbortController()
        signals.push(controller.signal)
        call(delay(dice() * 8).then(() => { controller.abort(new Error('enough')) }))
        return controller
      }
      for (let step = 0; step < 150; step++) {
        const { info, cids, id, extend } = publishers[Math.floor(dice() * 3)]
        const roll = dice()
        if (roll < 0.3) {
          call(subscriber.sync(info, options()))
        } else if (roll < 0.4) {
          call(subscriber.sync(info, { cid: cids[Math.floor(dice() * cids.length)], ...options() }))
        } else if (roll < 0.6) {
          call(subscriber.announce(cids[0], info, options()))
        } else if (roll < 0.67) {
          call(subscriber.stop())
        } else if (roll < 0.77) {
          call(subscriber.start(options()))
        } else if (roll < 0.83) {
          subscriber.removeHandler(id)
        } else if (roll < 0.9) {
          call(subscriber.getLatestSync(id, options()))
        } else if (roll < 0.95) {
          await extend(1)
        } else {
          readers.push(read())
        }
        if (chance(0.4)) { await delay(dice() * 6) } else if (chance(0.5)) { await null }
      }
      await inTime(Promise.all(calls))
      await inTime(subscriber.stop())
      for (const seen of await inTime(Promise.all(readers))) { forwards(seen) }

      // from here on nothing but syncs: an event for each that was good
      await subscriber.start()
      const both = [read(), read()]
      const synced = await inTime(Promise.all(Array.from({ length: 12 }, async () => {
        const publisher = Math.floor(dice() * 3)
        if (chance(0.5)) { await publishers[publisher].extend(1) }
        const cid = await subscriber.sync(publishers[publisher].info).catch(() => undefined)
        return cid == null ? undefined : { publisher, height: height(publisher, cid) }
      })))
      const good = synced.filter(sync => sync != null)
      for (const { id } of publishers) {
        const latest = await subscriber.getLatestSync(id)
        ok(latest == null || await linkSystem.has(latest), 'latest is ahead of what is stored')
      }
      await subscriber.stop()
      const [one, other] = await inTime(Promise.all(both))
      deepEqual(one, other)
      forwards(one)
      const sorted = (seen: Seen[]): string[] => seen.map(({ publisher, height }) => `${publisher} ${height}`).sort()
      deepEqual(sorted(one), sorted(good))
      for (const signal of signals) { equal(getEventListeners(signal, 'abort').length, 0) }
      await until(() => open() <= before)
    })
  }
})
