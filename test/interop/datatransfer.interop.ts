import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CID } from 'multiformats/cid'
import { createLinkSystem } from '../../src/index.ts'
import { dagsyncSelector, recursionLimitNone } from '../../src/traversal/index.ts'
import { createDataTransfer } from '../../src/wire/data-transfer/index.ts'
import { chainOf } from '../wire/graphsync/kit.ts'
import { GoTransfer, type Channel } from './go-transfer.ts'
import { addressOf, asDagJson, blocksOf, HeldBlockstore, infoOf, sameBlocks, startNode, storeSizes } from './support.ts'
import type { LinkSystem } from '../../src/index.ts'
import type { DataTransfer } from '../../src/wire/data-transfer/index.ts'
import type { Libp2p, PeerId } from '@libp2p/interface'

// Data transfer with go-data-transfer v2.0.0-rc7, both roles.

const MIB = 2 ** 20
const IN_TIME = 30_000
const everything = dagsyncSelector(recursionLimitNone)
const ticket = { type: 'ticket', value: { Head: 'first', Number: 7 } }
const receipt = { type: 'receipt', value: { Code: 7 } }

const texts = (cids: CID[]): string[] => cids.map(String)

interface Setup extends AsyncDisposable {
  go: GoTransfer
  goId: PeerId
  node: Libp2p
  transfer: DataTransfer
  blockstore: HeldBlockstore
  linkSystem: LinkSystem
}

/** A Go peer, and a node of ours with a store; they are connected. */
async function start (): Promise<Setup> {
  const go = await GoTransfer.start()
  const { node } = await startNode()
  const transfer = createDataTransfer({ libp2p: node })
  await transfer.start()
  await go.call('connect', addressOf(node))
  const blockstore = new HeldBlockstore()
  return {
    go,
    goId: infoOf(go.address).id,
    node,
    transfer,
    blockstore,
    linkSystem: createLinkSystem({ blockstore }),
    async [Symbol.asyncDispose] () {
      blockstore.release()
      await transfer.stop()
      await Promise.all([go.stop(), node.stop()])
    }
  }
}

/** A chain of dag-cbor that Go has, newest first. */
async function chainAtGo (go: GoTransfer, count: number, size = 500, seed = 0): Promise<string[]> {
  const source = createLinkSystem()
  const cids = texts(await chainOf(source, count, size, seed))
  await go.call('put', { blocks: await blocksOf(source, cids) })
  return cids
}

interface Pulled { cids: string[], local: boolean[], error?: any }

/** Pulls with a voucher from Go, into linkSystem; stops by itself, or fails, after `most` blocks. */
async function pull (
  { transfer, goId, linkSystem }: Setup, root: string, { voucher = ticket, most = Infinity, signal }: {
    voucher?: { type: string, value: any }, most?: number, signal?: AbortSignal
  } = {}
): Promise<Pulled> {
  const pulled: Pulled = { cids: [], local: [] }
  try {
    for await (const { cid, local } of transfer.pull(goId, voucher, CID.parse(root), everything, { linkSystem, signal })) {
      pulled.cids.push(cid.toString())
      pulled.local.push(local)
      if (pulled.cids.length >= most) { break }
    }
  } catch (error) {
    pulled.error = error
  }
  return pulled
}

/** A pull of 50 blocks that Go holds after 10. */
async function pullHeld (setup: Setup): Promise<{ cids: string[], pulling: Promise<Pulled> }> {
  const { go } = setup
  await go.call('voucherType', { type: ticket.type, accept: true })
  const cids = await chainAtGo(go, 50)
  await go.call('hold', { after: 10 })
  const pulling = pull(setup, cids[0])
  await go.event('held')
  return { cids, pulling }
}

/** Go pulls from us; answers with the channel once it is at its end. */
async function pulledByGo ({ go, node }: Setup, root: string, voucher = ticket, timeout?: number): Promise<Channel> {
  const { channel } = await go.call('pull', { ...addressOf(node), root, selector: asDagJson(everything), voucher })
  return await go.call('waitEnd', { channel }, timeout)
}

