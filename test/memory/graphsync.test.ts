import { equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { chainOf, everything, exchangePair, fetchAll, outcome } from '../wire/graphsync/kit.ts'
import { alive, peersOf, until, untilHeldBack } from './kit.ts'

describe('graphsync: memory', () => {
  it('is given back by 1,000 aborted requests, with no listener left on their signal', async () => {
    await using pair = await exchangePair()
    const chain = await chainOf(pair.remote, 200, 1_000)
    const { signal } = new AbortController()
    const abortOne = async (i: number): Promise<void> => {
      const controller = new AbortController()
      const linkSystem = createLinkSystem()
      const options = { signal: i % 2 === 0 ? controller.signal : signal, linkSystem }
      const request = pair.requestor.request(pair.b.peerId, chain[0], everything, options)
      for (let n = 0; n < i % 4; n++) { await request.next() }
      if (i % 2 === 0) {
        controller.abort(new Error('enough'))
        equal((await outcome(request)).error?.message, 'enough')
      } else {
        await request.return()
      }
    }
    for (let i = 0; i < 100; i++) { await abortOne(i) }
    const baseline = await alive()
    for (let i = 0; i < 1_000; i += 10) { await Promise.all(Array.from({ length: 10 }, async (_, j) => { await abortOne(i + j) })) }
    await until(() => [...peersOf(pair.responder).values()].every(({ responses }) => responses.size === 0))
    const left = await alive() - baseline
    ok(left <= 5, `${left.toFixed(1)} MiB above the baseline`)
    for (const peer of peersOf(pair.requestor).values()) { equal(peer.requests.size, 0) }
  })

  it('stays flat over a chain of 20,000 that nobody keeps', async () => {
    const local = createLinkSystem()
    local.blockstore.put = ((cid: any) => cid) as any
    await using pair = await exchangePair({ local })
    const chain = await chainOf(pair.remote, 20_000, 300)
    const before = await alive()
    let most = 0
    let count = 0
    for await (const { bytes } of pair.requestor.request(pair.b.peerId, chain[0], everything)) {
      ok(bytes.length > 0)
      if (++count % 10_000 === 5_000) { most = Math.max(most, await alive() - before) }
    }
    equal(count, 20_000)
    ok(most < 20, `${most.toFixed(1)} MiB more in the middle`)
  })

  it('is bounded when the store stalls, and an abort ends that', async () => {
    const local = createLinkSystem()
    const put = local.blockstore.put.bind(local.blockstore)
    let stored = 0
    local.blockstore.put = ((cid: any, bytes: any) => ++stored > 20 ? new Promise(() => {}) : put(cid, bytes)) as any
    await using pair = await exchangePair({ local })
    const chain = await chainOf(pair.remote, 3_000, 20_000)
    const before = await alive()
    const controller = new AbortController()
    const ended = fetchAll(pair, chain[0], { signal: controller.signal })
    await until(() => stored === 21)
    await untilHeldBack(pair.responder)
    const more = await alive() - before
    ok(more < 20, `${more.toFixed(1)} MiB of 60 wait`)
    const reason = new Error('stop')
    controller.abort(reason)
    equal((await ended).error, reason)
  })

  it('is bounded when the reader stalls', async () => {
    await using pair = await exchangePair()
    const chain = await chainOf(pair.remote, 3_000, 20_000)
    const before = await alive()
    const request = pair.requestor.request(pair.b.peerId, chain[0], everything)
    await request.next()
    await untilHeldBack(pair.responder)
    const more = await alive() - before
    ok(more < 20, `${more.toFixed(1)} MiB of 60 wait`)
    equal((await outcome(request)).cids.length, 2_999)
  })
})
