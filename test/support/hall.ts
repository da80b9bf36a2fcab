// What the tests of the subscriber hall share.
import { once } from 'node:events'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Libp2p, PeerId } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import * as dagJson from '@ipld/dag-json'
import { CID } from 'multiformats/cid'
import { sha256 } from 'multiformats/hashes/sha2'
import type { BlockHook, PubSub, SegmentSyncActions, SyncFinished } from '../../src/shared/types.ts'

export const TOPIC = '/dagsync/testtopic'

/** The next event of a reader; a test that would hang fails instead. */
export async function next (events: AsyncGenerator<SyncFinished, void>, ms = 20_000): Promise<SyncFinished> {
  const { value, done } = await inTime(events.next(), ms)
  if (done === true) { throw new Error('the reader ended') }
  return value
}

/** Fails when work takes too long. */
export async function inTime<T> (work: Promise<T>, ms = 20_000): Promise<T> {
  let timer
  const late = new Promise<never>((_resolve, reject) => { timer = setTimeout(() => { reject(new Error(`not within ${ms} ms`)) }, ms) })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Waits until the condition holds. */
export async function until (condition: () => boolean | Promise<boolean>, ms = 20_000): Promise<void> {
  const end = performance.now() + ms
  while (!await condition()) {
    if (performance.now() > end) { throw new Error(`not within ${ms} ms: ${condition}`) }
    await new Promise(resolve => setTimeout(resolve, 2))
  }
}

/** What a reader has got when it ends. */
export async function rest (events: AsyncGenerator<SyncFinished, void>): Promise<SyncFinished[]> {
  return inTime(Array.fromAsync(events))
}

/** A hook that waits at each call until it is let go. */
export interface Gate {
  hook: BlockHook

  /** The next call that waits. */
  arrival(): Promise<{ peerId: PeerId, cid: CID, actions: SegmentSyncActions, open(): void }>

  /** Calls so far. */
  calls: CID[]

  /** Lets go all calls, also those to come. */
  openAll(): void
}

export function gate (): Gate {
  type Arrival = Awaited<ReturnType<Gate['arrival']>>
  const arrived: Arrival[] = []
  const waiting: Array<(arrival: Arrival) => void> = []
  const calls: CID[] = []
  const open = Promise.withResolvers<void>()
  return {
    calls,
    openAll: open.resolve,
    async hook (peerId, cid, actions) {
      calls.push(cid)
      const own = Promise.withResolvers<void>()
      const arrival = { peerId, cid, actions, open: own.resolve }
      const waiter = waiting.shift()
      if (waiter == null) { arrived.push(arrival) } else { waiter(arrival) }
      await Promise.race([own.promise, open.promise])
    },
    async arrival () {
      return arrived.shift() ?? inTime(new Promise(resolve => { waiting.push(resolve) }))
    }
  }
}

/** A hook that notes what it gets. */
export function recorder (): { hook: BlockHook, cids: CID[], texts(): string[] } {
  const cids: CID[] = []
  return { cids, hook: (_peerId, cid) => { cids.push(cid) }, texts: () => cids.map(String) }
}

export async function randomPeer (): Promise<PeerId> {
  return peerIdFromPrivateKey(await generateKeyPair('Ed25519'))
}

/** The CID of a dag-json block that nobody has. */
export async function randomCid (): Promise<CID> {
  return CID.createV1(dagJson.code, await sha256.digest(crypto.getRandomValues(new Uint8Array(32))))
}

/** Numbers from 0 to 1, the same for the same seed. */
export function random (seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

export function pubsubOf (node: Libp2p<any>): PubSub & EventTarget {
  return node.services.pubsub
}

/** Waits until the node knows that the other one is subscribed. */
export async function subscribed (node: Libp2p<any>, other: Libp2p<any>, topic = TOPIC): Promise<void> {
  const pubsub = pubsubOf(node)
  while (!pubsub.getSubscribers(topic).some(peer => peer.equals(other.peerId))) {
    await inTime(once(pubsub, 'subscription-change'))
  }
}
