// What Go's clients did against a test server, and what ours does against the same one. Where ours differs on purpose the
// difference is a named expectation here.

import { describe, it } from 'node:test'
import { deepEqual, equal, ok } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { createHttpSyncer } from '../../src/syncers/index.ts'
import { exploreAll, exploreFields, exploreRecursive, exploreRecursiveEdge } from '../../src/traversal/builders.ts'
import { addrOf, closedPort, publish } from './httpsync-servers.ts'
import type { HttpStatusError, LinkSystem, SelectorNode, SyncerSyncOptions } from '../../src/syncers/index.ts'
import type { TestPublisher } from './httpsync-servers.ts'

interface Request { url: string, headers: Record<string, string>, status: number }
interface Vector { name: string, requests: Request[], blockHook: string[], stored?: string[], localBlocks?: string[], error: string | null }

const read = (version: string): Vector[] => JSON.parse(readFileSync(`test/vectors/http-client-v${version}.json`, 'utf8'))
const isWellKnown = ({ url }: Request): boolean => url.startsWith('/.well-known/')

const all = (stopAt?: CID, depth?: number): SelectorNode =>
  exploreRecursive(depth == null ? { none: {} } : { depth }, exploreAll(exploreRecursiveEdge()), stopAt)

interface Run { hook: string[], requests: Request[], error?: Error }

/** What a sync does, with the requests as the vectors have them. */
async function run (
  publisher: TestPublisher, addrs: string[], head: boolean, steps: Array<[CID, SelectorNode, SyncerSyncOptions?]>, linkSystem: LinkSystem
): Promise<Run> {
  const { peerId, requests, headers } = publisher
  await using syncer = createHttpSyncer({ linkSystem }, { peerId, addrs: addrs.map(addr => multiaddr(addr)), httpRetry: false })
  const result: Run = { hook: [], requests: [] }
  try {
    if (head) { await syncer.head() }
    for (const [root, selector, options] of steps) {
      await syncer.sync(root, selector, { ...options, onBlock: ({ cid }) => { result.hook.push(cid.toString()) } })
    }
  } catch (err) {
    result.error = err as Error
  }
  result.requests = requests.map((request, i) => ({ url: request.split(' ')[1], headers: headers[i] as Record<string, string>, status: 0 }))
  return result
}

describe('http-client-v0.3.2.json', async () => {
  const vectors = read('0.3.2')
  // The vectors hold no blocks: ours are a chain of the same shape, told by their place in it.
  const theirs = vectors[0].blockHook
  const source = createLinkSystem()
  const ours: CID[] = []
  for (let i = 0; i < theirs.length; i++) { ours.unshift(await source.store({ Index: i, ...(i === 0 ? {} : { Previous: ours[0] }) })) }
  const mine = (cid: string): string => ours[theirs.indexOf(cid)].toString()

  for (const vector of vectors) {
    it(vector.name, async () => {
      const bad = vector.requests.find(({ status }) => status >= 400)
      await using publisher = await publish(source, ours[0], (resource, res, req) => {
        if (bad != null && resource === mine(bad.url.slice(1))) {
          res.writeHead(bad.status).end()
        } else if (vector.name.startsWith('wrong content') && resource === ours[2].toString()) {
          res.end('{}')
        } else if (vector.name.startsWith('redirect') && req.url === '/ipni/v1/ad/head') {
          res.writeHead(302, { location: '/other/head' }).end()
        } else {
          return false
        }
        return true
      })
      const closed = await closedPort()
      const addr = addrOf(publisher, vector.name === 'address with path' ? 'a/b' : '').toString()
      const addrs = vector.name.startsWith('first address') ? [`/ip4/127.0.0.1/tcp/${closed}/http`, addr] : [addr]
      const store = createLinkSystem()
      for (const cid of vector.localBlocks ?? []) { await store.store(await source.load(CID.parse(mine(cid)))) }
      const selector = vector.name.startsWith('stop') ? all(ours[2]) : vector.name.startsWith('depth') ? all(undefined, 2) : all()
      const result = await run(publisher, addrs, true, [[ours[0], selector]], store)

      // Difference: the path of today, which a publisher of v0.3.2 takes too, as it looks at the last segment only.
      const base = vector.name === 'address with path' ? '/a/b' : ''
      deepEqual(result.requests.map(({ url }) => url), vector.requests.map(({ url }) => {
        const resource = url.slice(base.length + 1)
        return resource === 'other/head' ? '/other/head' : `${base}/ipni/v1/ad/${resource === 'head' ? 'head' : mine(resource)}`
      }))
      for (const cid of ours) { equal(await store.has(cid), vector.stored?.some(stored => mine(stored) === cid.toString())) }
      equal(result.error == null, vector.error == null)
      if (vector.error == null) {
        deepEqual(result.hook, vector.blockHook.map(mine))
      } else {
        // Difference: the hook is called as blocks come, so also for those before the failure.
        deepEqual(vector.blockHook, [])
        deepEqual(result.hook, ours.slice(0, 2).map(String))
        const name = bad?.status === 404 ? 'ContentNotFoundError' : bad?.status === 500 ? 'HttpStatusError' : 'HashMismatchError'
        equal(result.error?.name, name)
      }
      for (const { headers } of result.requests) {
        equal(headers['accept-encoding'], 'gzip')
        // Differences: another user agent, and no Referer after a redirect.
        ok(headers['user-agent'].startsWith('dagsync/'))
        equal(headers.referer, undefined)
      }
    })
  }
})