describe('our data transfer pulls from Go', () => {
  it('a chain, with a voucher that Go sees', async () => {
    await using setup = await start()
    const { go, node, linkSystem } = setup
    await go.call('voucherType', { type: ticket.type, accept: true, result: receipt })
    const cids = await chainAtGo(go, 1_000)
    const pulled = await pull(setup, cids[0])
    deepEqual([pulled.error, pulled.cids], [undefined, cids])
    await sameBlocks(go, linkSystem, cids)

    const seen = await go.event('validated')
    deepEqual([seen.how, seen.voucher, seen.root], ['pull', ticket, cids[0]])
    ok(seen.channel.startsWith(`${node.peerId}-${go.peerId}-`), seen.channel)
    const [channel] = await go.call('channels', {})
    const end = await go.call('waitEnd', { channel: channel.channel })
    deepEqual([end.channel, end.status, end.mine, end.pull], [seen.channel, 'Completed', false, true])
  })

  it('what it lacks', async () => {
    await using setup = await start()
    const { go, linkSystem } = setup
    await go.call('voucherType', { type: ticket.type, accept: true })
    const cids = await chainAtGo(go, 9)
    const have = [0, 3, 4, 8]
    for (const i of have) {
      await linkSystem.put(CID.parse(cids[i]), Buffer.from(await go.call('get', { cid: cids[i] }) ?? '', 'base64'))
    }
    const pulled = await pull(setup, cids[0])
    // asked once, the peer sends all from the first one that lacks
    deepEqual(pulled, { cids, local: cids.map((_, i) => i === 0) })
  })

  it('blocks of 1 byte to 3.5 MiB', async () => {
    await using setup = await start()
    const { go, linkSystem } = setup
    await go.call('voucherType', { type: ticket.type, accept: true })
    const source = createLinkSystem()
    const cids = texts(await storeSizes(source, [1, 65_535, 65_536, MIB, 2 * MIB, 3.5 * MIB]))
    for (const block of await blocksOf(source, cids)) { await go.call('put', { blocks: [block] }) }
    deepEqual((await pull(setup, cids[0])).cids, cids)
    await sameBlocks(go, linkSystem, cids)
  })

  it('50 chains at once', async () => {
    await using setup = await start()
    const { go } = setup
    await go.call('voucherType', { type: ticket.type, accept: true })
    const chains = await Promise.all(Array.from({ length: 50 }, async (_, i) => await chainAtGo(go, 20, 1_000 + i, i)))
    const pulled = await Promise.all(chains.map(async ([root]) => await pull(setup, root)))
    deepEqual(pulled.map(({ cids, error }) => error ?? cids), chains)
  })

  it('nothing, where Go refuses the voucher, fails over it or does not know it', async () => {
    await using setup = await start()
    const { go } = setup
    await go.call('voucherType', { type: 'refused', accept: false })
    await go.call('voucherType', { type: 'broken', error: 'no such ticket' })
    const cids = await chainAtGo(go, 3)
    for (const type of ['refused', 'broken', 'unknown']) {
      const { error, cids: got } = await pull(setup, cids[0], { voucher: { type, value: null } })
      deepEqual([error?.name, got], ['TransferRejectedError', []], type)
    }
  })

  it('up to a block that Go lacks, or not even the root', async () => {
    await using setup = await start()
    const { go } = setup
    await go.call('voucherType', { type: ticket.type, accept: true })
    const cids = await chainAtGo(go, 6)
    await go.call('drop', { cids: [cids[4]] })
    const middle = await pull(setup, cids[0])
    deepEqual([middle.cids, middle.error?.name, String(middle.error?.cid)], [cids.slice(0, 4), 'ContentNotFoundError', cids[4]])
    const root = await pull(setup, cids[4])
    deepEqual([root.cids, root.error?.name], [[], 'ContentNotFoundError'])
  })

  for (const how of ['leaves the loop', 'aborts'] as const) {
    it(`until it ${how}, and then again at once`, async () => {
      await using setup = await start()
      const { go } = setup
      await go.call('voucherType', { type: ticket.type, accept: true })
      const cids = await chainAtGo(go, 50)
      await go.call('hold', { after: 10 })
      if (how === 'aborts') {
        const controller = new AbortController()
        const pulling = pull(setup, cids[0], { signal: controller.signal })
        await go.event('held')
        controller.abort()
        equal((await pulling).error?.name, 'AbortError')
      } else {
        deepEqual(await pull(setup, cids[0], { most: 10 }), { cids: cids.slice(0, 10), local: Array(10).fill(false) })
      }
      const [{ channel }] = await go.call('channels', {})
      equal((await go.call('waitEnd', { channel })).status, 'Cancelled')

      const again = pull(setup, cids[0])
      await go.call('release', {})
      const { error, cids: got } = await again
      deepEqual([error, got], [undefined, cids])
    })
  }

  it('until Go cancels the channel', async () => {
    await using setup = await start()
    const { go } = setup
    const { cids, pulling } = await pullHeld(setup)
    const [{ channel }] = await go.call('channels', {})
    const cancelled = go.call('cancel', { channel })
    await go.call('release', {})
    await cancelled
    const { error, cids: got } = await pulling
    equal(error?.name, 'TransferFailedError')
    deepEqual(got, cids.slice(0, got.length))
  })

  it('until Go is killed', async () => {
    await using setup = await start()
    const { go } = setup
    const { cids, pulling } = await pullHeld(setup)
    await go.kill('SIGKILL')
    const begin = performance.now()
    const { error, cids: got } = await pulling
    equal(error?.name, 'TransferFailedError')
    deepEqual(got, cids.slice(0, got.length))
    ok(performance.now() - begin < IN_TIME)
  })

  it('with what Go asks of us at the same time', async () => {
    await using setup = await start()
    const { go, transfer } = setup
    await go.call('voucherType', { type: ticket.type, accept: true })
    const mine = createLinkSystem()
    const ours = texts(await chainOf(mine, 200, 500, 1))
    transfer.addVoucherType(ticket.type, () => ({ accept: true, linkSystem: mine }))
    const theirs = await chainAtGo(go, 200, 500, 2)
    const [pulled, channel] = await Promise.all([pull(setup, theirs[0]), pulledByGo(setup, ours[0])])
    deepEqual([pulled.error, pulled.cids], [undefined, theirs])
    deepEqual([channel.status, channel.blocks], ['Completed', ours])
  })
})

