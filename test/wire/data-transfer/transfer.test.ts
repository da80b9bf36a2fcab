import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import type { Stream } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import type { LinkSystem } from '../../../src/shared/types.ts'
import type { GraphsyncBlock } from '../../../src/shared/types/graphsync.ts'
import { turnOfEventLoop } from '../../../src/shared/event-loop.ts'
import { createLinkSystem } from '../../../src/store/link-system.ts'
import { DATA_TRANSFER_EXTENSION, DATA_TRANSFER_PROTOCOL, MESSAGE_TIMEOUT, TransferType } from '../../../src/wire/data-transfer/constants.ts'
import { createDataTransfer } from '../../../src/wire/data-transfer/index.ts'
import { Manager } from '../../../src/wire/data-transfer/manager.ts'
import { Network } from '../../../src/wire/data-transfer/network.ts'
import { Exchange } from '../../../src/wire/graphsync/exchange.ts'
import { createGraphsync } from '../../../src/wire/graphsync/index.ts'
import { until } from '../../memory/kit.ts'
import { chainOf, everything, forget, outcome } from '../graphsync/kit.ts'
import { same } from '../graphsync/raw-peer.ts'
import { createNode, createPair } from '../nodes.ts'
import { gate, transferPair, VOUCHER } from './kit.ts'
import type { TransferPair } from './kit.ts'
import { RawTransferPeer, requestOf, responseOf, sendBody, sendMessage } from './raw-peer.ts'

type Pulling = AsyncGenerator<GraphsyncBlock, void, undefined>

async function take (pulling: Pulling, count: number): Promise<string[]> {
  const cids: string[] = []
  for (let i = 0; i < count; i++) {
    const { value } = await pulling.next()
    cids.push(String((value as GraphsyncBlock).cid))
  }
  return cids
}

const pullOf = ({ initiator, b }: TransferPair, root: any, voucher = VOUCHER, options = {}): Pulling =>
  initiator.pull(b.peerId, voucher, root, everything, options)

/** A manager on a, and a peer that is played by hand on b; or the other way round. */
async function withRaw (role: 'initiator' | 'responder', play: (raw: RawTransferPeer, manager: Manager) => Promise<void>, init = {}): Promise<void> {
  await using pair = await createPair()
  const [ours, theirs] = role === 'initiator' ? [pair.a, pair.b] : [pair.b, pair.a]
  await using manager = new Manager({ libp2p: ours, linkSystem: createLinkSystem() }, init)
  await manager.start()
  const raw = new RawTransferPeer(theirs, ours.peerId)
  await raw.start()
  await play(raw, manager)
}

/** Timers of so many milliseconds that are set from now on, and were not cleared. */
function timersOf (t: TestContext, time: number): Set<unknown> {
  const timers = new Set<unknown>()
  const [set, clear] = [globalThis.setTimeout, globalThis.clearTimeout]
  t.mock.method(globalThis, 'setTimeout', (callback: () => void, ms: number) => {
    const timer = set(callback, ms)
    if (ms === time) { timers.add(timer) }
    return timer
  })
  t.mock.method(globalThis, 'clearTimeout', (timer: NodeJS.Timeout) => {
    timers.delete(timer)
    clear(timer)
  })
  return timers
}

/** Messages that are on their way. */
const sendingOf = (manager: any): Set<unknown> => manager.network.sending

/** A pull that has its first block. */
async function begun (
  raw: RawTransferPeer, manager: Manager, store: LinkSystem, root: CID
): Promise<{ pulling: Pulling, id: Uint8Array, transferId: bigint }> {
  const pulling = manager.pull(raw.node.peerId, VOUCHER, root, everything)
  const first = pulling.next()
  const { id, transfer: { transferId } } = await raw.pullRequest()
  await raw.answer(id, 14, { transfer: responseOf({ transferId }), store, cids: [root] })
  await first
  return { pulling, id, transferId }
}

describe('data transfer', () => {
  it('pulls a chain with a voucher', async () => {
    const seen: any[] = []
    await using pair = await transferPair({ validate: (...args) => { seen.push(args); return { accept: true } } })
    const chain = await chainOf(pair.remote, 20)
    const { cids, error } = await outcome(pullOf(pair, chain[0]))
    equal(error, undefined)
    deepEqual(cids, chain.map(String))
    const [[peer, voucher, root, selector]] = seen
    equal(peer.equals(pair.a.peerId), true)
    deepEqual(voucher, VOUCHER.value)
    equal(root.equals(chain[0]), true)
    deepEqual(selector, everything)
  })

  it('is rejected when the validator says no, and when there is none', async () => {
    await using pair = await transferPair({ validate: () => ({ accept: false }) })
    const [root] = await chainOf(pair.remote, 3)
    equal((await outcome(pullOf(pair, root))).error?.name, 'TransferRejectedError')
    equal((await outcome(pullOf(pair, root, { type: 'Other', value: null } as any))).error?.name, 'TransferRejectedError')
  })

  it('does not ask, and needs no acceptance, when all is here', async () => {
    await using pair = await transferPair({ validate: () => ({ accept: false }) })
    const chain = await chainOf(pair.local, 3)
    deepEqual((await outcome(pullOf(pair, chain[0]))).local, [true, true, true])
  })
})

