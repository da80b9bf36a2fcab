import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { encodeGraphsyncMessage } from '../../src/wire/graphsync/message.ts'
import { DATA_TRANSFER_EXTENSION, MAX_ENDED_CHANNELS, MAX_PEER_ENDED_CHANNELS, TransferType } from '../../src/wire/data-transfer/constants.ts'
import { messageToNode } from '../../src/wire/data-transfer/message.ts'
import { send } from '../../src/wire/streams.ts'
import { gate, transferPair, VOUCHER } from '../wire/data-transfer/kit.ts'
import type { TransferPair } from '../wire/data-transfer/kit.ts'
import { RawTransferPeer, requestOf } from '../wire/data-transfer/raw-peer.ts'
import { createNode } from '../wire/nodes.ts'
import { chainOf, everything, outcome } from '../wire/graphsync/kit.ts'
import { framed } from '../wire/graphsync/raw-peer.ts'
import { alive, peersOf, until, untilHeldBack } from './kit.ts'

const channelsOf = (manager: any): { running: Map<any, any>, idle: Map<any, any> } => manager.server.channels

/** Nothing of a pull is left in either of the two. */
async function untilOver ({ initiator, responder }: TransferPair): Promise<void> {
  await until(() => channelsOf(responder).running.size === 0)
  await until(() => [...peersOf(responder.graphsync).values()].every(({ responses }) => responses.size === 0))
  equal((initiator as any).pulls.size, 0)
  for (const { requests, begun } of peersOf(initiator.graphsync).values()) { deepEqual([requests.size, begun.size], [0, 0]) }
}

describe('data transfer: memory', () => {
  it('is given back by 1,000 aborted pulls, with no listener left on their signal', async () => {
    await using pair = await transferPair()
    const chain = await chainOf(pair.remote, 200, 1_000)
    const { signal } = new AbortController()
    const abortOne = async (i: number): Promise<void> => {
      const controller = new AbortController()
      const options = { signal: i % 2 === 0 ? controller.signal : signal, linkSystem: createLinkSystem() }
      const pulling = pair.initiator.pull(pair.b.peerId, VOUCHER, chain[0], everything, options)
      const first = pulling.next() // some are aborted before the peer is asked, others before it has answered
      if (i % 5 > 0) { await first }
      for (let n = 1; n < i % 5; n++) { await pulling.next() }
      if (i % 2 === 0) {
        controller.abort(new Error('enough'))
        if (i % 5 === 0) { await rejects(first, /enough/) } else { equal((await outcome(pulling)).error?.message, 'enough') }
      } else {
        await pulling.return()
      }
    }
    for (let i = 0; i < 100; i++) { await abortOne(i) }
    await untilOver(pair)
    const baseline = await alive()
    for (let i = 0; i < 1_000; i += 10) { await Promise.all(Array.from({ length: 10 }, async (_, j) => { await abortOne(i + j) })) }
    await untilOver(pair)
    const left = await alive() - baseline
    ok(left <= 5, `${left.toFixed(1)} MiB above the baseline`)
  })

  for (const [what, stalls] of [['store', true], ['reader', false]] as const) {
    it(`is bounded when the ${what} stalls`, async () => {
      const local = createLinkSystem()
      const put = local.blockstore.put.bind(local.blockstore)
      const { promise: stalled, resolve: goOn } = Promise.withResolvers<void>()
      let stored = 0
      const slowPut = async (cid: any, bytes: any): Promise<any> => {
        await stalled
        return await put(cid, bytes)
      }
      local.blockstore.put = ((cid: any, bytes: any) => stalls && ++stored > 20 ? slowPut(cid, bytes) : put(cid, bytes)) as any
      await using pair = await transferPair({ local })
      const chain = await chainOf(pair.remote, 3_000, 20_000)
      const before = await alive()
      const pulling = pair.initiator.pull(pair.b.peerId, VOUCHER, chain[0], everything)
      await pulling.next()
      const rest = stalls ? outcome(pulling) : undefined
      await untilHeldBack(pair.responder.graphsync)
      const more = await alive() - before
      ok(more < 20, `${more.toFixed(1)} MiB of 60 wait`)
      goOn()
      const { cids, error } = await (rest ?? outcome(pulling))
      equal(error, undefined)
      equal(cids.length, 2_999)
    })
  }

  it('is bounded when a peer makes up transfer ids, with big vouchers; a pull of another peer can still be restarted', async () => {
    await using pair = await transferPair()
    const chain = await chainOf(pair.remote, 30)
    const [good, flood] = await Promise.all([createNode(), createNode()])
    await using stack = new AsyncDisposableStack()
    stack.defer(async () => { await Promise.all([good.stop(), flood.stop()]) })
    const [honest, raw] = [good, flood].map(node => new RawTransferPeer(node, pair.b.peerId))
    for (const peer of [honest, raw]) {
      await peer.node.dial(pair.b.getMultiaddrs())
      await peer.start()
    }
    const { open, reached } = gate(pair.remote, chain[20])
    const transfer = { voucher: VOUCHER.value, voucherType: VOUCHER.type, transferId: 7n }
    const interrupted = await honest.ask(transfer, chain[0], everything)
    await reached
    await honest.send({ requests: [{ id: interrupted, type: 'cancel' }] })
    await until(() => channelsOf(pair.responder).running.size === 0)
    open()

    const before = await alive()
    const count = MAX_ENDED_CHANNELS + MAX_PEER_ENDED_CHANNELS
    const stream = await raw.stream()
    const junk = new Uint8Array(32 * 1024)
    for (let i = 0; i < count; i++) { // each is served, for one block, and over; those that are remembered are the last ones
      const voucher = i < MAX_ENDED_CHANNELS ? VOUCHER.value : { ...VOUCHER.value, junk }
      const node = messageToNode(requestOf({ ...transfer, baseCid: chain[29], selector: everything, transferId: BigInt(i), voucher }))
      const request = { id: crypto.getRandomValues(new Uint8Array(16)), root: chain[29], extensions: { [DATA_TRANSFER_EXTENSION]: node } }
      const requests = [{ type: 'new' as const, selector: everything, ...request }]
      await send(stream, [framed(encodeGraphsyncMessage({ requests, responses: [], blocks: [] }))], { timeout: 60_000 })
    }
    let ended = 0
    let read = 0
    await raw.until(() => {
      for (; read < raw.received.length; read++) {
        ended += raw.received[read].message.responses.filter(({ status }) => status === 20).length
      }
      return ended === count
    })
    raw.received.length = raw.messages.length = 0
    await until(() => channelsOf(pair.responder).running.size === 0)
    await until(() => (pair.responder as any).network.sending.size === 0)
    let more = Infinity // streams that are closed are let go of by timers of libp2p
    for (let i = 0; i < 120 && more >= 5; i++) { more = await alive() - before }
    ok(more < 5, `${more.toFixed(1)} MiB more`)

    const again = await honest.ask({ ...transfer, type: TransferType.restart }, chain[0], everything)
    equal(await honest.terminal(again), 20)
  })
})
