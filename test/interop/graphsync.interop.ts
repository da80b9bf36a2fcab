import { deepEqual, equal, ok } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
import * as dagCbor from '@ipld/dag-cbor'
import * as dagJson from '@ipld/dag-json'
import type { Libp2p } from '@libp2p/interface'
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
import { buildGo } from './go-build.ts'

// Plain graphsync with go-graphsync v0.14.7, both roles.

interface Answer { error?: string, addrs: string[], blocks: string[], errors: string[], has: boolean[] }

class GoGraphsync implements AsyncDisposable {
  private readonly child: ChildProcessWithoutNullStreams
  private readonly lines: AsyncIterator<string>
  addr = ''

  constructor (binary: string) {
    this.child = spawn(binary, { stdio: 'pipe' })
    this.child.stderr.resume()
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]()
  }

  async call (op: string, args: Record<string, unknown> = {}): Promise<Answer> {
    this.child.stdin.write(`${JSON.stringify({ op, ...args })}\n`)
    const { value } = await this.lines.next()
    const answer = JSON.parse(value)
    if (answer.error != null) { throw new Error(answer.error) }
    return answer
  }

  async start (): Promise<this> {
    [this.addr] = (await this.call('start')).addrs
    return this
  }

  async put (linkSystem: LinkSystem, cids: CID[]): Promise<void> {
    const blocks: Array<{ cid: string, bytes: string }> = []
    for (const cid of cids) {
      for await (const bytes of linkSystem.blockstore.get(cid)) { blocks.push({ cid: String(cid), bytes: Buffer.from(bytes).toString('base64') }) }
    }
    await this.call('put', { blocks })
  }

  async request (addr: string, root: CID, selector: SelectorNode = everything): Promise<Answer> {
    return await this.call('request', { addr, root: String(root), selector: Buffer.from(dagJson.encode(selector)).toString() })
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    const exit = once(this.child, 'exit')
    this.child.stdin.end()
    await exit
  }
}

const texts = (cids: CID[]): string[] => cids.map(String)

describe('graphsync with Go', () => {
  let binary: string
  let node: Libp2p
  let store: LinkSystem
  let graphsync: GraphExchange
  let go: GoGraphsync

  before(async () => {
    binary = await buildGo(join(import.meta.dirname, 'go/graphsync'), 'go1.20.14')
    node = await createNode()
    store = createLinkSystem()
    graphsync = createGraphsync({ libp2p: node, linkSystem: store })
    graphsync.addValidator(() => ({ accept: true }))
    await graphsync.start()
    go = await new GoGraphsync(binary).start()
    await node.dial(multiaddr(go.addr))
  })
  after(async () => {
    await go[Symbol.asyncDispose]()
    await graphsync.stop()
    await node.stop()
  })

  const goId = (): any => peerIdFromString(go.addr.split('/p2p/')[1])
  const ours = (): string => String(node.getMultiaddrs()[0])

  /** A root with three chains, one of them twice, and a list. */
  async function tree (linkSystem: LinkSystem, seed: number): Promise<CID[]> {
    const [a, b] = [await chainOf(linkSystem, 4, 100, seed), await chainOf(linkSystem, 3, 200_000, seed + 1)]
    const root = await linkSystem.store({ a: a[0], again: a[0], list: [{ b: b[0] }, 1, 'x'], 10: b[0] }, { codec: dagCbor })
    return [root, ...a, ...b]
  }

  it('fetches from Go: a chain of 2,000', async () => {
    const remote = createLinkSystem()
    const chain = await chainOf(remote, 2_000, 500, 1)
    await go.put(remote, chain)
    const { cids, error } = await outcome(graphsync.request(goId(), chain[0], everything))
    equal(error, undefined)
    deepEqual(cids, texts(chain))
  })

  it('fetches from Go: a tree with repeated links and blocks of 200 KB', async () => {
    const remote = createLinkSystem()
    const all = await tree(remote, 10)
    await go.put(remote, all)
    const { cids, error } = await outcome(graphsync.request(goId(), all[0], everything))
    equal(error, undefined)
    equal(cids.length, 1 + 2 * 4 + 2 * 3)
    deepEqual(new Set(cids), new Set(texts(all)))
  })

  it('fetches from Go what it lacks, and several requests at a time', async () => {
    const remote = createLinkSystem()
    const chains = await Promise.all(Array.from({ length: 10 }, async (_, i) => await chainOf(remote, 50, 300, 100 + i)))
    for (const chain of chains) { await go.put(remote, chain) }
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
    await go.put(remote, [...chain.slice(0, 2), ...chain.slice(3)])
    const { cids, error } = await outcome(graphsync.request(goId(), chain[0], everything))
    deepEqual(cids, texts(chain.slice(0, 2)))
    equal(error.name, 'ContentNotFoundError')
    equal(String(error.cid), String(chain[2]))
    equal((await outcome(graphsync.request(goId(), chain[2], everything))).error.name, 'ContentNotFoundError')
  })

  it('cancels at Go, and asks again', async () => {
    const remote = createLinkSystem()
    const chain = await chainOf(remote, 3_000, 1_000, 300)
    await go.put(remote, chain)
    const request = graphsync.request(goId(), chain[0], everything)
    ok((await request.next()).value)
    await request.return()
    const { cids, error } = await outcome(graphsync.request(goId(), chain[0], everything))
    equal(error, undefined)
    deepEqual(cids, texts(chain))
  })

  it('serves Go: a chain of 2,000', async () => {
    const chain = await chainOf(store, 2_000, 500, 400)
    const { blocks, errors } = await go.request(ours(), chain[0])
    deepEqual(errors, [])
    deepEqual(blocks, texts(chain))
    ok((await go.call('has', { cids: texts(chain) })).has.every(Boolean))
  })

  it('serves Go: a tree with repeated links and big blocks, and a part of it by depth', async () => {
    const all = await tree(store, 20)
    const part = await go.request(ours(), all[0], dagsyncSelector(recursionLimitDepth(2)))
    deepEqual(part.errors, [])
    const { blocks, errors } = await go.request(ours(), all[0])
    deepEqual(errors, [])
    equal(blocks.length, 1 + 2 * 4 + 2 * 3)
  })

  it('serves Go blocks of 3 MiB, and only what it lacks', async () => {
    const chain = await chainOf(store, 4, 3 * 1024 * 1024, 500)
    await go.put(store, chain.slice(0, 2))
    const { blocks, errors } = await go.request(ours(), chain[0])
    deepEqual(errors, [])
    deepEqual(blocks, texts(chain))
  })

  it('tells Go what is missing', async () => {
    const chain = await chainOf(store, 5, 100, 600)
    await store.blockstore.delete(chain[2])
    const middle = await go.request(ours(), chain[0])
    deepEqual(middle.blocks, texts(chain.slice(0, 2)))
    ok(middle.errors.some(error => error.includes('missing block')), middle.errors.join())
    const root = await go.request(ours(), chain[2])
    ok(root.errors.some(error => error.includes('content not found')), root.errors.join())
  })

  it('refuses Go what no validator takes', async () => {
    const refusing = createGraphsync({ libp2p: await createNode(), linkSystem: store })
    const { libp2p } = (refusing as any).network.init
    await refusing.start()
    const [root] = await chainOf(store, 3, 100, 700)
    const { errors } = await go.request(String(libp2p.getMultiaddrs()[0]), root)
    ok(errors.some(error => error.includes('30')), errors.join())
    await refusing.stop()
    await libp2p.stop()
  })
})
