import { equal } from 'node:assert/strict'
import * as dagJson from '@ipld/dag-json'
import { peerIdFromString } from '@libp2p/peer-id'
import { CID } from 'multiformats/cid'
import { createLinkSystem } from '../../src/index.ts'
import { parseMultiaddrs } from '../../src/shared/multiaddrs.ts'
import type { LinkSystem, PubSub, SyncFinished } from '../../src/index.ts'
import type { Subscriber } from '../../src/subscriber/subscriber.ts'
import type { DagJson, GoPeer, PublisherAddress } from './go-peer.ts'
import type { Block } from './go-transfer.ts'
import type { Libp2p, PeerId, PeerInfo } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'

const EVENT_TIMEOUT = 30_000

export const DTSYNC_TOPIC = '/indexer/ingest/interop'

/** What the Go peer says of a publisher, for our subscriber. */
export function infoOf ({ peerId, addrs }: PublisherAddress): PeerInfo {
  return { id: peerIdFromString(peerId), multiaddrs: parseMultiaddrs(addrs) }
}

/** Our publisher or node, for the Go peer. */
export function addressOf (ours: { id: PeerId, addrs (): Multiaddr[] } | Libp2p): PublisherAddress {
  const [id, addrs] = 'peerId' in ours ? [ours.peerId, ours.getMultiaddrs()] : [ours.id, ours.addrs()]
  return { peerId: id.toString(), addrs: addrs.map(String) }
}

/** A selector or voucher, as it goes into a JSON line. */
export function asDagJson (node: unknown): DagJson {
  return JSON.parse(Buffer.from(dagJson.encode(node)).toString())
}

export async function bytesOf (linkSystem: LinkSystem, cid: CID | string): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of linkSystem.blockstore.get(typeof cid === 'string' ? CID.parse(cid) : cid)) { chunks.push(chunk) }
  return Buffer.concat(chunks)
}

/** Our blocks, for the Go peer. */
export async function blocksOf (linkSystem: LinkSystem, cids: string[]): Promise<Block[]> {
  return await Promise.all(cids.map(async cid => ({ cid, bytes: (await bytesOf(linkSystem, cid)).toString('base64') })))
}

/** A Go peer of either kind. */
interface Getter { call (cmd: 'get', args: { cid: string }): Promise<string | null> }

/** Every block is in both stores, with the same bytes. */
export async function sameBlocks (go: Getter, linkSystem: LinkSystem, cids: string[]): Promise<void> {
  for (const cid of cids) {
    equal((await bytesOf(linkSystem, cid)).toString('base64'), await go.call('get', { cid }), cid)
  }
}

/** Takes blocks of the Go peer into a store. */
export async function copyBlocks (go: GoPeer, linkSystem: LinkSystem, cids: string[]): Promise<void> {
  for (const cid of cids) {
    await linkSystem.put(CID.parse(cid), Buffer.from(await go.call('get', { cid }) ?? '', 'base64'))
  }
}

export async function hasBlocks (linkSystem: LinkSystem, cids: string[]): Promise<boolean[]> {
  return await Promise.all(cids.map(async cid => await linkSystem.has(CID.parse(cid))))
}

/** Listens from now on; each call gives the next event. */
export function finishedOf (subscriber: Subscriber): () => Promise<SyncFinished> {
  const events = subscriber.onSyncFinished({ signal: AbortSignal.timeout(EVENT_TIMEOUT) })
  return async () => {
    const { value, done } = await events.next()
    if (done === true) { throw new Error('no SyncFinished came') }
    return value
  }
}

/** Waits until the peer is known to be subscribed to the topic. */
export async function subscribed (node: Libp2p<any>, topic: string, peerId: string): Promise<void> {
  const pubsub: PubSub & EventTarget = node.services.pubsub
  const known = (): boolean => pubsub.getSubscribers(topic).some(id => id.toString() === peerId)
  await new Promise<void>((resolve, reject) => {
    const look = (): void => { if (known()) { finish(resolve) } }
    const timer = setTimeout(() => { finish(() => { reject(new Error(`${peerId} did not subscribe`)) }) }, EVENT_TIMEOUT)
    const finish = (how: () => void): void => {
      clearTimeout(timer)
      pubsub.removeEventListener('subscription-change', look)
      how()
    }
    pubsub.addEventListener('subscription-change', look)
    look()
  })
}

/** A link system that remembers, as text and in order, for which CIDs its hook was called. */
export function recorder (): { linkSystem: LinkSystem, calls: string[], blockHook: (publisher: PeerId, cid: CID) => void } {
  const calls: string[] = []
  return { linkSystem: createLinkSystem(), calls, blockHook: (_publisher, cid) => { calls.push(cid.toString()) } }
}
