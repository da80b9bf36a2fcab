import { describe, it } from 'node:test'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import * as dagJson from '@ipld/dag-json'
import { multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'
import { from } from 'multiformats/hashes/hasher'
import { sha256 } from 'multiformats/hashes/sha2'
import { concat } from '../../src/shared/concat.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { AheadBudget } from '../../src/syncers/httpsync/ahead.ts'
import type { HttpClient } from '../../src/syncers/httpsync/http-client.ts'
import { HttpSyncer } from '../../src/syncers/httpsync/sync.ts'
import type { LinkSystem, Prefetch } from '../../src/shared/types.ts'
import { exploreAll, exploreRecursive, exploreRecursiveEdge } from '../../src/traversal/builders.ts'
import { alive } from '../memory/kit.ts'
import { inTime, randomPeer, until } from '../support/hall.ts'
import { publish } from './httpsync-servers.ts'

const ALL = exploreRecursive({ none: {} }, exploreAll(exploreRecursiveEdge()))
const KIB = 1024
const never = Promise.withResolvers<never>().promise

let decoded = 0

/** dag-json under another code, whose decoding is counted. */
const COUNTED = { ...dagJson, code: 0x300001, name: 'counted', decode: (bytes: any): any => { decoded++; return dagJson.decode(bytes) } }

/** What the blocks of a publisher are asked for by. */
interface Asked {
  /** In order; some may come twice. */
  texts: string[]

  /** Requests under way. */
  open: number
}

type Hold = (cid: string) => Promise<unknown> | undefined

/** A syncer whose publisher is a store; what `hold` gives a promise for waits for it. */
async function syncerOf (
  remote: LinkSystem, prefetch: Prefetch, init: { linkSystem?: LinkSystem, hold?: Hold } = {}
): Promise<HttpSyncer & { asked: Asked }> {
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
  const syncer = new HttpSyncer({ linkSystem, client }, { peerId: await randomPeer(), addrs, httpRetry: false, prefetch })
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
    const hold: Hold = text => text === String(parents[0]) ? gate.promise : undefined
    await using syncer = await syncerOf(remote, budget, { linkSystem, hold })
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
      const standing = syncer.sync(root, ALL, { signal: controller.signal, onBlock: async () => never })
      standing.catch(() => {})
      await quiet(syncer.asked)
      equal(budget.inFlight, 0)
      ok(budget.held > 0 && budget.held <= budget.bytes / 2, `${budget.held} of ${budget.bytes} bytes`)
      controller.abort()
      equal(budget.held, 0)
    })
  }

  it('is asked for once where the first blocks have told how large they are', async () => {
    const remote = createLinkSystem()
    const large = await blocks(remote, 30, 600_000, 'large')
    const second = await remote.store(large)
    const parents = [...await blocks(remote, 2, 600_000, 'first'), second]
    const root = await remote.store(parents)
    const gate = Promise.withResolvers<void>()
    const budget = new AheadBudget({ requests: 32, bytes: 8192 * KIB })
    await using syncer = await syncerOf(remote, budget, { hold: text => text === String(parents[0]) ? gate.promise : undefined })
    const syncing = syncer.sync(root, ALL)
    await quiet(syncer.asked)
    ok(syncer.asked.texts.length > 5, `only ${syncer.asked.texts.length} requests`)
    gate.resolve()
    await inTime(syncing)
    deepEqual(syncer.asked.texts.toSorted(), [root, ...parents, ...large].map(String).sort())
  })

  it('is asked for once where it comes zipped, and all of it together', async () => {
    const remote = createLinkSystem()
    const leaves = await blocks(remote, 12, 100_000, 'leaf')
    const root = await remote.store(leaves)
    const gate = Promise.withResolvers<void>()
    const asked: string[] = []
    const answer = async (text: string): Promise<Uint8Array> => {
      const [bytes] = await Array.fromAsync(remote.blockstore.get(CID.parse(text)))
      if (text !== String(root)) { await gate.promise }
      return promisify(gzip)(bytes)
    }
    await using publisher = await publish(remote, root, (text, res) => {
      asked.push(text)
      res.setHeader('Content-Encoding', 'gzip')
      void answer(text).then(body => { res.end(body) }, () => { res.destroy() })
      return true
    })
    const { peerId, addr } = publisher
    await using syncer = new HttpSyncer({ linkSystem: createLinkSystem() }, { peerId, addrs: [addr], httpRetry: false })
    const syncing = syncer.sync(root, ALL)
    syncing.catch(() => {})
    await until(() => asked.length === 1 + leaves.length)
    gate.resolve()
    await inTime(syncing)
    deepEqual(asked.toSorted(), [root, ...leaves].map(String).sort())
  })

  it('is looked into at no more than 64 blocks of one walk, whose links are kept', async () => {
    const remote = createLinkSystem({ codecs: [COUNTED] })
    const leaf = await remote.store('leaf')
    const parents = await Promise.all(Array.from({ length: 100 }, async (_, i) => remote.store([leaf, i], { codec: COUNTED })))
    const linkSystem = createLinkSystem({ codecs: [COUNTED] })
    const root = await linkSystem.store([leaf, ...parents])
    const gate = Promise.withResolvers<void>()
    const budget = new AheadBudget({ requests: 220, bytes: 65_536 * KIB })
    await using syncer = await syncerOf(remote, budget, { linkSystem, hold: text => text === String(leaf) ? undefined : gate.promise })
    decoded = 0
    const controller = new AbortController()
    const onBlock = async ({ cid }: { cid: CID }): Promise<void> => { if (cid.equals(leaf)) { await never } }
    void syncer.sync(root, ALL, { signal: controller.signal, onBlock }).catch(() => {})
    await until(() => syncer.asked.open === parents.length)
    budget.inFlight += budget.requests // another walk has all of them now: nothing below is asked for
    gate.resolve()
    await until(() => budget.inFlight === budget.requests)
    equal(decoded, 64)
    controller.abort()
  })

  it('is never taken for another block, however long the CIDs are that begin alike', async () => {
    // 300 bytes, of which the digests of two blocks have all but the last ones in common.
    const long = from({ name: 'long', code: 0x300002, encode: async bytes => concat([new Uint8Array(268), await sha256.encode(bytes)]) as Uint8Array<ArrayBuffer> })
    const remote = createLinkSystem({ hashers: [long] })
    const [near, far] = await Promise.all([1, 2].map(async leaf => remote.store({ leaf }, { hasher: long })))
    const root = await remote.store([await remote.store('first'), await remote.store([near]), far])
    const linkSystem = createLinkSystem({ hashers: [long] })
    await using syncer = await syncerOf(remote, { requests: 32, bytes: 4096 * KIB }, { linkSystem })
    await inTime(syncer.sync(root, ALL))
    deepEqual([await linkSystem.load(near), await linkSystem.load(far)], [{ leaf: 1 }, { leaf: 2 }])
  })

  it('is let go of when the sync is aborted, also where onBlock never returns', async () => {
    const remote = createLinkSystem()
    const parents = await blocks(remote, 12, 300_000, 'parent', await blocks(remote, 2, 1, 'leaf'))
    const linkSystem = createLinkSystem()
    const root = await linkSystem.store(parents)
    const gate = Promise.withResolvers<void>()
    const budget = new AheadBudget({ requests: 32, bytes: 16_384 * KIB })
    await using syncer = await syncerOf(remote, budget, { linkSystem, hold: async () => gate.promise })
    const controller = new AbortController()
    const before = await alive()
    const syncing = syncer.sync(root, ALL, { signal: controller.signal, onBlock: async () => never })
    void syncing.catch(() => {})
    await until(() => syncer.asked.open === parents.length)
    budget.inFlight += budget.requests // another walk has all of them now: what is below waits, too
    gate.resolve()
    await until(() => budget.inFlight === budget.requests)
    const ahead = await alive() - before
    ok(ahead > 3, `only ${ahead} MiB are ahead`)
    controller.abort()
    const left = await alive() - before
    ok(left < 0.5, `${left} MiB are left`)
  })

  for (const when of ['before', 'when']) {
    it(`is not what the walk has left behind, where a hook deletes it, below a block that came ${when} the walk was there`, async () => {
      const remote = createLinkSystem()
      const leaves = await blocks(remote, 20, 60_000, 'leaf')
      const parents = await Promise.all([0, 1, 2, 3].map(async i => remote.store({ links: leaves.slice(i * 5, i * 5 + 5) })))
      const first = await remote.store('first')
      const root = await remote.store([first, ...parents])
      const gates = new Map([first, parents[0]].map(cid => [String(cid), Promise.withResolvers<void>()]))
      const linkSystem = createLinkSystem()
      const hold: Hold = text => gates.get(text)?.promise
      // Room for some leaves only: those of another parent have it when the first one comes.
      await using syncer = await syncerOf(remote, { requests: 32, bytes: 600_000 }, { linkSystem, hold })
      const onBlock = async ({ cid }: { cid: CID }): Promise<void> => {
        await linkSystem.blockstore.delete(cid)
        await quiet(syncer.asked)
      }
      const syncing = syncer.sync(root, ALL, { onBlock })
      await quiet(syncer.asked)
      for (const cid of when === 'before' ? [parents[0], first] : [first, parents[0]]) {
        gates.get(String(cid))?.resolve()
        await quiet(syncer.asked)
      }
      await inTime(syncing)
      deepEqual(syncer.asked.texts.toSorted(), [root, first, ...parents, ...leaves].map(String).sort())
    })
  }

  it('is let go of when the walk has been there', async () => {
    const remote = createLinkSystem()
    const leaves = await blocks(remote, 40, 500_000, 'leaf')
    const root = await remote.store(leaves)
    const linkSystem = createLinkSystem()
    await using syncer = await syncerOf(remote, new AheadBudget({ requests: 8, bytes: 4096 * KIB }), { linkSystem })
    const before = await alive()
    let left = 0
    const onBlock = async ({ cid }: { cid: CID }): Promise<void> => {
      await linkSystem.blockstore.delete(cid)
      if (cid.equals(leaves[39])) { left = await alive() - before }
    }
    await inTime(syncer.sync(root, ALL, { onBlock }))
    ok(left < 4, `${left} MiB`)
  })

  it('is so with a budget of the syncer\'s own, of which its syncs take their parts', async () => {
    const remote = createLinkSystem()
    const trees = await Promise.all(['a', 'b'].map(async name => {
      const leaves = await blocks(remote, 30, 1, name)
      return { first: String(leaves[0]), root: await remote.store(leaves) }
    }))
    const gate = Promise.withResolvers<void>()
    const hold: Hold = text => trees.some(({ root }) => text === String(root)) ? undefined : gate.promise
    await using syncer = await syncerOf(remote, { requests: 16, bytes: 4096 * KIB }, { hold })
    const first = syncer.sync(trees[0].root, ALL)
    await quiet(syncer.asked)
    const half = syncer.asked.open
    const second = syncer.sync(trees[1].root, ALL)
    await quiet(syncer.asked)
    deepEqual([half, syncer.asked.open], [8, 8 + 4])
    gate.resolve()
    await inTime(Promise.all([first, second]))
  })
})
