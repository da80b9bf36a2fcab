import { deepEqual, equal } from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { CID } from 'multiformats/cid'
import type { GraphsyncBlock, LinkAction } from '../../../src/shared/types/graphsync.ts'
import type { LinkSystem } from '../../../src/shared/types.ts'
import { readBlock } from '../../../src/store/read.ts'
import { createLinkSystem } from '../../../src/store/link-system.ts'
import { Exchange } from '../../../src/wire/graphsync/exchange.ts'
import { createPair } from '../nodes.ts'
import { chainOf, everything, outcome } from './kit.ts'
import { RawPeer } from './raw-peer.ts'

interface Blocks { metadata: Array<[CID, LinkAction]>, blocks: Array<{ prefix: Uint8Array, data: Uint8Array }> }

/** Blocks of a chain, and what is said of them. */
async function messageOf (store: LinkSystem, cids: CID[]): Promise<Blocks> {
  return {
    metadata: cids.map(cid => [cid, 'present']),
    blocks: await Promise.all(cids.map(async cid => ({ prefix: cid.bytes.subarray(0, 4), data: await readBlock(store.blockstore, cid) })))
  }
}

interface Played {
  local: LinkSystem
  exchange: Exchange
  raw: RawPeer
  chain: CID[]
  request: AsyncGenerator<GraphsyncBlock, void, undefined>

  /** Its reader has the first block, and waits for another request: more blocks than it holds come, then what is of another walk. */
  send: () => Promise<void>
}

async function played (play: (played: Played) => Promise<void>): Promise<void> {
  await using pair = await createPair()
  const local = createLinkSystem()
  const remote = createLinkSystem()
  await using exchange = new Exchange({ libp2p: pair.a, linkSystem: local })
  await exchange.start()
  const raw = new RawPeer(pair.b, pair.a.peerId)
  await raw.start()
  const chain = await chainOf(remote, 61, 20_000)
  const [other] = await chainOf(remote, 1, 100, 1)
  const request = exchange.request(pair.b.peerId, chain[0], everything)
  const first = request.next()
  await raw.until(() => raw.requests.length === 1)
  const say = async (n: number, cids: CID[]): Promise<void> => {
    const { metadata, blocks } = await messageOf(remote, cids)
    await raw.send({ responses: [{ requestId: raw.requests[n].id, status: 14, metadata }], blocks })
  }
  await say(0, chain.slice(0, 1))
  equal(String((await first).value?.cid), String(chain[0]))
  const controller = new AbortController()
  const { signal } = controller
  const waiting = outcome(exchange.request(pair.b.peerId, other, everything, { signal, linkSystem: createLinkSystem() }))
  await raw.until(() => raw.requests.length === 2)
  await play({ local, exchange, raw, chain, request, send: async () => say(0, [...chain.slice(1, 60), other]) })
  controller.abort()
  await waiting
}

describe('graphsync: blocks that were walked while the reader waits for another request', () => {
  it('are all given before what the walk has failed with, also to a reader who was waiting', () => played(async ({ local, chain, request, send }) => {
    const put = local.blockstore.put.bind(local.blockstore)
    const [reached, opened] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    local.blockstore.put = (async (cid: CID, bytes: Uint8Array) => {
      reached.resolve()
      await opened.promise
      return await put(cid, bytes)
    }) as any
    await send()
    await reached.promise
    const rest = outcome(request)
    opened.resolve()
    const { cids, error } = await rest
    deepEqual(cids, chain.slice(1, 60).map(String))
    equal(error?.name, 'TransferFailedError')
  }))
})

describe('graphsync: a request', () => {
  it('that has walked all is not cancelled, though its peer has not ended it', () => played(async ({ raw, exchange, chain }) => {
    const store = createLinkSystem()
    const own = outcome(exchange.request(raw.node.peerId, chain[60], everything, { linkSystem: store }))
    await raw.until(() => raw.requests.length === 3)
    const remote = createLinkSystem()
    await chainOf(remote, 61, 20_000)
    const { metadata, blocks } = await messageOf(remote, [chain[60]])
    await raw.send({ responses: [{ requestId: raw.requests[2].id, status: 14, metadata }], blocks })
    deepEqual(await own, { cids: [String(chain[60])], local: [false] })
    const controller = new AbortController()
    const options = { signal: controller.signal, linkSystem: createLinkSystem() }
    const after = outcome(exchange.request(raw.node.peerId, chain[59], everything, options))
    await raw.until(() => raw.requests.length >= 4)
    deepEqual(raw.requests.map(({ type }) => type), ['new', 'new', 'new', 'new'])
    controller.abort()
    await after
  }))

  it('whose onNetworkError throws gives what has come before', () => played(async ({ raw, exchange, chain }) => {
    const remote = createLinkSystem()
    await chainOf(remote, 61, 20_000)
    const mine = new Error('mine')
    const told = Promise.withResolvers<void>()
    const onNetworkError = (): void => {
      told.resolve()
      throw mine
    }
    const own = exchange.request(raw.node.peerId, chain[57], everything, { onNetworkError, linkSystem: createLinkSystem() })
    const first = own.next()
    await raw.until(() => raw.requests.length === 3)
    const { metadata, blocks } = await messageOf(remote, chain.slice(57, 60))
    await raw.send({ responses: [{ requestId: raw.requests[2].id, status: 14, metadata }], blocks })
    await first
    ;(await raw.stream()).abort(new Error('played'))
    await told.promise
    const { cids, error } = await outcome(own)
    deepEqual(cids, chain.slice(58, 60).map(String))
    equal(error, mine)
  }))

  it('that is aborted in the very moment of a put() does not wait for it', { timeout: 20_000 }, () => played(async ({ raw, exchange, chain }) => {
    const store = createLinkSystem()
    const controller = new AbortController()
    store.blockstore.put = (() => {
      controller.abort(new Error('enough'))
      return new Promise(() => {})
    }) as any
    const own = outcome(exchange.request(raw.node.peerId, chain[60], everything, { signal: controller.signal, linkSystem: store }))
    await raw.until(() => raw.requests.length === 3)
    const remote = createLinkSystem()
    await chainOf(remote, 61, 20_000)
    const { metadata, blocks } = await messageOf(remote, [chain[60]])
    await raw.send({ responses: [{ requestId: raw.requests[2].id, status: 14, metadata }], blocks })
    equal((await own).error?.message, 'enough')
  }))
})