describe('data transfer: validators', () => {
  it('choose the store, and send a result of a type along', async () => {
    const own = createLinkSystem()
    const chain = await chainOf(own, 3)
    await withRaw('responder', async (raw, manager) => {
      manager.addVoucherType('Ticket', () => ({ accept: true, linkSystem: own, result: { Code: 5 }, resultType: 'Receipt' }))
      const id = await raw.ask({ voucherType: 'Ticket', voucher: { Seat: 1 }, transferId: 7n }, chain[0], everything)
      equal(await raw.terminal(id), 20)
      equal(raw.received.reduce((sum, { message }) => sum + message.blocks.length, 0), 3)
      deepEqual(raw.transfers(id), [
        { type: 0, accepted: true, paused: false, transferId: 7n, voucherResult: { Code: 5 }, voucherType: 'Receipt' }
      ])
      await raw.until(() => raw.messages.length > 0)
      deepEqual(raw.messages, [responseOf({ type: TransferType.complete, transferId: 7n })])
    })
  })

  it('send results that reach who pulls, with their type; those of a refusal too, and those on a stream of their own', async () => {
    const store = createLinkSystem()
    const chain = await chainOf(store, 2)
    await using pair = await transferPair({
      remote: store, validate: () => ({ accept: true, result: { b: 1 }, resultType: 'Receipt' })
    })
    const results: any[] = []
    equal((await outcome(pullOf(pair, chain[0], VOUCHER, { onResult: (result: any) => { results.push(result) } }))).error, undefined)
    deepEqual(results.splice(0), [{ type: 'Receipt', value: { b: 1 } }])
    const mine = new Error('a bad receipt')
    const refused = await outcome(pullOf(pair, chain[0], VOUCHER, { linkSystem: createLinkSystem(), onResult: () => { throw mine } }))
    equal(refused.error, mine)
    await withRaw('initiator', async (raw, manager) => {
      const pulling = outcome(manager.pull(raw.node.peerId, VOUCHER, chain[0], everything, { onResult: r => { results.push(r) } }))
      const { id, transfer: { transferId } } = await raw.pullRequest()
      await raw.say(responseOf({ type: TransferType.voucherResult, transferId, voucherType: 'Price', voucherResult: 3 }))
      const no = responseOf({ accepted: false, transferId, voucherType: 'Reason', voucherResult: 'not today' })
      await raw.answer(id, 32, { transfer: no })
      equal((await pulling).error?.name, 'TransferRejectedError')
      deepEqual(results, [{ type: 'Price', value: 3 }, { type: 'Reason', value: 'not today' }])
    })
  })

  it('are asked in order, the first answer counts; a promise may be one; one may be removed', async () => {
    const asked: string[] = []
    await using pair = await transferPair({ validate: async () => { asked.push('first'); await Promise.resolve(); return undefined } })
    const chain = await chainOf(pair.remote, 3)
    const remove = pair.responder.addVoucherType(VOUCHER.type, async () => { asked.push('second'); return { accept: true } })
    const removeLast = pair.responder.addVoucherType(VOUCHER.type, () => { asked.push('third'); return { accept: false } })
    equal((await outcome(pullOf(pair, chain[0]))).error, undefined)
    deepEqual(asked.splice(0), ['first', 'second'])
    remove()
    equal((await outcome(pullOf(pair, chain[0], VOUCHER, { linkSystem: createLinkSystem() }))).error?.name, 'TransferRejectedError')
    deepEqual(asked.splice(0), ['first', 'third'])
    removeLast()
    equal((await outcome(pullOf(pair, chain[0], VOUCHER, { linkSystem: createLinkSystem() }))).error?.name, 'TransferRejectedError')
    deepEqual(asked.splice(0), ['first'])
  })

  it('that accept where there is no store at all fail the pull, and leave no channel running', async () => {
    await using pair = await createPair()
    const [initiator, responder] = [new Manager({ libp2p: pair.a, linkSystem: createLinkSystem() }), new Manager({ libp2p: pair.b })]
    responder.addVoucherType(VOUCHER.type, () => ({ accept: true }))
    await Promise.all([initiator.start(), responder.start()])
    const [root] = await chainOf(createLinkSystem(), 1)
    equal((await outcome(initiator.pull(pair.b.peerId, VOUCHER, root, everything))).error?.name, 'TransferFailedError')
    equal((responder as any).server.channels.running.size, 0)
    await Promise.all([initiator.stop(), responder.stop()])
  })

  it('that throw refuse', async () => {
    let error = (): any => { throw new Error('sync') }
    await using pair = await transferPair({ validate: () => error() })
    const [root] = await chainOf(pair.remote, 3)
    const first = await outcome(pullOf(pair, root))
    ok(['TransferFailedError', 'TransferRejectedError'].includes(first.error?.name), first.error?.stack)
    error = async () => { throw new Error('async') }
    const second = await outcome(pullOf(pair, root))
    ok(['TransferFailedError', 'TransferRejectedError'].includes(second.error?.name), second.error?.stack)
    error = () => ({ accept: true })
    equal((await outcome(pullOf(pair, root))).error, undefined)
  })

  it('need not answer any more when the peer has cancelled meanwhile: what they take is refused', async () => {
    await withRaw('responder', async (raw, manager) => {
      const linkSystem = createLinkSystem()
      const [root] = await chainOf(linkSystem, 3)
      const [asked, decided] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      manager.addVoucherType('Ticket', async () => {
        asked.resolve()
        await decided.promise
        return { accept: true, linkSystem }
      })
      const init = { voucherType: 'Ticket', transferId: 7n }
      const first = await raw.ask(init, root, everything)
      await asked.promise
      await raw.say(requestOf({ type: TransferType.cancel, pull: false, transferId: 8n })) // another one
      await raw.say(requestOf({ type: TransferType.cancel, pull: false, transferId: 7n }))
      const other = await raw.ask({ ...init, transferId: 8n }, root, everything)
      decided.resolve()
      equal(await raw.terminal(first), 32)
      deepEqual(raw.transfers(first), [responseOf({ accepted: false, transferId: 7n }).response])
      equal(await raw.terminal(other), 20)
      equal(await raw.terminal(await raw.ask({ ...init, type: TransferType.restart }, root, everything)), 32)
      await raw.until(() => raw.messages.length === 1)
      deepEqual(raw.messages, [responseOf({ type: TransferType.complete, transferId: 8n })])
    })
  })

  it('do not get the same transfer id accepted twice, from one peer', async () => {
    await withRaw('responder', async (raw, manager) => {
      const linkSystem = createLinkSystem()
      const [root] = await chainOf(linkSystem, 3)
      const held = gate(linkSystem, root)
      manager.addVoucherType('Ticket', () => ({ accept: true, linkSystem, resultType: 'Receipt', result: 1 }))
      const first = await raw.ask({ voucherType: 'Ticket', transferId: 7n }, root, everything)
      await held.reached
      const second = await raw.ask({ voucherType: 'Ticket', transferId: 7n }, root, everything)
      equal(await raw.terminal(second), 32) // while it runs
      deepEqual(raw.transfers(second), [responseOf({ accepted: false, transferId: 7n, voucherType: 'Receipt', voucherResult: 1 }).response])
      held.open()
      equal(await raw.terminal(first), 20)
      const third = await raw.ask({ voucherType: 'Ticket', transferId: 7n }, root, everything)
      equal(await raw.terminal(third), 32) // and after
      const fourth = await raw.ask({ voucherType: 'Ticket', transferId: 8n }, root, everything)
      equal(await raw.terminal(fourth), 20)
    })
  })
})

