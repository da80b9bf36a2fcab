import { equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { GraphsyncRequest } from '../../src/shared/types/graphsync.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { chainOf, everything, exchangePair, fetchAll, outcome } from '../wire/graphsync/kit.ts'
import type { ExchangePair } from '../wire/graphsync/kit.ts'
import { GRAPHSYNC_PROTOCOL } from '../../src/wire/graphsync/constants.ts'
import { encodeGraphsyncMessage } from '../../src/wire/graphsync/message.ts'
import { send } from '../../src/wire/streams.ts'
import { createNode } from '../wire/nodes.ts'
import { framed, RawPeer } from '../wire/graphsync/raw-peer.ts'
import { alive, MiB, peersOf, until, untilHeldBack } from './kit.ts'

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

  it('is bounded when the requests of a peer are big and take long, and none of them is dropped', async () => {
    await using pair = await exchangePair({ accept: false })
    const { promise: decided, resolve: decide } = Promise.withResolvers<void>()
    let begun = 0
    pair.responder.addValidator(async (_, { extensions = {} }) => {
      if (!('big' in extensions)) { return 'small' in extensions ? { accept: false } : { accept: true } }
      begun++
      await decided
      return { accept: false }
    })
    const chain = await chainOf(pair.remote, 100)
    const raw = new RawPeer(await createNode(), pair.b.peerId)
    try {
      await raw.node.dial(pair.b.getMultiaddrs())
      await raw.start()
      const before = await alive()
      const ids = Array.from({ length: 60 }, () => crypto.getRandomValues(new Uint8Array(16)))
      const request = (id: Uint8Array, extensions: Record<string, any>): GraphsyncRequest =>
        ({ id, type: 'new', root: chain[0], selector: everything, extensions })
      let sent = 0
      const sending = (async () => {
        const stream = await raw.stream()
        for (const id of ids) { // small ones beside it, that are soon over
          const others = Array.from({ length: 20 }, () => request(crypto.getRandomValues(new Uint8Array(16)), { small: true }))
          const requests = [request(id, { big: new Uint8Array(MiB) }), ...others]
          await send(stream, [framed(encodeGraphsyncMessage({ requests, responses: [], blocks: [] }))], { timeout: 60_000 })
          sent++
        }
      })()
      await until(() => sent === 60 || [...peersOf(pair.responder).values()].some(({ crowded }) => crowded))
      ok(begun <= 18, `${begun} MiB of requests`)
      const more = await alive() - before
      ok(more < 40, `${more.toFixed(1)} MiB of 60 wait`) // with what is in the streams
      equal((await fetchAll(pair, chain[0])).cids.length, 100)
      decide()
      await sending
      for (const id of ids) { equal(await raw.terminal(id), 32) }
      equal(begun, 60)
    } finally {
      await raw.node.stop()
    }
  })

  /** A peer that asks for much, with requests of a MiB, and takes nothing of it. */
  async function withBigRequests (
    play: (raw: RawPeer, ask: (stream?: number) => Promise<Uint8Array>, pair: ExchangePair) => Promise<void>
  ): Promise<void> {
    await using pair = await exchangePair()
    const chain = await chainOf(pair.remote, 1_000, 20_000)
    const raw = new RawPeer(await createNode(), pair.b.peerId)
    await using stack = new AsyncDisposableStack()
    stack.defer(async () => { await raw.node.stop() })
    await raw.node.dial(pair.b.getMultiaddrs())
    await raw.node.handle(GRAPHSYNC_PROTOCOL, stream => { stream.pause() })
    await play(raw, async stream => {
      const id = crypto.getRandomValues(new Uint8Array(16))
      const extensions = { big: new Uint8Array(MiB) }
      await raw.send({ requests: [{ id, type: 'new', root: chain[0], selector: everything, extensions }] }, stream)
      return id
    }, pair)
    equal((await fetchAll(pair, chain[0])).cids.length, 1_000)
  }
  const peerOf = (pair: ExchangePair, { node }: RawPeer): any => peersOf(pair.responder).get(node.peerId.toString())

  it('of requests that are not over is given back when their peer cancels them, however many they are', () => withBigRequests(async (raw, ask, pair) => {
    const ids = [await ask()]
    await until(() => peerOf(pair, raw)?.responses.size === 1)
    const held = peerOf(pair, raw)
    while (!held.crowded) {
      ids.push(await ask())
      await until(() => held.responses.size === ids.length)
    }
    ok(held.heldBytes > 3 * MiB)
    for (const id of ids) { await raw.send({ requests: [{ id, type: 'cancel' }] }) }
    await until(() => held.responses.size === 0 && held.heldBytes === 0)
    equal((await raw.stream()).status, 'open')
  }))

  it('is bounded when big requests come on many streams', () => withBigRequests(async (raw, ask, pair) => {
    const before = await alive()
    for (let i = 0; i < 60; i++) { await raw.send({ requests: [{ id: new Uint8Array(16), type: 'cancel' }] }, i) }
    await until(() => peerOf(pair, raw)?.streams === 60) // each of them is waited for
    for (let i = 0; i < 60; i++) { await ask(i).catch(() => {}) }
    await until(() => peerOf(pair, raw).streams < 60)
    const { heldBytes, inbound } = peerOf(pair, raw)
    ok(heldBytes + inbound.used <= 34 * MiB, `${((heldBytes + inbound.used) / MiB).toFixed(1)} MiB of 60 are held`)
    const more = await alive() - before
    ok(more < 100, `${more.toFixed(1)} MiB more are alive, with what the peer's own streams hold`)
  }))
})
