import { equal } from 'node:assert/strict'
import * as dagCbor from '@ipld/dag-cbor'
import * as dagJson from '@ipld/dag-json'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromString } from '@libp2p/peer-id'
import { MemoryBlockstore } from 'blockstore-core'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { sha256 } from 'multiformats/hashes/sha2'
import { createLinkSystem } from '../../src/index.ts'
import { createNode } from '../../src/testing/node.ts'
import { parseMultiaddrs } from '../../src/shared/multiaddrs.ts'
import type { LinkSystem, PubSub, SyncFinished } from '../../src/index.ts'
import type { Subscriber } from '../../src/subscriber/subscriber.ts'
import { GoPeer } from './go-peer.ts'
import type { GoVersion } from './go-build.ts'
import type { DagJson, PublisherAddress, SyncFinished as GoSyncFinished } from './go-peer.ts'
import type { Block } from './go-transfer.ts'
import type { AbortOptions, Libp2p, PeerId, PeerInfo, PrivateKey } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'

const EVENT_TIMEOUT = 30_000

export const DTSYNC_TOPIC = '/indexer/ingest/interop'

/** What ipnisync goes over, and what the Go peer calls it. */
export const CARRIERS = { streams: 'libp2phttp', http: 'http' } as const
export type Carrier = keyof typeof CARRIERS

/** Bytes of payload of dag-json nodes, up to a block of 3.5 MiB. */
export const PAYLOADS = [1, 2, 1_000, 49_000, 196_608, 786_432, 1_572_864, 2_752_000]

/** What the Go peer says of a publisher, for our subscriber. */
export function infoOf ({ peerId, addrs }: PublisherAddress): PeerInfo {
  return { id: peerIdFromString(peerId), multiaddrs: parseMultiaddrs(addrs) }
}

/** Our publisher or node, for the Go peer. */
export function addressOf (ours: { id: PeerId, addrs (): Multiaddr[] } | Libp2p): PublisherAddress {
  const [id, addrs] = 'peerId' in ours ? [ours.peerId, ours.getMultiaddrs()] : [ours.id, ours.addrs()]
  return { peerId: id.toString(), addrs: addrs.map(String) }
}

/** What a publisher that has both carriers serves on one of them. */
export function onCarrier ({ peerId, addrs }: PublisherAddress, carrier: Carrier): PublisherAddress {
  return { peerId, addrs: addrs.filter(addr => addr.includes('/http') === (carrier === 'http')) }
}