describe('data transfer: a restart', () => {
  const transfer = { voucher: VOUCHER.value, voucherType: VOUCHER.type, transferId: 7n }
  const restart = { ...transfer, type: TransferType.restart }

  it('of what has ended is served again: its end may have been lost; its id stays used, its voucher and root are looked at', async () => {
    const linkSystem = createLinkSystem()
    const [root, other] = await chainOf(linkSystem, 3)
    await withRaw('responder', async (raw, manager) => {
      manager.addVoucherType(VOUCHER.type, () => ({ accept: true, linkSystem }))
      equal(await raw.terminal(await raw.ask(transfer, root, everything)), 20)
      const again = await raw.ask(restart, root, everything)
      equal(await raw.terminal(again), 20)
      deepEqual(raw.transfers(again), [responseOf({ type: TransferType.restart, transferId: 7n }).response])
      const complete = responseOf({ type: TransferType.complete, transferId: 7n })
      await raw.until(() => raw.messages.length === 2)
      deepEqual(raw.messages, [complete, complete])
      for (const init of [transfer, { ...restart, voucher: { Seat: 8 } }, { ...restart, baseCid: other }, { ...restart, transferId: 8n }]) {
        const id = await raw.ask(init, root, everything)
        equal(await raw.terminal(id), 32)
        deepEqual(raw.transfers(id).map(({ accepted }) => accepted), [false])
      }
    })
  })

  it('of what failed tells the failure again', async () => {
    const linkSystem = createLinkSystem()
    const [root, last] = await chainOf(linkSystem, 2)
    await forget(linkSystem, last)
    await withRaw('responder', async (raw, manager) => {
      manager.addVoucherType(VOUCHER.type, () => ({ accept: true, linkSystem }))
      for (const init of [transfer, restart]) {
        equal(await raw.terminal(await raw.ask(init, root, everything)), 21)
      }
      equal(raw.messages.length, 0)
    })
  })

  it('of what was cancelled is refused', async () => {
    const linkSystem = createLinkSystem()
    const [root] = await chainOf(linkSystem, 1)
    await withRaw('responder', async (raw, manager) => {
      manager.addVoucherType(VOUCHER.type, () => ({ accept: true, linkSystem }))
      equal(await raw.terminal(await raw.ask(transfer, root, everything)), 20)
      await raw.say(requestOf({ type: TransferType.cancel, pull: false, transferId: 7n }))
      equal(await raw.terminal(await raw.ask(restart, root, everything)), 32)
    })
  })

  it('has the last word: the request before it sends no Complete any more', async () => {
    const linkSystem = createLinkSystem()
    const [root] = await chainOf(linkSystem, 1)
    await withRaw('responder', async (raw, manager) => {
      manager.addVoucherType(VOUCHER.type, () => ({ accept: true, linkSystem }))
      const { open, reached } = gate(linkSystem, root, { once: true })
      const first = await raw.ask(transfer, root, everything)
      await reached
      const second = await raw.ask(restart, root, everything)
      equal(await raw.terminal(second), 20)
      await raw.until(() => raw.messages.length === 1)
      open()
      equal(await raw.terminal(first), 20)
      const after = await raw.ask({ ...transfer, transferId: 8n }, root, everything)
      equal(await raw.terminal(after), 20)
      await raw.until(() => raw.messages.length === 2)
      deepEqual(raw.messages, [7n, 8n].map(transferId => responseOf({ type: TransferType.complete, transferId })))
    })
  })
})

