import { equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import * as dagCbor from '@ipld/dag-cbor'
import type { Stream } from '@libp2p/interface'
import { CID } from 'multiformats/cid'
import type { LinkSystem } from '../../src/shared/types.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { dagsyncSelector, recursionLimitDepth } from '../../src/traversal/index.ts'
import { encodeGraphsyncMessage } from '../../src/wire/graphsync/message.ts'
import { createGraphsync } from '../../src/wire/graphsync/index.ts'
import { send } from '../../src/wire/streams.ts'
import { withVictim } from '../wire/graphsync/with-victim.ts'
import { createNode } from '../wire/nodes.ts'
import { chainOf, everything, exchangePair, fetchAll, outcome } from '../wire/graphsync/kit.ts'
import type { ExchangePair } from '../wire/graphsync/kit.ts'
import { framed, RawPeer } from '../wire/graphsync/raw-peer.ts'

// Peers that send what they should not. Each time another peer's request must finish, and memory stay within bounds.

const MAX_ALIVE = 150 * 1024 * 1024
const random = (size: number): Uint8Array => crypto.getRandomValues(new Uint8Array(size))
const prefix = Uint8Array.from([1, 0x71, 0x12, 0x20])

const PROTOCOL = '/ipfs/graphsync/2.0.0'
const requestFor = (root: CID): Uint8Array =>
  framed(encodeGraphsyncMessage({ requests: [{ id: random(16), type: 'new', root, selector: everything }], responses: [], blocks: [] }))

async function until (condition: () => boolean, what = 'in time'): Promise<void> {
  for (let i = 0; i < 1_000 && !condition(); i++) { await delay(10) }
  ok(condition(), what)
}

/** Plays a bad peer to the responder of a pair, and looks whether the good peer is served meanwhile. */
async function withBadPeer (play: (bad: RawPeer, pair: ExchangePair) => Promise<void>, accept = true): Promise<void> {
  await using pair = await exchangePair({ accept })
  const node = await createNode()
  try {
    await node.dial(pair.b.getMultiaddrs())
    const bad = new RawPeer(node, pair.b.peerId)
    await bad.start()
    await play(bad, pair)
    if (accept) {
      const chain = await chainOf(pair.remote, 200, 1_000, 99)
      const { cids, error } = await fetchAll(pair, chain[0])
      equal(error, undefined)
      equal(cids.length, 200)
    }
    // The bad peer is in this process too, so what is alive is looked at, not what is resident, and what it sent last may be on its way.
    await until(() => {
      globalThis.gc?.()
      const { heapUsed, external } = process.memoryUsage()
      return heapUsed + external < MAX_ALIVE
    }, `less than ${MAX_ALIVE} bytes are alive`)
  } finally {
    await node.stop()
  }
}

describe('graphsync: bad input', () => {
  it('resets a stream with a frame over the limit', () => withBadPeer(async bad => {
    await bad.sendBytes(Uint8Array.from([0x81, 0x80, 0x80, 0x02]))
    const stream = await bad.stream()
    await until(() => stream.status === 'reset')
  }))

  it('resets a stream of garbage', () => withBadPeer(async bad => {
    for (let i = 0; i < 20; i++) {
      await bad.sendBytes(framed(random(1_000)), i)
      const stream = await bad.stream(i)
      await until(() => stream.status === 'reset')
    }
  }))

  it('takes silent streams, and frames that never end', () => withBadPeer(async bad => {
    const streams: Stream[] = []
    for (let i = 0; i < 60; i++) {
      const stream = await bad.stream(i)
      streams.push(stream)
      if (i % 2 === 0) {
        stream.send(Uint8Array.from([0x80, 0x80, 0x80, 0x02]))
        stream.send(new Uint8Array(1024 * 1024)) // of 4 MiB
      }
    }
    await until(() => streams.some(({ status }) => status !== 'open'), 'those beyond the budget are reset')
  }))

  it('serves 10,000 requests of one peer, all of them', () => withBadPeer(async (bad, { remote }) => {
    const [root] = await chainOf(remote, 1)
    const requests = Array.from({ length: 10_000 }, () => ({ id: random(16), type: 'new' as const, root, selector: everything }))
    for (let i = 0; i < requests.length; i += 2_500) { await bad.send({ requests: requests.slice(i, i + 2_500) }) }
    const seen = new Set<string>()
    let read = 0
    await bad.until(() => {
      for (; read < bad.received.length; read++) {
        for (const { requestId, status } of bad.received[read].message.responses) {
          if (status === 20) { seen.add(Buffer.from(requestId).toString('hex')) }
        }
      }
      return seen.size === 10_000
    })
  }))

  it('refuses selectors of 1,000 nested unions in no time, whether they compile or not', () => withBadPeer(async (bad, { remote }) => {
    const [root] = await chainOf(remote, 3)
    for (const inner of [{ a: { '>': { '@': {} } } }, { nonsense: {} }] as any[]) {
      let selector = inner
      for (let i = 0; i < 1_000; i++) { selector = { '|': [selector] } }
      const id = random(16)
      await bad.send({ requests: [{ id, type: 'new', root, selector: { R: { l: { none: {} }, ':>': selector } } }] })
      const status = await bad.terminal(id)
      ok(status === 20 || status === 32, String(status))
    }
  }))

  it('answers bad extensions with 32', () => withBadPeer(async (bad, { remote }) => {
    const [root] = await chainOf(remote, 3)
    for (const extensions of [
      { 'graphsync/dedup-by-key': 7 }, { 'graphsync/do-not-send-cids': 'x' }, { 'graphsync/do-not-send-cids': [1] },
      { 'graphsync/do-not-send-first-blocks': 'many' }, { 'graphsync/dedup-by-key': null }, { 'graphsync/do-not-send-cids': null },
      { 'graphsync/do-not-send-first-blocks': null }
    ]) {
      const id = random(16)
      await bad.send({ requests: [{ id, type: 'new', root, selector: everything, extensions }] })
      equal(await bad.terminal(id), 32)
    }
    const id = random(16)
    await bad.send({ requests: [{ id, type: 'new' }] })
    equal(await bad.terminal(id), 32)
  }))

  it('drops responses and blocks that nobody asked for', () => withBadPeer(async bad => {
    const cid = CID.parse('bafyreifcptdwvywacgbbo6d4ynca3wkr7i6oniyph5aufy4fplc56le4x4')
    for (let i = 0; i < 100; i++) {
      await bad.send({
        responses: [{ requestId: random(16), status: 14, metadata: [[cid, 'present']] }],
        blocks: Array.from({ length: 10 }, () => ({ prefix, data: random(50_000) }))
      })
    }
    equal((await bad.stream()).status, 'open')
  }))

  it('lets a peer cancel no request but its own', () => withBadPeer(async (bad, { remote, requestor, b }) => {
    const chain = await chainOf(remote, 3_000, 500)
    const request = requestor.request(b.peerId, chain[0], everything)
    await request.next()
    const sent = [...(requestor as any).network.peers.values()][0].requests.values().next().value.id
    await bad.send({ requests: [{ id: sent, type: 'cancel' }] })
    equal((await outcome(request)).cids.length, 2_999)
  }))

  it('does not let a reader that stopped hold others back, and ends it after the write time-out', async () => {
    await using pair = await exchangePair({ responder: { writeTimeout: 500 }, accept: false })
    const chain = await chainOf(pair.remote, 2_000, 20_000)
    const ends: any[] = []
    pair.responder.addValidator(() => ({ accept: true, onEnd: end => { ends.push(end) } }))
    const node = await createNode()
    try {
      await node.dial(pair.b.getMultiaddrs())
      await node.handle(PROTOCOL, stream => {
        stream.maxReadBufferLength = 1 << 30
        stream.pause() // and never again
      })
      const stream = await node.dialProtocol(pair.b.peerId, PROTOCOL)
      for (let i = 0; i < 5; i++) { stream.send(requestFor(chain[0])) }
      await delay(200)
      const { total } = (pair.responder as any).network
      ok(total.bytes > 0 && total.bytes <= 4 * 1024 * 1024, `${total.bytes} bytes wait`)
      equal((await fetchAll(pair, chain[0])).cids.length, 2_000)
      await until(() => ends.some(({ error }) => error != null)) // the other four were not begun
      equal(total.bytes, 0)
      const { peers } = (pair.responder as any).network
      await until(() => [...peers.values()].every(({ responses }) => responses.size === 0))
    } finally {
      await node.stop()
    }
  })
})

describe('graphsync: responders that lie', () => {
  /** A requestor against a raw responder; gives how the request ended. */
  async function against (
    play: (peer: RawPeer, id: Uint8Array, blocks: Array<{ prefix: Uint8Array, data: Uint8Array }>, cids: CID[]) => Promise<void>,
    local?: LinkSystem
  ): Promise<any> {
    await using pair = await exchangePair({ accept: false, local })
    const cids = await chainOf(pair.remote, 3)
    const blocks = []
    for (const cid of cids) {
      for await (const data of pair.remote.blockstore.get(cid)) { blocks.push({ prefix, data }) }
    }
    await pair.responder.stop()
    const liar = new RawPeer(pair.b, pair.a.peerId)
    await liar.start()
    const ended = fetchAll(pair, cids[0], { stallTimeout: 1_000 }, dagsyncSelector(recursionLimitDepth(10)))
    const { requests: [{ id }] } = await liar.message(0)
    await play(liar, id, blocks, cids)
    const result = await ended
    for (const cid of cids) {
      equal(await pair.local.has(cid), result.cids.includes(String(cid)), 'stored is what was given')
    }
    return result
  }

  it('bytes that do not hash to the link are never stored', async () => {
    const { cids, error } = await against(async (peer, id, _, [root]) => {
      await peer.send({ responses: [{ requestId: id, status: 20, metadata: [[root, 'present']] }], blocks: [{ prefix, data: random(100) }] })
    })
    equal(cids.length, 0)
    equal(error.name, 'TransferFailedError')
  })

  it('metadata of another walk ends the request, and cancels it', async () => {
    let cancelled = false
    const { cids, error } = await against(async (peer, id, blocks, [root, second, third]) => {
      await peer.send({ responses: [{ requestId: id, status: 14, metadata: [[root, 'present'], [third, 'present'], [second, 'present']] }], blocks })
      await peer.until(() => peer.requests.length === 2)
      cancelled = peer.requests[1].type === 'cancel'
    })
    equal(cids.length, 1)
    equal(error.name, 'TransferFailedError')
    ok(/malicious/.test(error.message))
    ok(cancelled)
  })

  it('a block of an unknown hash is for none: those beside it are taken, and the stream is read on', async () => {
    const strange = { prefix: Uint8Array.from([1, 0x71, 0x99, 0x01, 0x20]), data: random(5) }
    const { cids, error } = await against(async (peer, id, blocks, [root, second, third]) => {
      await peer.send({ responses: [{ requestId: id, status: 14, metadata: [[root, 'present']] }], blocks: [strange, blocks[0]] })
      await peer.send({ responses: [{ requestId: id, status: 14, metadata: [[second, 'present']] }], blocks: [blocks[1]] })
      await peer.send({ responses: [{ requestId: id, status: 20, metadata: [[third, 'present']] }], blocks: [strange] })
    })
    equal(cids.length, 2)
    equal(error.name, 'TransferFailedError')
  })

  it('an unknown hash is looked for once in a message, however many blocks have it, and so many hashes are no message', async () => {
    const local = createLinkSystem()
    const getHasher = local.getHasher.bind(local)
    let unknown = 0
    local.getHasher = code => {
      if (code !== 0x12) { unknown++ }
      return getHasher(code)
    }
    await using pair = await exchangePair({ accept: false, local })
    const [root] = await chainOf(pair.remote, 1)
    const [data] = await Array.fromAsync(pair.remote.blockstore.get(root))
    await pair.responder.stop()
    const liar = new RawPeer(pair.b, pair.a.peerId)
    await liar.start()
    const strange = (i: number): { prefix: Uint8Array, data: Uint8Array } =>
      ({ prefix: Uint8Array.from([1, 0x71, 0x80 | (i & 127), 0x40 | (i >> 7), 0x20]), data: new Uint8Array(0) })
    const ended = fetchAll(pair, root)
    const { requests: [{ id }] } = await liar.message(0)
    await liar.send({
      responses: [{ requestId: id, status: 20, metadata: [[root, 'present']] }],
      blocks: [...Array.from({ length: 50_000 }, (_, i) => strange(i % 64)), { prefix, data }]
    })
    equal((await ended).error, undefined)
    equal(unknown, 64)

    const refused = fetchAll(pair, root, { linkSystem: createLinkSystem() })
    const { requests: [next] } = await liar.message(1)
    await liar.send({
      responses: [{ requestId: next.id, status: 20, metadata: [[root, 'present']] }],
      blocks: [...Array.from({ length: 65 }, (_, i) => strange(i)), { prefix, data }]
    })
    const { error } = await refused
    equal(error?.name, 'TransferFailedError')
    equal(error.cause?.name, 'InvalidMessageError')
  })

  it('a block that a hasher fails on, at once or later, is no message', async () => {
    const atOnce = (): never => { throw new Error('played') }
    const later = async (): Promise<never> => atOnce()
    for (const fails of [[atOnce, atOnce], [later, later], [later, atOnce]]) { // of the last, the first rejects when all is over
      const local = createLinkSystem()
      const digest = (): never | Promise<never> => (fails.shift() ?? atOnce)()
      const { error } = await against(async (peer, id, blocks, [root]) => {
        await peer.send({ responses: [{ requestId: id, status: 20, metadata: [[root, 'present']] }], blocks: [blocks[0], blocks[1]] })
      }, Object.assign(local, { getHasher: () => ({ code: 0x12, name: 'sha2-256', digest }) }))
      equal(error.name, 'TransferFailedError')
      equal(error.cause?.name, 'InvalidMessageError')
      equal(error.cause.cause.message, 'played')
    }
  })

  it('endless metadata is not read beyond what a request may hold', async () => {
    await using pair = await exchangePair({ accept: false })
    const node = { a: await pair.remote.store({ x: 1 }, { codec: dagCbor }) }
    const root = await pair.remote.store(node, { codec: dagCbor })
    await pair.responder.stop()
    const liar = new RawPeer(pair.b, pair.a.peerId)
    await liar.start()
    const request = pair.requestor.request(pair.b.peerId, root, everything, { stallTimeout: 2_000 })
    const first = request.next()
    const { requests: [{ id }] } = await liar.message(0)
    const data = dagCbor.encode(node)
    await liar.send({ responses: [{ requestId: id, status: 14, metadata: [[root, 'present']] }], blocks: [{ prefix, data }] })
    await first
    const stream = await liar.stream()
    const message = framed(encodeGraphsyncMessage({
      requests: [], blocks: [], responses: [{ requestId: id, status: 14, metadata: Array.from({ length: 5_000 }, () => [root, 'present'] as any) }]
    }))
    let sent = 0
    for (; sent < 1_000 && stream.writeBufferLength < 1024 * 1024; sent++) {
      stream.send(message)
      await delay(1)
    }
    ok(sent < 200, `held back after ${sent} messages`)
    equal((await outcome(request)).error.name, 'TransferFailedError')
  })
})

describe('graphsync: everything at once, against a process of its own', () => {
  it('leaves it below 350 MiB, and serving others', async () => {
    await withVictim(async ({ peer, nodes, one, root }) => {
      const [frames, requests, flood] = nodes.map(node => new RawPeer(node, peer))
      const attacks = [
        async () => { // frames that never end
          for (let i = 1; i <= 40; i++) {
            (await frames.stream(i)).send(Uint8Array.from([0x80, 0x80, 0x80, 0x02]))
            await send(await frames.stream(i), [new Uint8Array(1024 * 1024)], { timeout: 5_000 })
          }
        },
        async () => { // 10,000 requests of a peer that reads no answer
          await requests.node.handle(PROTOCOL, stream => { stream.pause() })
          const list = Array.from({ length: 10_000 }, (_, i) =>
            ({ id: random(16), type: 'new' as const, root: i % 2 === 0 ? one : root, selector: everything }))
          const message = encodeGraphsyncMessage({ requests: list, responses: [], blocks: [] })
          await send(await requests.stream(), [framed(message)], { timeout: 60_000 })
        },
        async () => { // blocks that nobody asked for
          for (let i = 0; i < 60; i++) {
            const blocks = Array.from({ length: 10 }, () => ({ prefix, data: random(50_000) }))
            const message = encodeGraphsyncMessage({ requests: [], responses: [{ requestId: random(16), status: 14 }], blocks })
            await send(await flood.stream(), [framed(message)], { timeout: 60_000 })
          }
        }
      ]
      await Promise.allSettled(attacks.map(attack => attack())) // being reset is fine
      const good = createGraphsync({ libp2p: nodes[3], linkSystem: createLinkSystem() })
      await good.start()
      const { cids, error } = await outcome(good.request(peer, root, everything))
      equal(error, undefined)
      equal(cids.length, 2_000)
      await good.stop()
    })
  })
})
