import { equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { CID } from 'multiformats/cid'
import { identity } from 'multiformats/hashes/identity'
import { sha256 } from 'multiformats/hashes/sha2'
import type { GraphsyncRequest, LinkAction } from '../../src/shared/types/graphsync.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { readBlock } from '../../src/store/read.ts'
import { gate } from '../wire/data-transfer/kit.ts'
import { chainOf, everything, exchangePair, fetchAll, outcome } from '../wire/graphsync/kit.ts'
import type { ExchangePair } from '../wire/graphsync/kit.ts'
import { GRAPHSYNC_PROTOCOL, MAX_WAITING_REQUESTS } from '../../src/wire/graphsync/constants.ts'
import { Exchange } from '../../src/wire/graphsync/exchange.ts'
import { encodeGraphsyncMessage } from '../../src/wire/graphsync/message.ts'
import { send } from '../../src/wire/streams.ts'
import { createNode, createPair } from '../wire/nodes.ts'
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

  for (const [what, pace] of [['fast', 0], ['slow', 5]] as const) {
    it(`is bounded when the reader waits for another request of the peer, and its store is ${what}`, async () => {
      const local = createLinkSystem()
      await using pair = await exchangePair({ local })
      const outer = await chainOf(pair.remote, 3_000, 20_000, 1)
      const inner = await chainOf(pair.remote, 2, 100, 2)
      let stored = 0
      local.blockstore.get = ((cid: any, options: any) => stored === 0 // keeps nothing
        ? createLinkSystem().blockstore.get(cid)
        : pair.remote.blockstore.get(cid, options)) as any
      local.blockstore.put = ((cid: any) => {
        stored++
        return pace === 0 ? cid : delay(pace, cid)
      }) as any
      const { reached, open } = gate(pair.remote, inner[1])
      const before = await alive()
      const request = pair.requestor.request(pair.b.peerId, outer[0], everything)
      await request.next()
      const awaited = fetchAll(pair, inner[0], { linkSystem: createLinkSystem() })
      await reached
      await (pace === 0 ? until(() => stored === 3_000) : untilHeldBack(pair.responder))
      const more = await alive() - before
      ok(more < 30, `${more.toFixed(1)} MiB of 60 wait`)
      open()
      equal((await awaited).error, undefined)
      if (pace === 0) { equal((await outcome(request)).cids.length, 2_999) } else { await request.return() }
    })
  }

  it('is bounded when the peer sends what is of no use to a request whose reader waits for another one', async () => {
    await using pair = await createPair()
    const local = createLinkSystem()
    await using requestor = new Exchange({ libp2p: pair.a, linkSystem: local })
    await requestor.start()
    const raw = new RawPeer(pair.b, pair.a.peerId)
    await raw.start()
    const [root, ...rest] = await chainOf(createLinkSystem(), 4, 100)
    const before = await alive()
    const request = requestor.request(pair.b.peerId, root, everything)
    const first = request.next()
    await raw.until(() => raw.requests.length === 1)
    const remote = createLinkSystem()
    await chainOf(remote, 4, 100)
    const [{ id: requestId }] = raw.requests
    const prefix = root.bytes.subarray(0, 4)
    const bytesOf = async (cid: any): Promise<Uint8Array> => await readBlock(remote.blockstore, cid)
    await raw.send({
      responses: [{ requestId, status: 14, metadata: [[root, 'present']] }], blocks: [{ prefix, data: await bytesOf(root) }]
    })
    await first
    const awaited = outcome(requestor.request(pair.b.peerId, rest[0], everything, { linkSystem: createLinkSystem() }))
    await raw.until(() => raw.requests.length === 2)
    const stream = await raw.stream()
    for (let i = 0; i < 60; i++) {
      const data = crypto.getRandomValues(new Uint8Array(65_536))
      const raw = Uint8Array.from([1, 0x55, 0x12, 32])
      const blocks = Array.from({ length: 16 }, (_, n) => ({ prefix: raw, data: data.map(byte => byte ^ n) }))
      const metadata = await Promise.all(blocks.map(async ({ data }): Promise<[CID, LinkAction]> =>
        [CID.createV1(0x55, await sha256.digest(data)), 'present']))
      const message = { requests: [], responses: [{ requestId, status: 14, metadata }], blocks }
      await send(stream, [framed(encodeGraphsyncMessage(message))], { timeout: 60_000 })
    }
    for (const cid of rest) {
      const { id: requestId } = raw.requests[1]
      const status = cid === rest[2] ? 20 : 14
      await raw.send({ responses: [{ requestId, status, metadata: [[cid, 'present']] }], blocks: [{ prefix, data: await bytesOf(cid) }] })
    }
    equal((await awaited).error, undefined) // all that came before was read
    const more = await alive() - before
    ok(more < 20, `${more.toFixed(1)} MiB of 60 wait`)
    equal((await outcome(request)).error?.name, 'TransferFailedError')
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
      for (const id of ids) { equal(await raw.terminal(id), 30) }
      equal(begun, 60)
    } finally {
      await raw.node.stop()
    }
  })

  it('is given back by big requests that are over, though another one of the peer is not', async () => {
    await using pair = await exchangePair()
    const chain = await chainOf(pair.remote, 3)
    const held = gate(pair.remote, chain[1])
    await pair.requestor.stop()
    const raw = new RawPeer(pair.a, pair.b.peerId)
    await raw.start()
    const ask = async (root: CID, big: Uint8Array): Promise<Uint8Array> => {
      const id = crypto.getRandomValues(new Uint8Array(16))
      await raw.send({ requests: [{ id, type: 'new', root, selector: everything, extensions: { big } }] })
      return id
    }
    const long = await ask(chain[0], new Uint8Array(1))
    await held.reached
    const before = await alive()
    for (let i = 0; i < 60; i++) {
      const root = CID.createV1(0x55, identity.digest(Uint8Array.of(i)))
      equal(await raw.terminal(await ask(root, new Uint8Array(MiB / 4))), 20)
    }
    const more = await alive() - before
    ok(more < 7, `${more.toFixed(1)} MiB of 15 are alive`)
    held.open()
    equal(await raw.terminal(long), 20)
  })

  it('is not held by what was in messages beside the requests that wait', async () => {
    await using pair = await exchangePair({ responder: { maxInboundRequests: 1 } })
    const chain = await chainOf(pair.remote, 2)
    const held = gate(pair.remote, chain[1])
    await pair.requestor.stop()
    const raw = new RawPeer(pair.a, pair.b.peerId)
    await raw.start()
    const request = (): GraphsyncRequest => ({ id: crypto.getRandomValues(new Uint8Array(16)), type: 'new', root: chain[0], selector: everything })
    await raw.send({ requests: Array.from({ length: MAX_WAITING_REQUESTS + 2 }, request) })
    await held.reached
    const peer = peersOf(pair.responder).get(String(pair.a.peerId))
    const block = { prefix: Uint8Array.of(1, 0x55, 0x12, 0x20), data: new Uint8Array(0) }
    const before = await alive()
    for (let i = 1; i <= 4; i++) {
      const message = encodeGraphsyncMessage({ requests: [request()], responses: [], blocks: new Array(400_000).fill(block) })
      await send(await raw.stream(i), [framed(message)], { timeout: 10_000 })
    }
    await until(() => peer.inbound.used > 10 * MiB && peer.changeWaiters.length === 4)
    const more = await alive() - before
    ok(more < 60, `${more.toFixed(1)} MiB more for messages of 11 MiB`)
    held.open()
  })

  it('is bounded when the requests of a peer are small and have many values', async () => {
    await using pair = await exchangePair({ accept: false })
    const asked = Promise.withResolvers<void>()
    let begun = 0
    pair.responder.addValidator(async () => {
      begun++
      await asked.promise
      return { accept: false }
    })
    await pair.requestor.stop()
    const raw = new RawPeer(pair.a, pair.b.peerId)
    await raw.start()
    const [root] = await chainOf(pair.remote, 1)
    const id = new Uint8Array(16).fill(0xaa)
    const extensions = { many: new Array(200_000).fill({}) }
    const frame = framed(encodeGraphsyncMessage({ requests: [{ id, type: 'new', root, selector: everything, extensions }], responses: [], blocks: [] }))
    const at = Buffer.from(frame.buffer).indexOf(id)
    const before = await alive()
    const stream = await raw.stream()
    const sending = (async () => {
      for (let i = 0; i < 30; i++) {
        const copy = frame.slice()
        copy.set(crypto.getRandomValues(new Uint8Array(16)), at)
        await send(stream, [copy], { timeout: 30_000 })
      }
    })()
    await until(() => begun === 30 || [...peersOf(pair.responder).values()].some(({ crowded }) => crowded))
    const more = await alive() - before
    ok(more < 180, `${more.toFixed(1)} MiB more for ${begun} requests`)
    asked.resolve()
    await sending
    await until(() => begun === 30)
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