/** host:port of an address. */
export function hostOf (addr: string): string {
  const [, host, port] = /ip4\/([^/]+)\/tcp\/(\d+)/.exec(addr) ?? []
  return `${host}:${port}`
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
export function finishedOf (subscriber: Pick<Subscriber, 'onSyncFinished'>): () => Promise<SyncFinished> {
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

export interface Recorder {
  linkSystem: LinkSystem
  calls: string[]
  blockHook (publisher: PeerId, cid: CID): void
  /** Waits until there are so many calls. */
  reached (count: number): Promise<void>
}

/** A link system that remembers, as text and in order, for which CIDs its hook was called. */
export function recorder (): Recorder {
  const calls: string[] = []
  const waiting: Array<{ count: number, resolve (): void }> = []
  return {
    linkSystem: createLinkSystem(),
    calls,
    blockHook: (_publisher, cid) => {
      calls.push(cid.toString())
      for (const { count, resolve } of waiting) { if (calls.length >= count) { resolve() } }
    },
    reached: async count => {
      if (calls.length >= count) { return }
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const timer = setTimeout(() => { reject(new Error(`${calls.length} of ${count} calls of the hook`)) }, EVENT_TIMEOUT)
      waiting.push({ count, resolve })
      await promise.finally(() => { clearTimeout(timer) })
    }
  }
}

/** What a SyncFinished of the Go peer says, but for its time. */
export function told ({ cid, peerId, count, error }: GoSyncFinished): unknown[] {
  return [cid, peerId, count, error]
}

/** A node of ours for one test: `await using ours = await startNode()`. */
export async function startNode (privateKey?: PrivateKey): Promise<AsyncDisposable & { node: Libp2p }> {
  const node = await createNode(privateKey)
  return { node, async [Symbol.asyncDispose] () { await node.stop() } }
}

/** Blocks whose reads wait, from the one after the next so many, until they are released: our side of the Go peers' `hold`. */
export class HeldBlockstore extends MemoryBlockstore {
  private left = Infinity
  private gate = Promise.withResolvers<void>()
  private reading = Promise.withResolvers<void>()

  /** The promise is of a read that has to wait. */
  hold (after: number): Promise<void> {
    this.left = after
    this.gate = Promise.withResolvers()
    this.reading = Promise.withResolvers()
    return this.reading.promise
  }

  release (): void {
    this.left = Infinity
    this.gate.resolve()
  }

  override async * get (cid: CID, options?: AbortOptions): AsyncGenerator<Uint8Array> {
    if (this.left-- <= 0) {
      this.reading.resolve()
      await this.gate.promise
    }
    yield * super.get(cid, options)
  }
}

/** A node of ours with its key and a store that can be held, beside a Go peer; both end with the test. */
export interface OurSide extends AsyncDisposable {
  go: GoPeer
  node: Libp2p
  privateKey: PrivateKey
  blockstore: HeldBlockstore
  linkSystem: LinkSystem
}

export async function ourSide (version: GoVersion): Promise<OurSide> {
  const privateKey = await generateKeyPair('Ed25519')
  const go = await GoPeer.start(version, { seed: 2 })
  const { node } = await startNode(privateKey)
  const blockstore = new HeldBlockstore()
  return {
    go,
    node,
    privateKey,
    blockstore,
    linkSystem: createLinkSystem({ blockstore }),
    async [Symbol.asyncDispose] () {
      blockstore.release()
      await Promise.all([go.stop(), node.stop()])
    }
  }
}

/** One root with a list of links to raw blocks of these sizes; the root is first. */
export async function storeSizes (linkSystem: LinkSystem, sizes: number[]): Promise<CID[]> {
  const blocks = await Promise.all(sizes.map(async (size, i) => await linkSystem.store(new Uint8Array(size).fill(i + 1), { codec: raw })))
  return [await linkSystem.store({ blocks }, { codec: dagCbor }), ...blocks]
}

/**
 * Entries as a HAMT, in the form of IPLD's HashMap: a node links to `width` nodes, `depth` levels below the root. Dag-json, which
 * goes over HTTP; in the order of a walk. What is in which bucket is made up.
 */
export async function storeHamt (linkSystem: LinkSystem, width: number, depth: number): Promise<CID[]> {
  let leaves = 0
  const store = async (level: number): Promise<CID[]> => {
    const below: CID[][] = []
    if (level < depth) { for (let i = 0; i < width; i++) { below.push(await store(level + 1)) } }
    const bucket = [[new Uint8Array(34).fill(++leaves), true]] // entries are pairs of a key and a value
    const node = [new Uint8Array(32).fill(1), [...below.map(([child]) => child), bucket]]
    const cid = await linkSystem.store(level === 0 ? { hashAlg: 0x12, bucketSize: 3, hamt: node } : node)
    return [cid, ...below.flat()]
  }
  return await store(0)
}

/** A chain of IPNI's entry chunks, the first of which is what an advertisement links to. */
export async function storeEntries (linkSystem: LinkSystem, count: number, seed: string): Promise<CID[]> {
  const chunks: CID[] = []
  for (let i = count; i > 0; i--) {
    const { bytes } = await sha256.digest(Buffer.from(`${seed} ${i}`))
    chunks.unshift(await linkSystem.store({ Entries: [bytes], ...(chunks.length > 0 && { Next: chunks[0] }) }))
  }
  return chunks
}