describe('data transfer: an end before the end', () => {
  it('is told to graphsync and to data transfer', async () => {
    const store = createLinkSystem()
    const chain = await chainOf(store, 3)
    for (const how of ['abort', 'return'] as const) {
      await withRaw('initiator', async (raw, manager) => {
        const controller = new AbortController()
        const pulling = manager.pull(raw.node.peerId, VOUCHER, chain[0], everything, { signal: controller.signal })
        const first = pulling.next()
        const { id, transfer } = await raw.pullRequest()
        await raw.answer(id, 14, { transfer: responseOf({ transferId: transfer.transferId }), store, cids: [chain[0]] })
        await first
        if (how === 'abort') {
          const reason = new Error('enough')
          controller.abort(reason)
          await rejects(pulling.next(), reason)
        } else {
          await pulling.return()
        }
        await raw.until(() => raw.requests.some(request => request.type === 'cancel') && raw.messages.length > 0)
        deepEqual(raw.requests.filter(({ type }) => type === 'cancel').map(({ id }) => id), [id])
        deepEqual(raw.messages, [requestOf({ type: TransferType.cancel, pull: false, transferId: transfer.transferId })])
      })
    }
  })

  it('is told to both also when a Complete of before a restart has come', async () => {
    const store = createLinkSystem()
    const chain = await chainOf(store, 3)
    await withRaw('initiator', async (raw, manager) => {
      const { pulling, transferId } = await begun(raw, manager, store, chain[0])
      const second = pulling.next()
      ;(await raw.stream()).abort(new Error('played')) // with the rest in it
      const again = await raw.pullRequest(1)
      equal(again.transfer.type, TransferType.restart)
      await raw.say(responseOf({ type: TransferType.complete, transferId }))
      const transfer = responseOf({ type: TransferType.restart, transferId })
      await raw.answer(again.id, 14, { transfer, store, cids: chain.slice(0, 2) }, 1)
      await second
      await pulling.return()
      await raw.until(() => raw.messages.length > 0 && raw.requests.some(request => same(request.id, again.id) && request.type === 'cancel'))
      deepEqual(raw.messages, [requestOf({ type: TransferType.cancel, pull: false, transferId })])
    }, { restartDebounce: 1 })
  })

  it('by stop() is told to both while nobody reads, and once', async () => {
    const store = createLinkSystem()
    const chain = await chainOf(store, 3)
    await withRaw('initiator', async (raw, manager) => {
      const { pulling, id, transferId } = await begun(raw, manager, store, chain[0])
      await manager.stop() // the reader is busy with the block
      await raw.until(() => raw.requests.length === 2 && raw.messages.length > 0)
      deepEqual(raw.requests[1], { id, type: 'cancel' })
      await manager.start()
      await rejects(pulling.next(), { name: 'TransferFailedError', message: /stopped/ })
      const root = await chainOf(store, 1, 100, 1)
      const other = outcome(manager.pull(raw.node.peerId, VOUCHER, root[0], everything)) // what comes before it has come
      const { transfer: { transferId: last } } = await raw.pullRequest(1)
      await raw.say(responseOf({ type: TransferType.cancel, transferId: last }))
      await other
      deepEqual(raw.messages, [requestOf({ type: TransferType.cancel, pull: false, transferId })])
    })
  })

  it('is one by what the peer says of the transfer, when that cannot be read', async () => {
    const [root] = await chainOf(createLinkSystem(), 3)
    await withRaw('initiator', async (raw, manager) => {
      const running = outcome(manager.pull(raw.node.peerId, VOUCHER, root, everything))
      const { id } = await raw.pullRequest()
      await raw.send({ responses: [{ requestId: id, status: 14, extensions: { [DATA_TRANSFER_EXTENSION]: { IsRq: 'no' } } }] })
      const { error } = await running
      equal(error?.name, 'TransferFailedError')
      equal(error.cause?.name, 'InvalidMessageError')
    })
  })

  for (const [what, status, accepted, name] of [
    ['refusal', 32, false, 'TransferRejectedError'], ['refusal beside a success', 20, false, 'TransferRejectedError'],
    ['cancel', 35, undefined, 'TransferFailedError'], ['failure', 32, undefined, 'TransferFailedError']
  ] as const) {
    it(`may come after the last block: a ${what} with status ${status} is ${name}`, async () => {
      const store = createLinkSystem()
      const chain = await chainOf(store, 3)
      await withRaw('initiator', async (raw, manager) => {
        const pulling = manager.pull(raw.node.peerId, VOUCHER, chain[0], everything)
        const first = pulling.next()
        const { id, transfer: { transferId } } = await raw.pullRequest()
        await raw.answer(id, 14, { transfer: responseOf({ transferId }), store, cids: chain })
        deepEqual([(await first).value?.cid, ...(await take(pulling, 2))].map(String), chain.map(String))
        const last = pulling.next()
        await turnOfEventLoop() // the walk is over, and the end is waited for
        await raw.answer(id, status, accepted == null ? {} : { transfer: responseOf({ accepted, transferId }) })
        await rejects(last, { name })
      }, { completeTimeout: 60_000 })
    })
  }

  it('that is never told is waited for a little; the pull has succeeded without, and ids are of the clock', async () => {
    const store = createLinkSystem()
    const chain = await chainOf(store, 3)
    await withRaw('initiator', async (raw, manager) => {
      const ids: bigint[] = []
      for (let i = 0; i < 2; i++) {
        const pulling = outcome(manager.pull(raw.node.peerId, VOUCHER, chain[0], everything, { linkSystem: createLinkSystem() }))
        const { id, transfer: { transferId } } = await raw.pullRequest(i)
        ids.push(transferId)
        await raw.answer(id, 14, { transfer: responseOf({ transferId }), store, cids: chain })
        const { cids, error } = await pulling
        equal(error, undefined)
        deepEqual(cids, chain.map(String))
        equal(sendingOf(manager).size, 0, 'there is nothing to cancel')
      }
      equal(ids[1], ids[0] + 1n)
      const age = BigInt(Date.now()) * 1_000_000n - ids[0]
      ok(age > -1_000_000n && age < 60_000_000_000n, `${age} ns old`)
    }, { completeTimeout: 50 })
  })

  it('lets the next pull of the root give each block once', async () => {
    await using pair = await transferPair()
    const chain = await chainOf(pair.remote, 50)
    const { reached, open } = gate(pair.remote, chain[30])
    const controller = new AbortController()
    const pulling = pullOf(pair, chain[0], VOUCHER, { signal: controller.signal })
    await take(pulling, 10)
    await reached
    controller.abort(new Error('enough'))
    await rejects(pulling.next(), /enough/)
    open()
    const { cids, error, local } = await outcome(pullOf(pair, chain[0]))
    equal(error, undefined)
    deepEqual(cids, chain.map(String))
    deepEqual(local.slice(0, 10), Array(10).fill(true))
  })

  it('by a signal is one at once also while the last word of the peer is waited for, and leaves nothing', { timeout: 20_000 }, async t => {
    const store = createLinkSystem()
    const chain = await chainOf(store, 2)
    await withRaw('initiator', async (raw, manager) => {
      const timers = timersOf(t, 59_999)
      const controller = new AbortController()
      const pulling = outcome(manager.pull(raw.node.peerId, VOUCHER, chain[0], everything, { signal: controller.signal }))
      const { id, transfer: { transferId } } = await raw.pullRequest()
      await raw.answer(id, 14, { transfer: responseOf({ transferId }), store, cids: chain })
      const [pull] = (manager as any).pulls
      await until(() => pull.whenEnded != null)
      equal(timers.size, 1)
      const reason = new Error('played')
      controller.abort(reason)
      const { cids, error } = await pulling
      deepEqual(cids, chain.map(String))
      equal(error, reason)
      equal(getEventListeners(controller.signal, 'abort').length, 0)
      equal(timers.size, 0)
    }, { completeTimeout: 59_999 })
  })

  it('is not told to a peer that was not asked for anything yet', async () => {
    const linkSystem = createLinkSystem()
    const [root] = await chainOf(linkSystem, 2)
    await withRaw('initiator', async (raw, manager) => {
      const pulling = manager.pull(raw.node.peerId, VOUCHER, root, everything, { linkSystem })
      await take(pulling, 1)
      await pulling.return()
      equal(sendingOf(manager).size, 0)
    })
  })

  it('by acceptTimeout is none any more when the peer has answered', async t => {
    const store = createLinkSystem()
    const [root] = await chainOf(store, 2)
    const timers = timersOf(t, 19_999)
    await withRaw('initiator', async (raw, manager) => {
      const { pulling } = await begun(raw, manager, store, root)
      equal(timers.size, 0)
      await pulling.return()
    }, { acceptTimeout: 19_999 })
  })

  it('is one by the blocks of another walk, which are not asked for again', async () => {
    const store = createLinkSystem()
    const [root, other] = [...await chainOf(store, 1), ...await chainOf(store, 1, 100, 7)]
    await withRaw('initiator', async (raw, manager) => {
      const pulling = outcome(manager.pull(raw.node.peerId, VOUCHER, root, everything))
      const { id, transfer: { transferId } } = await raw.pullRequest()
      await raw.answer(id, 14, { transfer: responseOf({ transferId }), store, cids: [other] })
      equal((await pulling).error?.name, 'TransferFailedError')
      await raw.until(() => raw.messages.length > 0)
      deepEqual(raw.messages, [requestOf({ type: TransferType.cancel, pull: false, transferId })])
      equal(raw.requests.filter(({ type }) => type === 'new').length, 1)
    })
  })

  it('is one by an answer for another transfer', async () => {
    const store = createLinkSystem()
    const chain = await chainOf(store, 2)
    await withRaw('initiator', async (raw, manager) => {
      const pulling = outcome(manager.pull(raw.node.peerId, VOUCHER, chain[0], everything))
      const { id, transfer: { transferId } } = await raw.pullRequest()
      await raw.answer(id, 20, { transfer: responseOf({ transferId: transferId + 1n }), store, cids: chain })
      const { cids, error } = await pulling
      deepEqual(cids, [])
      equal(error?.name, 'TransferFailedError')
    })
  })

  it('may be a signal that was aborted before', async () => {
    await using pair = await transferPair()
    const [root] = await chainOf(pair.remote, 3)
    const reason = new Error('before')
    equal((await outcome(pullOf(pair, root, VOUCHER, { signal: AbortSignal.abort(reason) }))).error, reason)
  })
})

