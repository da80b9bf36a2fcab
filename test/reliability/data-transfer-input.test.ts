import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Stream } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import type { GraphsyncRequest } from '../../src/shared/types/graphsync.ts'
import type { LinkSystem } from '../../src/shared/types.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { DATA_TRANSFER_EXTENSION, DATA_TRANSFER_PROTOCOL, TransferType } from '../../src/wire/data-transfer/constants.ts'
import { createDataTransfer } from '../../src/wire/data-transfer/index.ts'
import { encodeTransferMessage, messageToNode } from '../../src/wire/data-transfer/message.ts'
import { GRAPHSYNC_PROTOCOL } from '../../src/wire/graphsync/constants.ts'
import { encodeGraphsyncMessage } from '../../src/wire/graphsync/message.ts'
import { send } from '../../src/wire/streams.ts'
import { alive, until } from '../memory/kit.ts'
import { transferPair, VOUCHER } from '../wire/data-transfer/kit.ts'
import type { TransferPair } from '../wire/data-transfer/kit.ts'
import { RawTransferPeer, requestOf, responseOf, sendBody } from '../wire/data-transfer/raw-peer.ts'
import { chainOf, everything, outcome } from '../wire/graphsync/kit.ts'
import { framed } from '../wire/graphsync/raw-peer.ts'
import { withVictim } from '../wire/graphsync/with-victim.ts'
import { createNode } from '../wire/nodes.ts'

// Peers that send what they should not, to either side of a pull. Each time the pull of another peer must finish, and memory stay
// within bounds. What graphsync has to bear is in graphsync.test.ts.

const MiB = 1024 * 1024
const MAX_ALIVE = 150 // MiB
const random = (size: number): Uint8Array => crypto.getRandomValues(new Uint8Array(size))
const ticket = { voucher: VOUCHER.value, voucherType: VOUCHER.type }

/** Nodes in this process too, so what is alive is looked at, not what is resident. */
async function checkMemory (): Promise<void> {
  const size = await alive()
  ok(size < MAX_ALIVE, `${Math.round(size)} MiB alive`)
}

async function checkPull (pair: TransferPair): Promise<void> {
  const chain = await chainOf(pair.remote, 200, 1_000, 99)
  const { cids, error } = await outcome(pair.initiator.pull(pair.b.peerId, VOUCHER, chain[0], everything))
  equal(error, undefined)
  equal(cids.length, 200)
}

/** Plays a bad peer to the responder of a pair. */
async function withBadPeer (play: (bad: RawTransferPeer, pair: TransferPair) => Promise<void>): Promise<void> {
  await using pair = await transferPair()
  await using stack = new AsyncDisposableStack()
  const node = await createNode()
  stack.defer(async () => { await node.stop() })
  await node.dial(pair.b.getMultiaddrs())
  const bad = new RawTransferPeer(node, pair.b.peerId)
  await bad.start()
  await play(bad, pair)
  await checkPull(pair)
  await checkMemory()
}

const open = async ({ node, peer }: RawTransferPeer): Promise<Stream> =>
  await node.dialProtocol(peer, DATA_TRANSFER_PROTOCOL)

/** A message of a MB that does not end; whether the stream was reset for it does not matter here. */
async function sendWithoutEnd (bad: RawTransferPeer): Promise<Stream> {
  const stream = await open(bad)
  try {
    await send(stream, [new Uint8Array(1_000_000)], { timeout: 5_000 })
  } catch {}
  return stream
}

