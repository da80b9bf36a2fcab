import { equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as dagCbor from '@ipld/dag-cbor'
import type { CID } from 'multiformats/cid'
import type { GraphsyncRequest } from '../../../src/shared/types/graphsync.ts'
import { createLinkSystem } from '../../../src/store/link-system.ts'
import { GraphsyncStatus, MAX_MESSAGE_BLOCKS, MAX_REQUESTS } from '../../../src/wire/graphsync/constants.ts'
import { Exchange } from '../../../src/wire/graphsync/exchange.ts'
import { until } from '../../memory/kit.ts'
import { createNode } from '../nodes.ts'
import { chainOf, everything, exchangePair, fetchAll, outcome } from './kit.ts'
import { RawPeer } from './raw-peer.ts'

const KiB = 1024

describe('graphsync: messages', () => {
  for (const [sizes, together] of [[[5], true], [[100, 450], false], [[60, 60, 390], true], [[200], false], [[600], false]] as const) {
    it(`have at most 512 KiB of blocks, or one that is bigger: blocks of ${sizes.join(' and ')} KiB`, async () => {
      await using pair = await exchangePair()
      const count = 30
      let root: CID | undefined
      for (let i = 0; i < count; i++) {
        const payload = new Uint8Array(sizes[i % sizes.length] * KiB).fill(i)
        root = await pair.remote.store({ payload, ...(root == null ? {} : { next: root }) }, { codec: dagCbor })
      }
      await pair.requestor.stop()
      const raw = new RawPeer(pair.a, pair.b.peerId)
      await raw.start()
      const id = crypto.getRandomValues(new Uint8Array(16))
      await raw.send({ requests: [{ id, type: 'new', root, selector: everything }] })
      equal(await raw.terminal(id), 20)
      const messages = raw.received.map(({ message }) => message.blocks.map(({ data }) => data.length)).filter(({ length }) => length > 0)
      equal(messages.flat().length, count)
      for (const sizes of messages) {
        ok(sizes.length === 1 || sizes.reduce((sum, size) => sum + size) <= MAX_MESSAGE_BLOCKS, `blocks of ${sizes.join(', ')} bytes`)
      }
      equal(messages.length < count, together, 'more than one where there is room')
    })
  }
})

describe('graphsync: many peers that are served at once', () => {
  it('take turns: what comes in waits for one of the walks, not for all of them', async () => {
    const nodes = await Promise.all(Array.from({ length: 21 }, async () => await createNode('noise')))
    await using stack = new AsyncDisposableStack()
    stack.defer(async () => { await Promise.all(nodes.map(async node => { await node.stop() })) })
    const [server, ...guests] = nodes
    const remote = createLinkSystem()
    const [root] = await chainOf(remote, 3_000)
    const get = remote.blockstore.get.bind(remote.blockstore)
    let loads = 0
    remote.blockstore.get = (...args) => {
      loads++
      return get(...args)
    }
    const responder = stack.use(new Exchange({ libp2p: server, linkSystem: remote }))
    responder.addValidator(() => ({ accept: true }))
    await responder.start()
    const requestors = guests.map(libp2p => stack.use(new Exchange({ libp2p, linkSystem: createLinkSystem() })))
    await Promise.all(requestors.map(async (requestor, i) => {
      await requestor.start()
      await guests[i].dial(server.getMultiaddrs())
    }))
    let most = 0
    let turning = true
    const turn = (): void => {
      most = Math.max(most, loads)
      loads = 0
      if (turning) { setImmediate(turn) }
    }
    turn()
    const outcomes = await Promise.all(requestors.map(async requestor => await outcome(requestor.request(server.peerId, root, everything))))
    turning = false
    for (const { cids } of outcomes) { equal(cids.length, 3_000) }
    ok(most < 4_000, `${most} blocks in one turn of the event loop`)
  })
})

describe('graphsync: requests in progress', () => {
  const COUNT = MAX_REQUESTS + 100

  it('of peers are 1,024 by default; further ones wait, and none is dropped', async () => {
    equal(MAX_REQUESTS, 1_024)
    await using pair = await exchangePair({ accept: false })
    const decided = Promise.withResolvers<void>()
    let begun = 0
    pair.responder.addValidator(async () => {
      begun++
      await decided.promise
      return { accept: true }
    })
    const [root] = await chainOf(pair.remote, 1)
    await pair.requestor.stop()
    const raw = new RawPeer(pair.a, pair.b.peerId)
    await raw.start()
    const requests = Array.from({ length: COUNT }, (): GraphsyncRequest =>
      ({ id: crypto.getRandomValues(new Uint8Array(16)), type: 'new', root, selector: everything }))
    await raw.send({ requests })
    await until(() => begun >= MAX_REQUESTS)
    equal([...(pair.responder as any).network.peers.values()][0].responses.size, COUNT)
    equal(begun, MAX_REQUESTS)
    decided.resolve()
    for (const { id } of requests) { equal(await raw.terminal(id), 20) }
    equal(begun, COUNT)
  })

  it('of our own are 1,024 by default; further ones wait, and none is dropped', async () => {
    await using pair = await exchangePair({ accept: false })
    const [root] = await chainOf(pair.remote, 1)
    await pair.responder.stop()
    const raw = new RawPeer(pair.b, pair.a.peerId)
    await raw.start()
    const running = Array.from({ length: COUNT }, async () => await fetchAll(pair, root, { stallTimeout: 120_000 }))
    await raw.until(() => raw.requests.length >= MAX_REQUESTS)
    equal(raw.requests.length, MAX_REQUESTS)
    for (let i = 0; i < COUNT; i++) {
      await raw.until(() => raw.requests.length > i)
      await raw.send({ responses: [{ requestId: raw.requests[i].id, status: GraphsyncStatus.notFound, metadata: [[root, 'missing']] }] })
    }
    const results = await Promise.all(running)
    ok(results.every(({ error }) => error?.name === 'ContentNotFoundError'))
    equal(raw.requests.length, COUNT)
  })
})
