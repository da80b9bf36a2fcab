// What a sync of our subscriber has to bring, whatever it goes over.
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { CID } from 'multiformats/cid'
import { dagsyncSelector, recursionLimitNone } from '../../src/traversal/index.ts'
import type { LinkSystem } from '../../src/index.ts'
import type { Subscriber } from '../../src/subscriber/subscriber.ts'
import type { PeerInfo } from '@libp2p/interface'
import type { GoPeer } from './go-peer.ts'
import { finishedOf, recorder, sameBlocks } from './support.ts'
import type { Recorder } from './support.ts'

const IN_TIME = 30_000

/** A sync of the subscriber, which has the recorder's parts, brings the whole chain of the Go peer: blocks, hook, latest and event. */
export async function syncsWhole (
  go: GoPeer, publisher: PeerInfo, subscriber: Subscriber, { linkSystem, calls }: Recorder, { cids, head }: { cids: string[], head: string }
): Promise<void> {
  const finished = finishedOf(subscriber)
  equal((await subscriber.sync(publisher))?.toString(), head)
  deepEqual(calls, cids)
  await sameBlocks(go, linkSystem, cids)
  equal((await subscriber.getLatestSync(publisher.id))?.toString(), head)
  const { cid, peerId, count, error } = await finished()
  deepEqual([cid.toString(), peerId.toString(), count, error], [head, go.peerId, cids.length, undefined])
}

/** So many parts of a chain of the Go peer, of 4 blocks each, come at once; then one part, 50 times at once. */
export async function syncsPartsAtOnce (
  go: GoPeer, publisher: PeerInfo, subscriber: Subscriber, linkSystem: LinkSystem, cids: string[]
): Promise<void> {
  const part = async (from: number, to: number): Promise<string[]> => {
    const { calls, blockHook } = recorder()
    const selector = dagsyncSelector(recursionLimitNone, to < cids.length ? CID.parse(cids[to]) : undefined)
    await subscriber.sync(publisher, { cid: CID.parse(cids[from]), selector, blockHook })
    return calls
  }
  const parts = Array.from({ length: cids.length / 4 }, (_, i) => i * 4)
  deepEqual(await Promise.all(parts.map(async from => await part(from, from + 4))), parts.map(from => cids.slice(from, from + 4)))
  await sameBlocks(go, linkSystem, cids)

  const { cids: fresh } = await go.call('chain', { count: 20, payload: 2_000, seed: 1, list: true })
  cids.unshift(...fresh)
  const once = parts.slice(0, 50)
  deepEqual(await Promise.all(once.map(async () => await part(0, 20))), once.map(() => fresh))
}

/**
 * The subscriber, which has the recorder's parts, gives up on a Go peer that is frozen in the middle of its chain, and syncs all of it
 * when that goes on.
 */
export async function givesUpOnFrozen (
  go: GoPeer, publisher: PeerInfo, subscriber: Subscriber, { calls, reached }: Recorder, cids: string[]
): Promise<void> {
  await go.call('hold', { after: 10 })
  const begin = performance.now()
  const syncing = subscriber.sync(publisher).then(() => undefined, error => error)
  await Promise.all([reached(10), go.event('held')])
  await go.kill('SIGSTOP')
  const { name } = await syncing
  ok(['StalledError', 'TimeoutError', 'TransferFailedError'].includes(name), name)
  ok(performance.now() - begin < IN_TIME)
  deepEqual(calls, cids.slice(0, 10))

  await go.kill('SIGCONT')
  await go.call('release', {})
  calls.length = 0
  await subscriber.sync(publisher)
  deepEqual(calls, cids)
}

/** A sync that is aborted in the middle, and followed by another one at once, three times: the hook sees each block once in each. */
export async function syncsAfterAbort (
  go: GoPeer, publisher: PeerInfo, subscriber: Subscriber, { linkSystem, calls, reached }: Recorder, cids: string[]
): Promise<void> {
  for (let round = 1; round <= 3; round++) {
    calls.length = 0
    await go.call('hold', { after: 10 })
    const controller = new AbortController()
    const syncing = rejects(subscriber.sync(publisher, { signal: controller.signal }), { name: 'AbortError' })
    await Promise.all([reached(10), go.event('held')])
    controller.abort()
    await syncing
    deepEqual(calls, cids.slice(0, 10))

    calls.length = 0
    const again = subscriber.sync(publisher, { cid: CID.parse(cids[0]) })
    await go.call('release', {})
    await again
    deepEqual(calls, cids)
    await Promise.all(cids.map(async cid => { await linkSystem.blockstore.delete(CID.parse(cid)) }))
  }
}
