// What the announce tests share: CIDs, peers, the vectors, a pubsub network without wires, and nodes with one.
import { readFileSync } from 'node:fs'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { sha256 } from 'multiformats/hashes/sha2'
import { gossipsubInit } from '../../src/announce/index.ts'
import type { PubSub } from '../../src/announce/index.ts'
import type { GossipSub, GossipsubOpts } from '@libp2p/gossipsub'
import type { Libp2p, PeerId } from '@libp2p/interface'

export const TOPIC = '/indexer/ingest/test'

export function vectors (name: string): any {
  return JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), 'utf8'))
}

export const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'))
export const toBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

export async function cids (count: number, seed = 'cid'): Promise<CID[]> {
  return await Promise.all(Array.from({ length: count }, async (_, i) => {
    return CID.createV1(raw.code, await sha256.digest(new TextEncoder().encode(`${seed} ${i}`)))
  }))
}

export async function newPeer (): Promise<PeerId> {
  return peerIdFromPrivateKey(await generateKeyPair('Ed25519'))
}

/** A pubsub service on a network of its kind: what is published is there at once. */
export class FakePubSub extends EventTarget implements PubSub {
  readonly peerId: PeerId
  readonly network: FakePubSub[]
  readonly topics = new Set<string>()
  readonly published: Uint8Array[] = []

  constructor (peerId: PeerId, network: FakePubSub[] = []) {
    super()
    this.peerId = peerId
    this.network = network
    network.push(this)
  }

  override addEventListener (type: string, listener: any): void { super.addEventListener(type, listener) }
  override removeEventListener (type: string, listener: any): void { super.removeEventListener(type, listener) }
  subscribe (topic: string): void { this.topics.add(topic) }
  unsubscribe (topic: string): void { this.topics.delete(topic) }
  getTopics (): string[] { return [...this.topics] }

  getSubscribers (topic: string): PeerId[] {
    return this.network.filter(peer => peer !== this && peer.topics.has(topic)).map(peer => peer.peerId)
  }

  async publish (topic: string, data: Uint8Array): Promise<{ recipients: PeerId[] }> {
    this.published.push(data)
    for (const peer of this.network) {
      if (peer !== this && peer.topics.has(topic)) { peer.receive({ type: 'signed', topic, from: this.peerId, data }) }
    }
    return { recipients: this.getSubscribers(topic) }
  }

  receive (detail: unknown): void {
    this.dispatchEvent(new CustomEvent('message', { detail }))
  }
}

export type Node = Libp2p<{ pubsub: GossipSub }>

export async function newNode (t: { after (fn: () => Promise<void>): void }, opts?: Partial<GossipsubOpts>): Promise<Node> {
  const node = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [tls(), noise()],
    streamMuxers: [yamux()],
    services: { identify: identify(), pubsub: gossipsub({ ...gossipsubInit(), ...opts }) }
  })
  t.after(async () => { await node.stop() })
  return node
}

/** Resolves when `check` holds; asks each time that the event comes, and now. */
export async function when (target: EventTarget, event: string, check: () => boolean): Promise<void> {
  if (check()) { return }
  await new Promise<void>(resolve => {
    const listener = (): void => {
      if (!check()) { return }
      target.removeEventListener(event, listener)
      resolve()
    }
    target.addEventListener(event, listener)
  })
}

export async function subscribed (node: Node, to: Node, topic = TOPIC): Promise<void> {
  await when(node.services.pubsub as any, 'subscription-change', () => {
    return node.services.pubsub.getSubscribers(topic).some(peer => peer.equals(to.peerId))
  })
}
