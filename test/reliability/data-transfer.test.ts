import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as dagCbor from '@ipld/dag-cbor'
import type { CID } from 'multiformats/cid'
import { sha512 } from 'multiformats/hashes/sha2'
import type { LinkSystem } from '../../src/shared/types.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { TransferType } from '../../src/wire/data-transfer/constants.ts'
import { Manager } from '../../src/wire/data-transfer/manager.ts'
import { GRAPHSYNC_PROTOCOL } from '../../src/wire/graphsync/constants.ts'
import { until, untilHeldBack } from '../memory/kit.ts'
import { chainOf, copy, everything, outcome } from '../wire/graphsync/kit.ts'
import { transferPair, VOUCHER } from '../wire/data-transfer/kit.ts'
import type { TransferPair } from '../wire/data-transfer/kit.ts'
import { RawTransferPeer, responseOf } from '../wire/data-transfer/raw-peer.ts'
import { same } from '../wire/graphsync/raw-peer.ts'
import { createPair } from '../wire/nodes.ts'

const QUICK = { restartDebounce: 20, restartTimeout: 2_000, restartDelay: 20, silenceTimeout: 200, openTimeout: 300, completeTimeout: 50 }

/** A store that waits at its n-th read until it is let go, and counts reads. */
function held (after: number): { linkSystem: LinkSystem, arrived: Promise<void>, letGo: () => void, reads: string[] } {
  const linkSystem = createLinkSystem()
  const { blockstore } = linkSystem
  const get = blockstore.get.bind(blockstore)
  const [gate, arrival] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const reads: string[] = []
  blockstore.get = ((cid: any, options: any) => (async function * () {
    reads.push(String(cid))
    if (reads.length > after) {
      arrival.resolve()
      await gate.promise
    }
    yield * get(cid, options) as any
  })()) as any
  return { linkSystem, arrived: arrival.promise, letGo: gate.resolve, reads }
}

type Cut = Promise<{ cids: CID[], pulled: ReturnType<typeof outcome> }>

/** A pull of 20 blocks whose connection is gone when the peer is in the middle of it. */
async function cutMidway (pair: TransferPair, source: ReturnType<typeof held>): Cut {
  const cids = await chainOf(source.linkSystem, 20)
  const pulled = outcome(pair.initiator.pull(pair.b.peerId, VOUCHER, cids[0], everything))
  await source.arrived
  for (const connection of pair.a.getConnections()) { connection.abort(new Error('cut')) }
  source.letGo()
  return { cids, pulled }
}

