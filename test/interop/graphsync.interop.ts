import { deepEqual, equal, ok } from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import * as dagCbor from '@ipld/dag-cbor'
import type { Libp2p, PeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import type { CID } from 'multiformats/cid'
import type { LinkSystem, SelectorNode } from '../../src/shared/types.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { dagsyncSelector, recursionLimitDepth } from '../../src/traversal/index.ts'
import { createGraphsync } from '../../src/wire/graphsync/index.ts'
import type { GraphExchange } from '../../src/wire/graphsync/index.ts'
import { chainOf, everything, outcome } from '../wire/graphsync/kit.ts'
import { createNode } from '../wire/nodes.ts'
import { GoTransfer } from './go-transfer.ts'
import { addressOf, asDagJson, blocksOf } from './support.ts'

// Plain graphsync with go-graphsync v0.14.7, both roles.

const texts = (cids: CID[]): string[] => cids.map(String)

describe('graphsync with Go', () => {
  let node: Libp2p
  let store: LinkSystem
  let graphsync: GraphExchange
  let go: GoTransfer

  before(async () => {
    node = await createNode()
    store = createLinkSystem()
    graphsync = createGraphsync({ libp2p: node, linkSystem: store })
    graphsync.addValidator(() => ({ accept: true }))
    await graphsync.start()
    go = await GoTransfer.start()
    await node.dial(go.addrs.map(addr => multiaddr(`${addr}/p2p/${go.peerId}`)))
  })
  after(async () => {
    await go[Symbol.asyncDispose]()
    await graphsync.stop()
    await node.stop()
  })

  const goId = (): PeerId => peerIdFromString(go.peerId)
  const put = async (linkSystem: LinkSystem, cids: CID[]): Promise<void> => {
    await go.call('put', { blocks: await blocksOf(linkSystem, texts(cids)) })
  }
  const request = async (from: Libp2p, root: CID, selector: SelectorNode = everything): Promise<{ blocks: string[], errors: string[] }> =>
    await go.call('request', { ...addressOf(from), root: String(root), selector: asDagJson(selector) })

  /** A root with three chains, one of them twice, and a list. */
  async function tree (linkSystem: LinkSystem, seed: number): Promise<CID[]> {
    const [a, b] = [await chainOf(linkSystem, 4, 100, seed), await chainOf(linkSystem, 3, 200_000, seed + 1)]
    const root = await linkSystem.store({ a: a[0], again: a[0], list: [{ b: b[0] }, 1, 'x'], 10: b[0] }, { codec: dagCbor })
    return [root, ...a, ...b]
  }

  it('fetches from Go: a chain of 2,000', async () => {
    const remote = createLinkSystem()
    const chain = await chainOf(remote, 2_000, 500, 1)
    await put(remote, chain)
    const { cids, error } = await outcome(graphsync.request(goId(), chain[0], everything))
    equal(error, undefined)
    deepEqual(cids, texts(chain))
  })

  it('fetches from Go: a tree with repeated links and blocks of 200 KB', async () => {
    const remote = createLinkSystem()
    const all = await tree(remote, 10)
    await put(remote, all)
    const { cids, error } = await outcome(graphsync.request(goId(), all[0], everything))
    equal(error, undefined)
    equal(cids.length, 1 + 2 * 4 + 2 * 3)
    deepEqual(new Set(cids), new Set(texts(all)))
  })

  it('fetches from Go what it lacks, and several requests at a time', async () => {
    const remote = createLinkSystem()
    const chains = await Promise.all(Array.from({ length: 10 }, async (_, i) => await chainOf(remote, 50, 300, 100 + i)))
    for (const chain of chains) { await put(remote, chain) }
    for (const cid of chains[0].slice(0, 20)) {
      for await (const bytes of remote.blockstore.get(cid)) { await store.blockstore.put(cid, bytes) }
    }
    const results = await Promise.all(chains.map(async chain => await outcome(graphsync.request(goId(), chain[0], everything))))
    for (const [i, { cids, error }] of results.entries()) {
      equal(error, undefined)
      deepEqual(cids, texts(chains[i]))
    }
    equal(results[0].local.filter(Boolean).length, 20)
  })

  it('is told by Go what is missing', async () => {
    const remote = createLinkSystem()
    const chain = await chainOf(remote, 5, 100, 200)
    await put(remote, [...chain.slice(0, 2), ...chain.slice(3)])
    const { cids, error } = await outcome(graphsync.request(goId(), chain[0], everything))
    deepEqual(cids, texts(chain.slice(0, 2)))
    equal(error.name, 'ContentNotFoundError')
    equal(String(error.cid), String(chain[2]))
    equal((await outcome(graphsync.request(goId(), chain[2], everything))).error.name, 'ContentNotFoundError')
  })

  it('cancels at Go, and asks again', async () => {
    const remote = createLinkSystem()
    const chain = await chainOf(remote, 3_000, 1_000, 300)
    await put(remote, chain)
    const request = graphsync.request(goId(), chain[0], everything)
    ok((await request.next()).value)
    await request.return()
    const { cids, error } = await outcome(graphsync.request(goId(), chain[0], everything))
    equal(error, undefined)
    deepEqual(cids, texts(chain))
  })

  it('serves Go: a chain of 2,000', async () => {
    const chain = await chainOf(store, 2_000, 500, 400)
    const { blocks, errors } = await request(node, chain[0])
    deepEqual(errors, [])
    deepEqual(blocks, texts(chain))
    ok((await go.call('has', { cids: texts(chain) })).has.every(Boolean))
  })

  it('serves Go: a tree with repeated links and big blocks, and a part of it by depth', async () => {
    const all = await tree(store, 20)
    const part = await request(node, all[0], dagsyncSelector(recursionLimitDepth(2)))
    deepEqual(part.errors, [])
    const { blocks, errors } = await request(node, all[0])
    deepEqual(errors, [])
    equal(blocks.length, 1 + 2 * 4 + 2 * 3)
  })

  it('serves Go blocks of 3 MiB, and only what it lacks', async () => {
    const chain = await chainOf(store, 4, 3 * 1024 * 1024, 500)
    await put(store, chain.slice(0, 2))
    const { blocks, errors } = await request(node, chain[0])
    deepEqual(errors, [])
    deepEqual(blocks, texts(chain))
  })

  it('tells Go what is missing', async () => {
    const chain = await chainOf(store, 5, 100, 600)
    await store.blockstore.delete(chain[2])
    const middle = await request(node, chain[0])
    deepEqual(middle.blocks, texts(chain.slice(0, 2)))
    ok(middle.errors.some(error => error.includes('missing block')), middle.errors.join())
    const root = await request(node, chain[2])
    ok(root.errors.some(error => error.includes('content not found')), root.errors.join())
  })

  it('refuses Go what no validator takes', async () => {
    const refusing = createGraphsync({ libp2p: await createNode(), linkSystem: store })
    const { libp2p } = (refusing as any).network.init
    await refusing.start()
    const [root] = await chainOf(store, 3, 100, 700)
    const { errors } = await request(libp2p, root)
    ok(errors.some(error => error.includes('30')), errors.join())
    await refusing.stop()
    await libp2p.stop()
  })
})
