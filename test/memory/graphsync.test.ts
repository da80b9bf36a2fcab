import { equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Libp2p } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { encodeGraphsyncMessage } from '../../src/wire/graphsync/message.ts'
import { createNode } from '../wire/nodes.ts'
import { chainOf, everything, exchangePair, fetchAll, outcome } from '../wire/graphsync/kit.ts'
import { framed } from '../wire/graphsync/raw-peer.ts'

const PROTOCOL = '/ipfs/graphsync/2.0.0'
const MiB = 1024 * 1024

/** What is alive after collections, in MiB. */
async function alive (): Promise<number> {
  for (let i = 0; i < 4; i++) {
    await delay(20)
    globalThis.gc?.()
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return (heapUsed + arrayBuffers) / MiB
}

async function until (condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1_500 && !condition(); i++) { await delay(10) }
  ok(condition(), 'in time')
}

const requestFor = (root: CID): Uint8Array => {
  const id = crypto.getRandomValues(new Uint8Array(16))
  return framed(encodeGraphsyncMessage({ requests: [{ id, type: 'new', root, selector: everything }], responses: [], blocks: [] }))
}
const peersOf = (exchange: any): Map<string, any> => exchange.network.peers

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

  it('stays flat over a chain of 30,000 that nobody keeps', async () => {
    const local = createLinkSystem()
    local.blockstore.put = ((cid: any) => cid) as any
    await using pair = await exchangePair({ local })
    const chain = await chainOf(pair.remote, 30_000, 300)
    const before = await alive()
    let most = 0
    let count = 0
    for await (const { bytes } of pair.requestor.request(pair.b.peerId, chain[0], everything)) {
      ok(bytes.length > 0)
      if (++count % 10_000 === 5_000) { most = Math.max(most, await alive() - before) }
    }
    equal(count, 30_000)
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
    await delay(500)
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
    await delay(500)
    const more = await alive() - before
    ok(more < 20, `${more.toFixed(1)} MiB of 60 wait`)
    equal((await outcome(request)).cids.length, 2_999)
  })

  it('is given back when 200 peers vanish mid-request', async () => {
    await using pair = await exchangePair()
    const chain = await chainOf(pair.remote, 200, 20_000)
    const before = await alive()
    for (let round = 0; round < 10; round++) {
      const nodes: Libp2p[] = await Promise.all(Array.from({ length: 20 }, async () => await createNode()))
      try {
        await Promise.all(nodes.map(async node => {
          await node.handle(PROTOCOL, stream => { stream.pause() })
          await node.dial(pair.b.getMultiaddrs())
          const stream = await node.dialProtocol(pair.b.peerId, PROTOCOL)
          stream.send(requestFor(chain[0]))
        }))
        await until(() => peersOf(pair.responder).size >= 20)
      } finally {
        await Promise.all(nodes.map(async node => { await node.stop() }))
      }
      await until(() => peersOf(pair.responder).size === 0)
    }
    equal((pair.responder as any).network.total.bytes, 0)
    equal((pair.responder as any).network.total.peers.size, 0)
    const more = await alive() - before
    ok(more < 25, `${more.toFixed(1)} MiB more`)
    equal((await fetchAll(pair, chain[0])).cids.length, 200)
  })
})