describe('http-client-v0.7.8.json', async () => {
  const vectors = read('0.7.8')
  const source = createLinkSystem()
  const entries = await source.store({ Entries: ['x'] })
  const previous = await source.store({ Entries: entries })
  const head = await source.store({ Entries: entries, PreviousID: previous })
  const [theirHead, theirEntries, theirPrevious] = vectors[0].blockHook
  const ours: Record<string, CID> = { [theirHead]: head, [theirEntries]: entries, [theirPrevious]: previous }
  const mine = (path: string): string => path.replace(/bagu\w+/, cid => ours[cid].toString())

  for (const vector of vectors) {
    it(vector.name, async () => {
      const asked = vector.requests.filter(request => !isWellKnown(request))
      const known = new Map(asked.map(({ url, status }) => [mine(url), status]))
      const otherwise = vector.requests.find(({ status }) => status >= 400)?.status ?? 404
      await using publisher = await publish(source, head, (_, res, req) => {
        const status = known.get(req.url ?? '') ?? otherwise
        if (status !== 200) { res.writeHead(status).end() }
        return status !== 200
      })
      const path = asked[0].url.split('/').slice(1, asked[0].url.split('/').indexOf('ipni')).join('/')
      const isMapped = vector.name.startsWith('well-known')
      const isSubscriber = vector.name.startsWith('Subscriber')
      const ads = exploreRecursive({ none: {} }, exploreFields({ PreviousID: exploreRecursiveEdge() }))
      const steps: Array<[CID, SelectorNode, SyncerSyncOptions?]> = isSubscriber
        ? [[head, ads, { schemaType: 'Advertisement' }], [entries, all(), { schemaType: 'EntryChunk' }]]
        : [[head, all()]]
      const result = await run(publisher, [addrOf(publisher, isMapped ? '' : path).toString()], true, steps, createLinkSystem())

      if (isMapped) {
        // Difference: nobody is asked where the protocol is mapped to; no publisher in the field maps it elsewhere.
        equal(result.error?.name, 'HeadQueryError')
        deepEqual(result.requests.map(({ url }) => url), ['/ipni/v1/ad/head'])
        return
      }
      // Difference: no well-known requests. All else is as in Go: the same requests in the same order.
      deepEqual(result.requests.map(({ url }) => url), asked.map(({ url }) => mine(url)))
      deepEqual(result.hook, vector.blockHook.map(mine))
      if (vector.error != null) {
        equal(result.error?.name, 'HeadQueryError')
        const { name, status } = result.error?.cause as HttpStatusError
        deepEqual([name, status], ['HttpStatusError', 400])
        return
      }
      equal(result.error, undefined)
      // Difference: the hint is given wherever the field says what a link leads to, not only by the Subscriber.
      deepEqual(result.requests.map(({ headers }) => headers['ipni-cid-schema-type']), asked.map(({ url, headers }) =>
        isSubscriber ? headers['Ipni-Cid-Schema-Type'] : url.endsWith(theirEntries) ? 'EntryChunk' : url.endsWith(theirPrevious) ? 'Advertisement' : undefined))
    })
  }
})