describe('data transfer: a failure after a loss', () => {
  for (const [what, status, transfer] of [
    ['of the request', 32, undefined], ['of the transfer', 14, { type: TransferType.cancel }]
  ] as const) {
    it(`that the peer tells, ${what}, is not taken for the loss: it is asked once`, async () => {
      const store = createLinkSystem()
      const chain = await chainOf(store, 3)
      await withRaw('initiator', async (raw, manager) => {
        const pulling = manager.pull(raw.node.peerId, VOUCHER, chain[0], everything)
        const first = pulling.next()
        const { id, transfer: { transferId } } = await raw.pullRequest()
        await raw.answer(id, 14, { transfer: responseOf({ transferId }), store, cids: [chain[0]] })
        await first
        const second = pulling.next()
        ;(await raw.stream()).abort(new Error('played'))
        await raw.answer(id, 14, { store, cids: [chain[1]] }, 1) // it goes on by itself
        await second
        await raw.answer(id, status, { ...(transfer == null ? {} : { transfer: responseOf({ ...transfer, transferId }) }), store }, 1)
        await rejects(pulling.next(), { name: 'TransferFailedError', message: transfer == null ? /unknown reason|failed/ : /cancelled/ })
        equal(raw.requests.filter(({ type }) => type === 'new').length, 1)
      }, { restartDebounce: 60_000 })
    })
  }

  it('that the loss may be the reason of leads to a restart', async () => {
    const store = createLinkSystem()
    const chain = await chainOf(store, 3)
    await withRaw('initiator', async (raw, manager) => {
      const running = outcome(manager.pull(raw.node.peerId, VOUCHER, chain[0], everything))
      const { id, transfer: { transferId } } = await raw.pullRequest()
      await raw.answer(id, 14, { transfer: responseOf({ transferId }) })
      ;(await raw.stream()).abort(new Error('played')) // with what was in it
      await raw.answer(id, 14, { store, cids: [chain[1]] }, 1)
      const again = await raw.pullRequest(1)
      equal(again.transfer.type === TransferType.restart || again.transfer.type === TransferType.new, true)
      const transfer = responseOf({ type: again.transfer.type, transferId: again.transfer.transferId })
      await raw.answer(again.id, 20, { transfer, store, cids: chain }, 1)
      const { cids, error } = await running
      equal(error, undefined)
      deepEqual(cids, chain.map(String))
    }, { restartDebounce: 60_000 })
  })
})

