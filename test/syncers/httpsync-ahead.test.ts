import { describe, it } from 'node:test'
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { AheadBudget } from '../../src/syncers/httpsync/ahead.ts'
import type { HttpClient } from '../../src/syncers/httpsync/http-client.ts'
import { HttpSyncer } from '../../src/syncers/httpsync/sync.ts'
import type { LinkSystem } from '../../src/syncers/index.ts'
import { exploreAll, exploreRecursive, exploreRecursiveEdge } from '../../src/traversal/builders.ts'
import { inTime, randomPeer, until } from '../support/hall.ts'

const ALL = exploreRecursive({ none: {} }, exploreAll(exploreRecursiveEdge()))
const KIB = 1024

/** What the blocks of a publisher are asked for by. */
interface Asked {
  /** In order; some may come twice. */
  texts: string[]

  /** Requests under way. */
  open: number
}

type Hold = (cid: string) => Promise<unknown> | undefined

/** A syncer whose publisher is a store; what `hold` gives a promise for waits for it. */
async function syncerOf (remote: LinkSystem, budget: AheadBudget, init: { linkSystem?: LinkSystem, hold?: Hold } = {}): Promise<HttpSyncer & { asked: Asked }> {
  const { linkSystem = createLinkSystem(), hold } = init
  const asked: Asked = { texts: [], open: 0 }
  const client: HttpClient = {
    stopped: false,
    async stop () {},
    async request (url, { signal, onBody }) {
      const text = String(url).split('/').pop() as string
      asked.texts.push(text)
      asked.open++
      const { promise, reject } = Promise.withResolvers<never>()
      const abort = (): void => { reject(signal?.reason) }
      signal?.addEventListener('abort', abort)
      try {
        await Promise.race([promise, hold?.(text) ?? turn()])
        const [bytes] = await Array.fromAsync(remote.blockstore.get(CID.parse(text)))
        onBody?.(bytes.length)
        return { status: 200, headers: { get: () => undefined }, body: bytes.slice(), url: String(url) }
      } finally {
        signal?.removeEventListener('abort', abort)
        asked.open--
      }
    }
  }
  const addrs = [multiaddr('/ip4/127.0.0.1/tcp/1/http')]
  const syncer = new HttpSyncer({ linkSystem, client }, { peerId: await randomPeer(), addrs, httpRetry: false, prefetch: budget })
  return Object.assign(syncer, { asked })
}

/** So many blocks of some size, each with these links. */
async function blocks (linkSystem: LinkSystem, count: number, size: number, name: string, links: CID[] = []): Promise<CID[]> {
  return Promise.all(Array.from({ length: count }, async (_, i) => linkSystem.store({ name: `${name} ${i}`, pad: 'x'.repeat(size), links })))
}

/** Until nothing has happened for some turns of the event loop: all that needs no more than turns has been done. */
async function quiet (asked: Asked): Promise<void> {
  for (let still = 0, last = -1; still < 20; still = asked.texts.length === last ? still + 1 : 0) {
    last = asked.texts.length
    await turn()
  }
}

describe('what is fetched ahead', () => {
  it('ends the sync, and nothing else, where the codec of what it links to cannot be had', async () => {
    const remote = createLinkSystem()
    const [leaf] = await blocks(remote, 1, 1, 'leaf')
    const strange = CID.createV1(0x300000, leaf.multihash)
    const parents = [...await blocks(remote, 3, 1, 'plain'), ...await blocks(remote, 3, 1, 'strange', [strange, leaf])]
    const root = await remote.store(parents)
    const linkSystem = createLinkSystem()
    const problem = new Error('the plug-in is not there')
    linkSystem.getCodec = () => { throw problem }
    const budget = new AheadBudget({ requests: 32, bytes: 4096 * KIB })
    const gate = Promise.withResolvers<void>()
    await using syncer = await syncerOf(remote, budget, { linkSystem, hold: text => text === String(parents[0]) ? gate.promise : undefined })
    const seen: string[] = []
    const syncing = syncer.sync(root, ALL, { onBlock: ({ cid }) => { seen.push(String(cid)) } })
    await quiet(syncer.asked) // all of the others have come
    gate.resolve()
    await rejects(inTime(syncing), error => error === problem)
    deepEqual(seen, [root, ...parents.slice(0, 4)].map(String))
    await until(() => budget.inFlight === 0)
    equal(budget.held, 0)
  })

  for (const size of [1, 100_000, 600_000]) {
    it(`by a walk that stands still leaves others half of the budget, however deep it looks (blocks of ${size} bytes)`, async () => {
      const remote = createLinkSystem()
      let links: CID[] = []
      for (let level = 0; level < 8; level++) { links = await blocks(remote, 12, size, `level ${level}`, links) }
      const root = await remote.store(links)
      const budget = new AheadBudget({ requests: 32, bytes: 4096 * KIB })
      await using syncer = await syncerOf(remote, budget)
      const controller = new AbortController()
      const standing = syncer.sync(root, ALL, { signal: controller.signal, onBlock: async () => Promise.withResolvers<never>().promise })
      standing.catch(() => {})
      await quiet(syncer.asked)
      equal(budget.inFlight, 0)
      ok(budget.held > 0 && budget.held <= budget.bytes / 2, `${budget.held} of ${budget.bytes} bytes`)
      controller.abort()
      equal(budget.held, 0)
    })
  }
})