describe('data transfer: streams of a bad peer', () => {
  const message = encodeTransferMessage(requestOf({ transferId: 1n, ...ticket }))
  for (const [what, body] of [
    ['garbage', random(1_000)], ['bytes after a message', Uint8Array.of(...message, 0)], ['half a message', message.subarray(0, 50)],
    ['a message over the limit', encodeTransferMessage(requestOf({ transferId: 1n, voucherType: 'x', voucher: new Uint8Array(MiB) }))]
  ] as const) {
    it(`with ${what} are reset`, () => withBadPeer(async bad => {
      for (let i = 0; i < 20; i++) { equal((await sendBody(bad.node, bad.peer, body)).status, 'reset') }
    }))
  }

  it('without an end are reset at the limit', () => withBadPeer(async bad => {
    const stream = await open(bad)
    let sent = 0
    try {
      for (; sent < 64; sent++) { await send(stream, [new Uint8Array(MiB / 4)], { timeout: 5_000 }) }
    } catch {}
    ok(sent < 64, `${sent / 4} MiB were taken`)
    equal(stream.status, 'reset')
  }))

  it('that are not ended hold little together', () => withBadPeer(async bad => {
    const streams: Stream[] = []
    for (let i = 0; i < 100; i++) { streams.push(await sendWithoutEnd(bad)) }
    await until(() => streams.filter(({ status }) => status === 'open').length <= 4)
  }))

  it('that are silent are reset after a while, and hold nobody up', () => withBadPeer(async (bad, pair) => {
    const streams = await Promise.all(Array.from({ length: 200 }, async () => await open(bad)))
    await checkPull(pair)
    equal(streams.filter(({ status }) => status === 'open').length, 200)
    await until(() => streams.every(({ status }) => status === 'reset'))
  }))

  it('with 2,000 messages of transfers that nobody knows are dropped', () => withBadPeer(async (bad, { b }) => {
    for (let i = 0; i < 2_000; i += 20) {
      await Promise.all(Array.from({ length: 20 }, async (_, j) => {
        const transferId = BigInt(i + j)
        const type = (i + j) % 8
        await bad.say(j % 2 === 0 ? requestOf({ type, transferId, ...ticket }) : responseOf({ type, transferId }))
      }))
    }
    equal(b.getConnections().length, 2)
    equal(bad.messages.length, 0)
  }))
})

describe('data transfer: requests of a bad peer', () => {
  for (const [what, node] of [
    ['no message', { IsRq: 'no' }], ['a response', messageToNode(responseOf({ transferId: 1n }))], ['null', null], ['bytes', random(100)],
    ['a message that lacks keys', { IsRq: true, Request: {}, Response: null }]
  ] as const) {
    it(`with ${what} where a voucher should be get status 32`, () => withBadPeer(async (bad, { remote }) => {
      const [root] = await chainOf(remote, 1)
      const id = random(16)
      const request = { id, type: 'new' as const, root, selector: everything, extensions: { [DATA_TRANSFER_EXTENSION]: node } }
      await bad.send({ requests: [request] })
      equal(await bad.terminal(id), 32)
    }))
  }

  it('with vouchers that do not decode are refused', () => withBadPeer(async (bad, { responder, remote }) => {
    const [root] = await chainOf(remote, 1)
    responder.addVoucherType('Strict', (_, { Seat }) => ({ accept: BigInt(Seat) > 0n })) // throws for most
    for (const voucher of [undefined, 'text', 7, [], {}, { Seat: 'x' }, random(1_000)]) {
      const id = await bad.ask({ voucherType: 'Strict', voucher, transferId: BigInt(Date.now()) }, root, everything)
      equal(await bad.terminal(id), 32)
      deepEqual(bad.transfers(id).map(({ accepted }) => accepted), [false])
    }
  }))

  it('are served though they are 10,000 at once, all of them', () => withBadPeer(async (bad, { remote, responder }) => {
    const [root] = await chainOf(remote, 1)
    const requests = Array.from({ length: 10_000 }, (_, i) => pullRequest(root, BigInt(i)))
    for (let i = 0; i < requests.length; i += 2_500) { await bad.send({ requests: requests.slice(i, i + 2_500) }) }
    let ended = 0
    let read = 0
    await bad.until(() => {
      for (; read < bad.received.length; read++) {
        ended += bad.received[read].message.responses.filter(({ status }) => status === 20).length
      }
      return ended === requests.length
    })
    await until(() => (responder as any).server.channels.running.size === 0)
  }))
})

function pullRequest (root: CID, transferId: bigint): GraphsyncRequest {
  const transfer = messageToNode(requestOf({ baseCid: root, selector: everything, transferId, ...ticket }))
  return { id: random(16), type: 'new', root, selector: everything, extensions: { [DATA_TRANSFER_EXTENSION]: transfer } }
}