describe('data transfer: losses', () => {
  it('may be many, when blocks come between, and take no further slot of the exchange', { timeout: 20_000 }, async () => {
    const store = createLinkSystem()
    const chain = await chainOf(store, 4)
    await using pair = await createPair()
    await using graphsync = new Exchange({ libp2p: pair.a, linkSystem: createLinkSystem() }, { maxOutboundRequests: 1 })
    await using manager = new Manager({ libp2p: pair.a, graphsync }, { restartDebounce: 1, maxRestarts: 1 })
    await Promise.all([graphsync.start(), manager.start()])
    const raw = new RawTransferPeer(pair.b, pair.a.peerId)
    await raw.start()
    const pulling = manager.pull(pair.b.peerId, VOUCHER, chain[0], everything)
    for (let n = 0; n < 3; n++) {
      const next = take(pulling, 1)
      const { id, transfer: { type, transferId } } = await raw.pullRequest(n)
      equal(type, n === 0 ? TransferType.new : TransferType.restart)
      await raw.answer(id, 14, { transfer: responseOf({ type, transferId }), store, cids: chain.slice(0, n + 1) }, n)
      deepEqual(await next, [String(chain[n])])
      ;(await raw.stream(n)).abort(new Error('played'))
    }
    await pulling.return()
  })

  it('that the peer may have told the end of are no end: it is told of what ends the pull', async () => {
    const store = createLinkSystem()
    const chain = await chainOf(store, 3)
    await withRaw('initiator', async (raw, manager) => {
      const { pulling, id, transferId } = await begun(raw, manager, store, chain[0])
      const second = pulling.next()
      ;(await raw.stream()).abort(new Error('played'))
      await raw.send({ responses: [{ requestId: id, status: 21, metadata: [[chain[1], 'missing']] }] }, 1) // may be for what was lost
      const again = await raw.pullRequest(1)
      const transfer = responseOf({ type: TransferType.restart, transferId })
      await raw.answer(again.id, 14, { transfer, store, cids: chain.slice(0, 2) }, 1)
      await second
      await pulling.return()
      await raw.until(() => raw.messages.length > 0)
      deepEqual(raw.messages, [requestOf({ type: TransferType.cancel, pull: false, transferId })])
    }, { restartDebounce: 60_000 })
  })
})

describe('data transfer: messages of its own', () => {
  const silent = { // opens no stream, and none in vain
    handle: async () => {},
    unhandle: async () => {},
    dialProtocol: async (...[, , { signal }]: any[]) => {
      const { promise, reject } = Promise.withResolvers()
      signal.addEventListener('abort', () => { reject(signal.reason) })
      await promise
    }
  }

  it('are given up after openTimeout, and soon after stop()', { timeout: 20_000 }, async () => {
    const node = await createNode()
    const networkOf = (openTimeout: number): Network => new Network({ libp2p: silent as any, openTimeout, onMessage: () => {} })
    await rejects(networkOf(50).probe(node.peerId, {}), { name: 'TimeoutError' })
    const network = networkOf(60_000)
    await network.start()
    network.send(node.peerId, requestOf({ type: TransferType.cancel }))
    await network.stop()
    await node.stop()
  })

  it('are not waited for any more after stop(), and leave nothing of their peer', { timeout: 8_000 }, async () => {
    await withRaw('responder', async (raw, manager) => {
      const { inbound } = (manager as any).network
      await sendMessage(raw.node, raw.peer, requestOf({ type: TransferType.cancel }))
      await until(() => inbound.size === 0)
      const stream = await raw.node.dialProtocol(raw.peer, DATA_TRANSFER_PROTOCOL)
      stream.send(new Uint8Array(1))
      await until(() => inbound.size === 1)
      await manager.stop()
      await until(() => stream.status === 'reset')
      equal(inbound.size, 0)
    })
  })
})

