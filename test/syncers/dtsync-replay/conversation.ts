import { readFileSync } from 'node:fs'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import type { LinkAction } from '../../../src/shared/types/graphsync.ts'
import { encodeGraphsyncMessage } from '../../../src/wire/graphsync/message.ts'
import { framed } from '../../wire/graphsync/raw-peer.ts'
import { fakePublisherFile, fromBase64, recording, transcriptFile, unframe } from '../../wire/graphsync/replay.ts'
import type { Recording } from '../../wire/graphsync/replay.ts'

// A recorded conversation of Go's dtsync with all that was said, on every stream.

export type Side = 'publisher' | 'subscriber'
export type Wire = 'graphsync' | 'transfer' | 'head'

export interface Event {
  from: Side

  /** The same number at both ends. */
  stream: number
  wire?: Wire
  protocol: string
  event: string
  bytes: Uint8Array

  /** What a test did, or a hook call, where nothing went over the wire. */
  note: string
}

export interface Conversation extends Recording {
  topic: string

  /** Ed25519, from the seeds that the peers had in Go, so that the peer ids are theirs. */
  keys: Record<Side, PrivateKey>
  events: Event[]
}

const WIRES: Array<[RegExp, Wire]> = [
  [/^\/ipfs\/graphsync\//, 'graphsync'], [/^\/fil\/datatransfer\//, 'transfer'], [/^\/legs\/head\//, 'head']
]

async function conversation (json: any): Promise<Conversation> {
  return {
    ...recording(json),
    topic: json.topic ?? transcriptFile('success').topic,
    keys: { publisher: await key(1), subscriber: await key(2) },
    events: json.events.map(({ from, stream, protocol = '', event, bytes = '', note = '' }: any) => ({
      from, stream, protocol, event, note, wire: WIRES.find(([pattern]) => pattern.test(protocol))?.[1], bytes: fromBase64(bytes)
    }))
  }
}

/** The seeds that README.md of the vectors names. */
async function key (seed: number): Promise<PrivateKey> {
  return await generateKeyPairFromSeed('Ed25519', new Uint8Array(32).fill(seed))
}

export async function transcriptOf (name: string): Promise<Conversation> {
  const json = transcriptFile(name)
  return await conversation(name === 'big-blocks' ? withBigBlocks(json) : json)
}

export const fakePublisherNames: string[] = fakePublisherFile.map(({ name }) => name)

export async function fakePublisherCase (name: string): Promise<Conversation> {
  return await conversation(fakePublisherFile.find(json => json.name === name))
}

/** What a side said on a wire: graphsync messages without their length, bodies of data transfer streams (empty: a probe), text of HTTP. */
export function said ({ events }: Conversation, from: Side, wire: Wire): Uint8Array[] {
  const own = events.filter(event => event.from === from && event.wire === wire)
  if (wire === 'graphsync') { return own.filter(({ event }) => event === 'write').map(({ bytes }) => unframe(bytes)) }
  if (wire === 'head') { return own.filter(({ event }) => event === 'write').map(({ bytes }) => bytes) }
  return own.filter(({ event }) => event === 'open').map(({ stream }) => {
    const writes = own.filter(one => one.stream === stream && one.event === 'write')
    return new Uint8Array(Buffer.concat(writes.map(({ bytes }) => bytes)))
  })
}

/** The file leaves out the bytes of its blocks: they are zeros, one, two, ... of 200 KiB, each with a link to the one before. */
function withBigBlocks (json: any): any {
  const nodes = new Map<string, Uint8Array>()
  let prev: CID | undefined
  for (const [i, { cid }] of json.publisherBlocks.entries()) {
    const data = new Uint8Array(200 * 1024).fill(i)
    nodes.set(cid, dagCbor.encode(prev == null ? { data } : { data, prev }))
    prev = CID.parse(cid)
  }
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
  const events = json.events.map((event: any) => {
    const [response] = event.decoded?.gs2?.rsp ?? []
    if (event.event !== 'write' || event.bytes != null || response == null) { return event }
    const metadata: Array<[CID, LinkAction]> = response.meta.map(([link]: any) => [CID.parse(link['/']), 'present'])
    const message = framed(encodeGraphsyncMessage({
      requests: [],
      responses: [{ requestId: fromBase64(response.reqid['/'].bytes), status: response.stat, metadata }],
      blocks: metadata.map(([cid]) => ({ prefix: cid.bytes.subarray(0, 4), data: nodes.get(cid.toString()) as Uint8Array }))
    }))
    if (message.length !== event.len) { throw new Error(`${message.length} bytes in place of ${event.len}`) }
    return { ...event, bytes: base64(message) }
  })
  const publisherBlocks = json.publisherBlocks.map(({ cid }: any) => ({ cid, bytes: base64(nodes.get(cid) as Uint8Array) }))
  return { ...json, events, publisherBlocks }
}

/** The parity notes, in which every deliberate difference of a replay has its sentence. */
export const PARITY = readFileSync('docs/PARITY.md', 'utf8').replace(/\s+/g, ' ')