describe('a pull whose connection is lost', () => {
  it('is resumed: each block is given once, and what is stored is not fetched again', async () => {
    const source = held(7)
    await using pair = await transferPair({ remote: source.linkSystem, initiator: QUICK })
    const { cids, pulled } = await cutMidway(pair, source)
    const { cids: given, error, local } = await pulled
    equal(error, undefined, error?.stack)
    deepEqual(given, cids.map(String))
    ok(local.slice(8).every(local => !local))
  })

  it('is resumed as a new transfer when the peer does not know it any more', async () => {
    const source = held(7)
    await using pair = await transferPair({ remote: source.linkSystem, initiator: QUICK })
    const { cids, pulled } = await cutMidway(pair, source)
    await pair.responder.stop()
    const again = new Manager({ libp2p: pair.b, linkSystem: source.linkSystem })
    again.addVoucherType(VOUCHER.type, () => ({ accept: true }))
    await again.start()
    const { cids: given, error } = await pulled
    equal(error, undefined, error?.stack)
    deepEqual(given, cids.map(String))
    await again.stop()
  })

  it('with blocks that the peer has sent, and its Complete is here, is resumed as well', async () => {
    const local = createLinkSystem()
    const opened = Promise.withResolvers<void>()
    const reached = Promise.withResolvers<void>()
    const getHasher = local.getHasher.bind(local)
    local.getHasher = code => ({ // what comes behind the first frame is not read before it is opened
      ...getHasher(code),
      digest: async (bytes: Uint8Array) => {
        reached.resolve()
        await opened.promise
        return await getHasher(code).digest(bytes)
      }
    }) as any
    let requests = 0
    await using pair = await transferPair({ local, initiator: QUICK, validate: () => { requests++; return { accept: true } } })
    const cids: CID[] = []
    for (let i = 0; i < 20; i++) { // more than is held of a stream that is lost
      const node = { Payload: new Uint8Array(20_000).fill(i), ...(i > 0 ? { Next: cids[0] } : {}) }
      cids.unshift(await pair.remote.store(node, { codec: dagCbor, hasher: sha512 }))
    }
    const completed = Promise.withResolvers<void>()
    const { onMessage } = (pair.initiator as any).network.init
    ;(pair.initiator as any).network.init.onMessage = (peer: any, message: any) => {
      onMessage(peer, message)
      if (message.response?.type === TransferType.complete) { completed.resolve() }
    }
    const pulled = outcome(pair.initiator.pull(pair.b.peerId, VOUCHER, cids[0], everything))
    await Promise.all([reached.promise, completed.promise])
    const gone = new Promise(resolve => { pair.a.addEventListener('peer:disconnect', resolve) })
    for (const connection of pair.b.getConnections()) { connection.abort(new Error('cut')) }
    await gone
    opened.resolve()
    const { cids: given, error } = await pulled
    equal(error, undefined, error?.stack)
    deepEqual(given, cids.map(String))
    equal(requests, 2)
  })

  it('before the peer is asked goes on over another one', async () => {
    await using pair = await transferPair({ initiator: QUICK })
    const cids = await chainOf(pair.remote, 6)
    const pull = async (): ReturnType<typeof outcome> =>
      await outcome(pair.initiator.pull(pair.b.peerId, VOUCHER, cids[4], everything, { linkSystem: createLinkSystem() }))
    equal((await pull()).error, undefined) // the peer has a stream to us now
    await copy(pair.remote, pair.local, cids.slice(0, 1))
    const pulling = pair.initiator.pull(pair.b.peerId, VOUCHER, cids[0], everything)
    equal((await pulling.next()).value?.local, true)
    for (const connection of pair.a.getConnections()) { connection.abort(new Error('cut')) }
    const { cids: given, error } = await outcome(pulling)
    equal(error, undefined, error?.stack)
    deepEqual(given, cids.slice(1).map(String))
    equal((await pull()).error, undefined)
  })

  it('is resumed when the peer comes back after a while', async () => {
    const source = held(7)
    const initiator = { ...QUICK, silenceTimeout: 60_000, stallTimeout: 5_000 }
    await using pair = await transferPair({ remote: source.linkSystem, initiator })
    const dial = pair.a.dialProtocol.bind(pair.a)
    let backAt = 0
    pair.a.dialProtocol = async (...args) => {
      if (performance.now() < backAt) { throw new Error('no way') }
      return dial(...args)
    }
    const { cids, pulled } = await cutMidway(pair, source)
    backAt = performance.now() + 300
    const { cids: given, error } = await pulled
    equal(error, undefined, error?.stack)
    deepEqual(given, cids.map(String))
  })

  it('fails within restartTimeout when the peer is gone for good', async () => {
    const source = held(7)
    await using pair = await transferPair({ remote: source.linkSystem, initiator: { ...QUICK, restartTimeout: 600 } })
    const cids = await chainOf(source.linkSystem, 20)
    const pulled = outcome(pair.initiator.pull(pair.b.peerId, VOUCHER, cids[0], everything))
    await source.arrived
    source.letGo()
    await pair.b.stop()
    const { cids: given, error } = await pulled
    equal(error?.name, 'TransferFailedError')
    deepEqual(given, cids.slice(0, given.length).map(String))
  })

  it('fails with what its signal says while it tries to reach the peer', async () => {
    const source = held(7)
    await using pair = await transferPair({ remote: source.linkSystem, initiator: { ...QUICK, restartTimeout: 60_000, restartDelay: 10 } })
    const cids = await chainOf(source.linkSystem, 20)
    const controller = new AbortController()
    const { signal } = controller
    const pulled = outcome(pair.initiator.pull(pair.b.peerId, VOUCHER, cids[0], everything, { signal }))
    await source.arrived
    pair.a.addEventListener('peer:disconnect', () => { controller.abort(new Error('enough')) })
    await pair.b.stop()
    equal((await pulled).error?.message, 'enough')
    source.letGo()
  })
})