describe('data transfer: messages and probes', () => {
  /** A network on a, and what b has of it; the timers of a message that are still to fire. */
  async function played (
    t: TestContext, play: (network: Network, raw: RawTransferPeer, timers: Set<unknown>) => Promise<void>, opened: (stream: Stream) => void
  ): Promise<void> {
    await using pair = await createPair()
    const near = pair.a
    const raw = new RawTransferPeer(pair.b, near.peerId)
    await raw.start()
    const libp2p = Object.assign(Object.create(near), {
      dialProtocol: async (...args: Parameters<typeof near.dialProtocol>) => {
        const stream = await near.dialProtocol(...args)
        opened(stream)
        return stream
      }
    })
    const network = new Network({ libp2p, openTimeout: 1_000, onMessage: () => {} })
    await play(network, raw, timersOf(t, MESSAGE_TIMEOUT))
    await network.stop()
  }

  it('close their streams, and leave nothing behind', async t => {
    const streams: Stream[] = []
    await played(t, async (network, raw, timers) => {
      await network.probe(raw.node.peerId, {})
      network.send(raw.node.peerId, requestOf({ type: TransferType.cancel, transferId: 7n }))
      await raw.until(() => raw.messages.length === 1)
      await until(() => streams.length === 2 && streams.every(({ status }) => status === 'closed'))
      equal(timers.size, 0)
      equal((network as any).sending.size, 0)
    }, stream => { streams.push(stream) })
  })

  it('leave nothing behind on a stream that is reset just as it has taken all', async t => {
    let resets = 0
    await played(t, async (network, raw, timers) => {
      network.send(raw.node.peerId, requestOf({ type: TransferType.new, voucherType: 'Ticket', voucher: new Uint8Array(900_000) }))
      await until(() => resets === 1 && (network as any).sending.size === 0)
      equal(timers.size, 0)
    }, stream => {
      stream.addEventListener('drain', () => {
        queueMicrotask(() => {
          if (stream.writableNeedsDrain) { return }
          resets++
          ;(stream as any).onRemoteReset()
        })
      })
    })
  })
})

describe('data transfer: start and stop', () => {
  it('stops in the middle, twice, and starts again', async () => {
    await using pair = await transferPair()
    const chain = await chainOf(pair.remote, 30)
    const { reached, open } = gate(pair.remote, chain[10])
    const pulling = pullOf(pair, chain[0])
    await take(pulling, 10)
    await reached
    const waiting = rejects(pulling.next(), { name: 'TransferFailedError', message: /stopped/ })
    await Promise.all([pair.initiator.stop(), pair.initiator.stop(), waiting])
    await pair.initiator.stop()
    equal((await outcome(pullOf(pair, chain[0]))).error?.name, 'TransferFailedError')
    open()
    await Promise.all([pair.initiator.start(), pair.initiator.start()])
    const { cids, error } = await outcome(pullOf(pair, chain[0]))
    equal(error, undefined)
    deepEqual(cids, chain.map(String))
  })

  it('takes no second manager on a node, and leaves the first one at work', async () => {
    await using pair = await transferPair()
    const chain = await chainOf(pair.remote, 3)
    const second = createDataTransfer({ libp2p: pair.b, linkSystem: createLinkSystem() })
    await rejects(async () => { await second.start() })
    await second.stop()
    equal((await outcome(pullOf(pair, chain[0]))).error, undefined)
  })

  it('uses an exchange that is passed in, and leaves it running', async () => {
    await using pair = await createPair()
    const remote = createLinkSystem()
    const chain = await chainOf(remote, 5)
    const graphsync = createGraphsync({ libp2p: pair.b, linkSystem: remote })
    graphsync.addValidator((_, { extensions = {} }) => 'plain' in extensions ? { accept: true } : undefined)
    await graphsync.start()
    await using responder = createDataTransfer({ libp2p: pair.b, graphsync })
    equal(responder.graphsync, graphsync)
    responder.addVoucherType(VOUCHER.type, () => ({ accept: true }))
    await responder.start()
    await using initiator = createDataTransfer({ libp2p: pair.a, linkSystem: createLinkSystem() })
    await initiator.start()
    const plain = (): Pulling =>
      initiator.graphsync.request(pair.b.peerId, chain[0], everything, { extensions: { plain: 1 }, linkSystem: createLinkSystem() })
    equal((await outcome(initiator.pull(pair.b.peerId, VOUCHER, chain[0], everything))).cids.length, 5)
    equal((await outcome(plain())).cids.length, 5)
    await responder.stop()
    equal((await outcome(plain())).cids.length, 5)
    const { error } = await outcome(initiator.pull(pair.b.peerId, VOUCHER, chain[0], everything, { linkSystem: createLinkSystem() }))
    equal(error?.name, 'TransferRejectedError')
    await graphsync.stop()
  })

  it('takes no text for a peer', async () => {
    await using pair = await createPair()
    await using initiator = createDataTransfer({ libp2p: pair.a })
    await initiator.start()
    const [root] = await chainOf(createLinkSystem(), 1)
    const pulled = initiator.pull(pair.b.peerId.toString() as any, VOUCHER, root, everything, { linkSystem: createLinkSystem() })
    equal((await outcome(pulled)).error.field, 'peer')
  })

  it('checks what it is made of', async () => {
    await using pair = await createPair()
    throws(() => createDataTransfer({ libp2p: pair.a, graphsync: {} as any }), { name: 'InvalidOptionError' })
    throws(() => createDataTransfer({ libp2p: Promise.resolve(pair.a) as any }), { name: 'InvalidOptionError', field: 'libp2p' })
    for (const init of [{ acceptTimeout: 0 }, { maxRestarts: -1 }, { restartDelay: 1.5 }, { openTimeout: 2 ** 31 }, { stallTimeout: '5' as any }]) {
      throws(() => createDataTransfer({ libp2p: pair.a }, init), { name: 'InvalidOptionError', message: new RegExp(Object.keys(init)[0]) })
    }
    createDataTransfer({ libp2p: pair.a }, { maxRestarts: 0, restartDebounce: 0, acceptTimeout: undefined })
  })
})