describe('data transfer: publishers that lie', () => {
  const FRAME = Uint8Array.of(0x81, 0x80, 0x80, 0x02) // of 4 MiB and a byte
  interface Asked { id: Uint8Array, transferId: bigint, store: LinkSystem, chain: CID[] }
  type Play = (raw: RawTransferPeer, asked: Asked) => Promise<void>
  const lies: Array<[string, string | undefined, Play]> = [
    ['a frame over the limit', 'TransferFailedError', async raw => { await raw.sendBytes(FRAME, 1) }],
    ['garbage', 'TransferFailedError', async raw => { await raw.sendBytes(framed(random(1_000)), 1) }],
    ['metadata of another walk', 'TransferFailedError', async (raw, { id, store, chain }) => {
      await raw.answer(id, 14, { store, cids: [chain[2], chain[1]] })
    }],
    ['a block that is not what was asked for', 'TransferFailedError', async (raw, { id, chain }) => {
      const blocks = [{ prefix: Uint8Array.of(1, 0x71, 0x12, 0x20), data: random(100) }]
      await raw.send({ responses: [{ requestId: id, status: 20, metadata: [[chain[1], 'present']] }], blocks })
    }],
    ['an answer for another transfer', 'TransferFailedError', async (raw, { id, transferId }) => {
      await raw.answer(id, 14, { transfer: responseOf({ transferId: transferId + 1n }) })
    }],
    ['the end of a walk that has only begun', 'ContentNotFoundError', async (raw, { id, transferId }) => {
      await raw.say(responseOf({ type: TransferType.complete, transferId }))
      await raw.answer(id, 20, {})
    }],
    ['blocks that nobody asked for, and answers to unknown requests', undefined, async (raw, { id, store, chain, transferId }) => {
      const blocks = Array.from({ length: 20 }, () => ({ prefix: Uint8Array.of(1, 0x71, 0x12, 0x20), data: random(50_000) }))
      for (let i = 0; i < 40; i++) {
        const requestId = i % 2 === 0 ? id : random(16)
        await raw.send({ responses: [{ requestId, status: 14, ...(i % 2 === 0 ? {} : { metadata: [[chain[1], 'present']] }) }], blocks })
      }
      await raw.answer(id, 20, { store, cids: chain.slice(1) })
      await raw.say(responseOf({ type: TransferType.complete, transferId }))
    }]
  ]
  for (const [what, name, play] of lies) {
    it(`${what}: ${name ?? 'nobody cares'}`, async () => {
      await using pair = await transferPair()
      await using stack = new AsyncDisposableStack()
      const node = await createNode()
      stack.defer(async () => { await node.stop() })
      await pair.a.dial(node.getMultiaddrs())
      const store = createLinkSystem()
      const chain = await chainOf(store, 4)
      const raw = new RawTransferPeer(node, pair.a.peerId)
      await raw.start()
      const pulling = pair.initiator.pull(node.peerId, VOUCHER, chain[0], everything, { stallTimeout: 5_000 })
      const first = pulling.next()
      const { id, transfer: { transferId } } = await raw.pullRequest()
      await raw.answer(id, 14, { transfer: responseOf({ transferId }), store, cids: [chain[0]] })
      equal(String((await first).value?.cid), String(chain[0]))
      const [{ cids, error }] = await Promise.all([outcome(pulling), checkPull(pair), play(raw, { id, transferId, store, chain })])
      equal(error?.name, name, error?.stack)
      deepEqual(cids, name == null ? chain.slice(1).map(String) : [])
      for (const cid of chain.slice(1)) { equal(await pair.local.has(cid), cids.includes(String(cid)), 'what is stored was given') }
      if (/frame|garbage/.test(what)) { equal((await raw.stream(1)).status, 'reset') }
      equal(raw.requests.filter(({ type }) => type === 'new').length, 1)
      await checkMemory()
    })
  }
})

describe('data transfer: everything at once, against a process of its own', () => {
  it('leaves it below 350 MiB, and serving others', async () => {
    await withVictim(async ({ peer, nodes, one, root }) => {
      const [streams, requests, messages, good] = nodes.map(node => new RawTransferPeer(node, peer))
      await Promise.allSettled([ // being reset is fine
        (async () => { // messages that never end
          for (let i = 0; i < 200; i++) { await sendWithoutEnd(streams) }
        })(),
        (async () => { // 10,000 pulls of a peer that takes nothing
          await requests.node.handle(GRAPHSYNC_PROTOCOL, stream => { stream.pause() })
          for (let i = 0; i < 10_000; i += 2_500) {
            const list = Array.from({ length: 2_500 }, (_, j) => pullRequest(j % 2 === 0 ? one : root, BigInt(i + j)))
            const message = encodeGraphsyncMessage({ requests: list, responses: [], blocks: [] })
            await send(await requests.stream(), [framed(message)], { timeout: 5_000 })
          }
        })(),
        (async () => { // big messages, one after the other
          const body = encodeTransferMessage(requestOf({ type: 2, transferId: 1n, voucherType: 'x', voucher: new Uint8Array(1_000_000) }))
          for (let i = 0; i < 100; i++) { await sendBody(messages.node, messages.peer, body) }
        })()
      ])
      const transfers = createDataTransfer({ libp2p: good.node, linkSystem: createLinkSystem() })
      await transfers.start()
      const { cids, error } = await outcome(transfers.pull(peer, VOUCHER, root, everything))
      equal(error, undefined)
      equal(cids.length, 2_000)
      await transfers.stop()
    })
  })
})