describe('a peer that says nothing', () => {
  it('before it accepts: TransferFailedError after acceptTimeout', async () => {
    await using pair = await transferPair({ initiator: { ...QUICK, acceptTimeout: 100 }, validate: () => new Promise(() => {}) })
    const [root] = await chainOf(pair.remote, 2)
    const { error } = await outcome(pair.initiator.pull(pair.b.peerId, VOUCHER, root, everything))
    equal(error?.name, 'TransferFailedError')
    equal(error?.cause?.name, 'TimeoutError')
  })

  it('in the middle, and cannot be reached: TransferFailedError after restartTimeout', async () => {
    const source = held(3)
    const initiator = { ...QUICK, silenceTimeout: 50, restartTimeout: 300, stallTimeout: 50_000 }
    await using pair = await transferPair({ remote: source.linkSystem, initiator })
    const cids = await chainOf(source.linkSystem, 6)
    const pulled = outcome(pair.initiator.pull(pair.b.peerId, VOUCHER, cids[0], everything))
    await source.arrived
    pair.a.dialProtocol = async () => { throw new Error('no way') }
    const { error, cids: given } = await pulled
    equal(error?.name, 'TransferFailedError', error?.stack)
    deepEqual(given, cids.slice(0, 3).map(String))
    source.letGo()
  })

  it('in the middle, but can be reached: StalledError after stallTimeout', async () => {
    const source = held(3)
    await using pair = await transferPair({ remote: source.linkSystem, initiator: { ...QUICK, silenceTimeout: 50, stallTimeout: 400 } })
    const cids = await chainOf(source.linkSystem, 6)
    const { error, cids: given } = await outcome(pair.initiator.pull(pair.b.peerId, VOUCHER, cids[0], everything))
    equal(error?.name, 'StalledError')
    deepEqual(given, cids.slice(0, 3).map(String))
    source.letGo()
  })
})

describe('a publisher whose stream is lost with blocks in it', () => {
  it('does not go on behind the gap, says no Complete, and serves the rest to a restart', async () => {
    const store = createLinkSystem()
    const chain = await chainOf(store, 600, 20_000)
    const ends: any[] = []
    await using pair = await createPair()
    await using responder = new Manager({ libp2p: pair.b, linkSystem: store })
    responder.graphsync.addValidator((peer, request) => { // sees how it ends
      const decision: any = (responder as any).server.validate(peer, request)
      return decision.then((decided: any) => ({ ...decided, onEnd: (end: any) => { ends.push(end); decided.onEnd?.(end) } }))
    })
    responder.addVoucherType(VOUCHER.type, () => ({ accept: true }))
    await responder.start()
    let taken: any
    await pair.a.handle(GRAPHSYNC_PROTOCOL, stream => {
      stream.pause()
      taken = stream
    })
    const raw = new RawTransferPeer(pair.a, pair.b.peerId)
    const transfer = { voucher: VOUCHER.value, voucherType: VOUCHER.type, transferId: 7n }
    const lost = await raw.ask(transfer, chain[0], everything)
    await untilHeldBack(responder.graphsync)
    await pair.a.unhandle(GRAPHSYNC_PROTOCOL)
    await raw.start()
    taken.abort(new Error('played'))
    await until(() => ends.length === 1)
    equal(ends[0].error?.name, 'TransferFailedError')
    const again = await raw.ask({ ...transfer, type: TransferType.restart }, chain[0], everything)
    equal(await raw.terminal(again), 20)
    await raw.until(() => raw.messages.length > 0)
    deepEqual(raw.messages, [responseOf({ type: TransferType.complete, transferId: 7n })])
    equal(raw.responses.filter(({ requestId }) => same(requestId, lost)).length, 0)
    equal(raw.received.reduce((sum, { message }) => sum + message.blocks.length, 0), chain.length)
  })
})