describe('data transfer: streams', () => {
  it('may hold garbage, too much or nothing', async () => {
    await using pair = await transferPair()
    const chain = await chainOf(pair.remote, 3)
    equal((await sendBody(pair.a, pair.b.peerId, crypto.getRandomValues(new Uint8Array(1_000)))).status, 'reset')
    equal((await sendBody(pair.a, pair.b.peerId, new Uint8Array(1_100_000))).status, 'reset')
    equal((await sendBody(pair.a, pair.b.peerId, new Uint8Array(0))).status, 'closed')
    equal((await outcome(pullOf(pair, chain[0]))).error, undefined)
  })

  it('with a push, or of another type, are dropped', async () => {
    const store = createLinkSystem()
    const chain = await chainOf(store, 3)
    await withRaw('responder', async (raw, manager) => {
      manager.addVoucherType(VOUCHER.type, () => ({ accept: true, linkSystem: store }))
      const voucher = { voucher: VOUCHER.value, voucherType: VOUCHER.type }
      await raw.say(requestOf({ pull: false, baseCid: chain[0], selector: everything, ...voucher, transferId: 1n }))
      for (const type of [0, 1, 2, 3, 4, 5, 6, 7, 99]) {
        await raw.say(requestOf({ type, transferId: 1n, ...voucher }))
        await raw.say(responseOf({ type, transferId: 1n }))
      }
      equal(raw.received.length, 0)
      equal(raw.messages.length, 0)
      const push = await raw.ask({ pull: false, ...voucher, transferId: 1n }, chain[0], everything)
      equal(await raw.terminal(push), 32)
      const pull = await raw.ask({ ...voucher, transferId: 1n }, chain[0], everything)
      equal(await raw.terminal(pull), 20)
    })
  })

  it('from another peer do not count, whatever id they name', async () => {
    const store = createLinkSystem()
    const chain = await chainOf(store, 3)
    await withRaw('initiator', async (raw, manager) => {
      const other = await createNode()
      try {
        let ended = false
        const running = outcome(manager.pull(raw.node.peerId, VOUCHER, chain[0], everything)).finally(() => { ended = true })
        const { id, transfer: { transferId } } = await raw.pullRequest()
        await other.dial((manager as any).network.init.libp2p.getMultiaddrs())
        await sendMessage(other, raw.peer, responseOf({ type: TransferType.cancel, transferId }))
        await sendMessage(other, raw.peer, responseOf({ accepted: false, transferId }))
        for (const type of [TransferType.update, TransferType.voucherResult, 99]) {
          await raw.say(responseOf({ type, accepted: false, transferId }))
        }
        await raw.answer(id, 14, { transfer: responseOf({ transferId }), store, cids: chain })
        await sendMessage(other, raw.peer, responseOf({ type: TransferType.complete, transferId }))
        await raw.say(responseOf({ type: TransferType.complete, transferId: transferId + 1n }))
        equal(ended, false)
        await raw.say(responseOf({ type: TransferType.complete, transferId }))
        const { cids, error } = await running
        equal(error, undefined)
        deepEqual(cids, chain.map(String))
      } finally {
        await other.stop()
      }
    }, { completeTimeout: 60_000 })
  })

  it('of the peer may cancel or refuse', async () => {
    const [root] = await chainOf(createLinkSystem(), 3)
    for (const [init, name] of [[{ type: TransferType.cancel }, 'TransferFailedError'], [{ accepted: false }, 'TransferRejectedError']] as const) {
      await withRaw('initiator', async (raw, manager) => {
        const running = outcome(manager.pull(raw.node.peerId, VOUCHER, root, everything))
        const { transfer: { transferId } } = await raw.pullRequest()
        await raw.say(responseOf({ ...init, transferId }))
        equal((await running).error?.name, name)
        equal(sendingOf(manager).size, 0, 'it knows')
        await raw.until(() => raw.requests.some(({ type }) => type === 'cancel'))
      })
    }
  })
})

describe('a probe of a data transfer peer', () => {
  it('fails on a stream that the peer has reset while libp2p opened it', async () => {
    await using pair = await createPair()
    const near = pair.a
    const network = new Network({
      libp2p: Object.assign(Object.create(near), {
        dialProtocol: async (...args: Parameters<typeof near.dialProtocol>) => {
          const stream = await near.dialProtocol(...args)
          stream.abort(new Error('played'))
          return stream
        }
      }),
      openTimeout: 1_000,
      onMessage: () => {}
    })
    await pair.b.handle(DATA_TRANSFER_PROTOCOL, () => {})
    await rejects(network.probe(pair.b.peerId, {}), { name: 'ConnectionClosedError' })
  })
})