describe('Go pulls from our data transfer', () => {
  it('a chain, with a voucher that we see', async () => {
    await using setup = await start()
    const { go, transfer, linkSystem } = setup
    const cids = texts(await chainOf(linkSystem, 1_000, 500))
    const asked: unknown[] = []
    transfer.addVoucherType(ticket.type, (peer, voucher, root, selector) => {
      asked.push([peer.toString(), voucher, root.toString(), selector])
      return { accept: true, linkSystem, result: receipt.value, resultType: receipt.type }
    })
    const end = await pulledByGo(setup, cids[0])
    deepEqual([end.status, end.message, end.blocks, end.results], ['Completed', '', cids, [receipt]])
    deepEqual(asked, [[go.peerId, ticket.value, cids[0], everything]])
    await sameBlocks(go, linkSystem, cids)
  })

  it('from the store that the first validator with an answer names', async () => {
    await using setup = await start()
    const { transfer, linkSystem } = setup
    const cids = texts(await chainOf(linkSystem, 5, 500))
    transfer.addVoucherType(ticket.type, () => undefined)
    transfer.addVoucherType(ticket.type, () => ({ accept: true, linkSystem }))
    deepEqual((await pulledByGo(setup, cids[0])).blocks, cids)
  })

  it('blocks of 1 byte to 3.5 MiB', async () => {
    await using setup = await start()
    const { go, transfer, linkSystem } = setup
    const cids = texts(await storeSizes(linkSystem, [1, 65_535, 65_536, MIB, 2 * MIB, 3.5 * MIB]))
    transfer.addVoucherType(ticket.type, () => ({ accept: true, linkSystem }))
    const end = await pulledByGo(setup, cids[0])
    deepEqual([end.status, end.blocks], ['Completed', cids])
    await sameBlocks(go, linkSystem, cids)
  })

  it('50 chains at once', async () => {
    await using setup = await start()
    const { transfer, linkSystem } = setup
    transfer.addVoucherType(ticket.type, () => ({ accept: true, linkSystem }))
    const chains = await Promise.all(Array.from({ length: 50 }, async (_, i) => texts(await chainOf(linkSystem, 20, 1_000 + i, i))))
    const ends = await Promise.all(chains.map(async ([root]) => await pulledByGo(setup, root)))
    deepEqual(ends.map(({ status, blocks }) => [status, blocks]), chains.map(cids => ['Completed', cids]))
  })

  it('nothing, where we refuse the voucher, fail over it or do not know it', async () => {
    await using setup = await start()
    const { go, transfer, linkSystem } = setup
    const cids = texts(await chainOf(linkSystem, 3, 500))
    transfer.addVoucherType('refused', () => ({ accept: false }))
    transfer.addVoucherType('broken', () => { throw new Error('no such ticket') })
    for (const type of ['refused', 'broken', 'unknown']) {
      const end = await pulledByGo(setup, cids[0], { ...ticket, type })
      deepEqual([end.status, end.blocks], ['Failed', []], type)
      match(end.message, /response rejected/, type)
    }
    equal((await go.call('has', { cids })).blocks, 0)
  })

  it('up to a block that we lack, or not even the root', async () => {
    await using setup = await start()
    const { transfer, linkSystem } = setup
    const cids = texts(await chainOf(linkSystem, 6, 500))
    transfer.addVoucherType(ticket.type, () => ({ accept: true, linkSystem }))
    await linkSystem.blockstore.delete(CID.parse(cids[4]))
    const middle = await pulledByGo(setup, cids[0])
    deepEqual([middle.status, middle.blocks], ['Failed', cids.slice(0, 4)])
    match(middle.message, new RegExp(`remote peer is missing block \\(${cids[4]}\\)`))
    const root = await pulledByGo(setup, cids[4])
    equal(root.status, 'Failed')
    match(root.message, /content not found/)
  })

  it('until it cancels, and then again', async () => {
    await using setup = await start()
    const { go, node, transfer, linkSystem, blockstore } = setup
    const cids = texts(await chainOf(linkSystem, 50, 500))
    transfer.addVoucherType(ticket.type, () => ({ accept: true, linkSystem }))
    const held = blockstore.hold(10)
    const { channel } = await go.call('pull', { ...addressOf(node), root: cids[0], selector: asDagJson(everything), voucher: ticket })
    await held
    deepEqual((await go.call('waitReceived', { channel, count: 10 })).blocks, cids.slice(0, 10))
    await go.call('cancel', { channel })
    equal((await go.call('waitEnd', { channel })).status, 'Cancelled')
    blockstore.release()
    const again = await pulledByGo(setup, cids[0])
    deepEqual([again.status, again.blocks], ['Completed', cids])
  })

  it('over a connection that is lost in the middle and made again', async () => {
    await using setup = await start()
    const { go, node, transfer, linkSystem, blockstore } = setup
    const cids = texts(await chainOf(linkSystem, 50, 500))
    transfer.addVoucherType(ticket.type, () => ({ accept: true, linkSystem }))
    const held = blockstore.hold(10)
    const { channel } = await go.call('pull', { ...addressOf(node), root: cids[0], selector: asDagJson(everything), voucher: ticket })
    await held
    await go.call('waitReceived', { channel, count: 10 })
    await go.call('disconnect', addressOf(node))
    blockstore.release()
    const end = await go.call('waitEnd', { channel }, 60_000) // Go restarts the channel after 10 s
    equal(end.status, 'Completed', end.message)
    await sameBlocks(go, linkSystem, cids)
  })

  it('but not by graphsync alone, without a voucher', async () => {
    await using setup = await start()
    const { go, node, transfer, linkSystem } = setup
    const cids = texts(await chainOf(linkSystem, 3, 500))
    transfer.addVoucherType(ticket.type, () => ({ accept: true, linkSystem }))
    const { blocks, errors } = await go.call('request', { ...addressOf(node), root: cids[0], selector: asDagJson(everything) })
    deepEqual(blocks, [])
    equal(errors.length, 1)
  })
})
