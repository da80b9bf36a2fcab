import { describe, it } from 'node:test'
import { deepEqual, ok } from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { MemoryDatastore } from 'datastore-core'
import { sha256 } from 'multiformats/hashes/sha2'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { TestNet } from '../../src/testing/index.ts'
import { inTime, random } from '../support/hall.ts'
import { transports } from '../support/transports.ts'

const ROUNDS = 60

type Answer = () => Promise<unknown>

/** What a store, a hasher or a datastore may do in one of its calls: fail, be slow, or end the sync that calls it. */
const FAULTS: Array<(real: () => unknown, later: (answer: Answer) => unknown, abort: () => void, stop: () => void) => unknown> = [
  () => { throw new Error('played') },
  (_real, later) => later(async () => { throw new Error('played') }),
  (_real, later) => later(async () => {
    await delay(3)
    throw new Error('played')
  }),
  (real, later) => later(async () => {
    await delay(5)
    return real()
  }),
  (real, _later, abort) => {
    abort()
    return real()
  },
  (_real, later, abort) => {
    abort()
    return later(async () => { throw new Error('played') })
  },
  (real, later, abort) => later(async () => {
    const answer = await real()
    abort()
    return answer
  }),
  (real, _later, _abort, stop) => {
    stop()
    return real()
  },
  (_real, later, _abort, stop) => {
    stop()
    return later(async () => { throw new Error('played') })
  }
]

/** As get() of a blockstore gives it. */
async function * chunks (answer: Answer): AsyncGenerator<Uint8Array> {
  yield * await answer() as Iterable<Uint8Array>
}

for (const [seed, transport] of transports.entries()) {
  describe(`syncs whose stores fail, or end them, at any call (${transport.name})`, () => {
    it(`end, each with its own outcome and nothing else, and the next sync is good (seed ${seed})`, async () => {
      const dice = random(seed)
      const upTo = (count: number): number => Math.floor(dice() * count)
      await using net = new TestNet()
      const remote = createLinkSystem()
      const { info, cids } = await transport.publisher(net, { chain: 8, components: { linkSystem: remote } })
      const libp2p = transport.isHttp ? undefined : await net.node()
      for (let round = 0; round < ROUNDS; round++) {
        const hasher = { ...sha256, digest: sha256.digest.bind(sha256) }
        const local = createLinkSystem({ hashers: [hasher] })
        for (const cid of cids.slice(0, upTo(4))) { await local.blockstore.put(cid, remote.blockstore.get(cid)) }
        const datastore = new MemoryDatastore()
        const components = { linkSystem: local, datastore, ...(libp2p != null && { libp2p }) }
        const { subscriber } = await transport.subscriber(net, { receiver: {}, components })
        const controller = new AbortController()
        const asynchronous = dice() < 0.5
        const repairs: Array<() => void> = []

        /** One call of the method goes wrong. At the publisher none ends the sync. */
        const plant = (of: any, method: string): void => {
          const own = of[method].bind(of)
          const later = (answer: Answer): unknown => method === 'get' && 'getAll' in of ? chunks(answer) : answer()
          const fault = FAULTS[upTo(of === remote.blockstore ? 4 : FAULTS.length)]
          let left = upTo(6)
          of[method] = (...args: unknown[]) => {
            const real = (): unknown => own(...args)
            if (left-- !== 0) { return asynchronous ? later(async () => real()) : real() }
            return fault(real, later, () => { controller.abort(new Error('enough')) }, () => { void subscriber.stop() })
          }
          repairs.unshift(() => { of[method] = own })
        }
        const places: Array<[of: object, method: string]> = [
          [local.blockstore, 'has'], [local.blockstore, 'get'], [local.blockstore, 'put'], [hasher, 'digest'],
          [datastore, 'get'], [datastore, 'put'], [remote.blockstore, 'has'], [remote.blockstore, 'get']
        ]
        for (let faults = 1 + upTo(2); faults > 0; faults--) { plant(...places[upTo(places.length)]) }

        const options = { signal: controller.signal }
        const works: Array<() => Promise<unknown>> = [
          async () => subscriber.sync(info, options),
          async () => subscriber.sync(info, { ...options, cid: cids[1] }),
          async () => subscriber.syncEntries(info, cids.slice(0, 3), options),
          async () => subscriber.announce(cids[0], info)
        ]
        const ends = Array.from({ length: 1 + upTo(3) }, async () => works[upTo(works.length)]())
        const settled = await inTime(Promise.allSettled(ends))
        deepEqual(settled.filter(end => end.status === 'rejected' && !(end.reason instanceof Error)), [])
        for (const repair of repairs) { repair() }

        await inTime(subscriber.stop())
        deepEqual(getEventListeners(controller.signal, 'abort'), [])
        await subscriber.start()
        ok((await inTime(subscriber.sync(info)))?.equals(cids[0]))
        for (const cid of cids) { ok(await local.has(cid)) }
        await subscriber.stop()
      }
    })
  })
}
