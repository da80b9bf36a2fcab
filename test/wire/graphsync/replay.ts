import { readdirSync, readFileSync } from 'node:fs'
import { CID } from 'multiformats/cid'
import type { GraphsyncMessage, GraphsyncRequest } from '../../../src/shared/types/graphsync.ts'
import type { LinkSystem } from '../../../src/shared/types.ts'
import { createLinkSystem } from '../../../src/store/link-system.ts'
import { decodeGraphsyncMessage } from '../../../src/wire/graphsync/message.ts'

// Recorded conversations of Go peers, and how to say the same again with other request ids.

export interface Write {
  from: 'publisher' | 'subscriber'
  stream: number
  event: 'write' | 'close' | 'reset'
  bytes: Uint8Array
}

export interface Recording {
  name: string
  error: string
  root: string | undefined
  hook: string[]
  stored: string[]
  publisherBlocks: Array<[CID, Uint8Array]>
  subscriberBlocks: Array<[CID, Uint8Array]>

  /** What went over graphsync streams. */
  writes: Write[]
}

export const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'))
const blocks = (list: any[]): Array<[CID, Uint8Array]> => (list ?? []).map(({ cid, bytes }) => [CID.parse(cid), fromBase64(bytes)])

export function recording (json: any): Recording {
  return {
    name: json.name,
    error: json.error,
    root: json.root,
    hook: json.subscriberBlockHook ?? [],
    stored: json.subscriberStored ?? json.subscriberStoredAfter ?? [],
    publisherBlocks: blocks(json.publisherBlocks),
    subscriberBlocks: blocks(json.subscriberBlocksBefore),
    writes: json.events
      .filter(({ protocol, event }: any) => protocol === '/ipfs/graphsync/2.0.0' && ['write', 'close', 'reset'].includes(event))
      .map(({ from, stream, event, bytes }: any) => ({ from, stream, event, bytes: fromBase64(bytes ?? '') }))
  }
}

const read = (file: string): any => JSON.parse(readFileSync(`test/vectors/${file}.json`, 'utf8'))

/** As the file has it. */
export const transcriptFile = (name: string): any => read(`transcripts/${name}`)

/** As the file has them. */
export const fakePublisherFile: any[] = read('subscriber-vs-fake-publisher')

export function transcript (name: string): Recording {
  return recording(transcriptFile(name))
}

export const transcriptNames = readdirSync('test/vectors/transcripts').map(name => name.replace('.json', ''))

export function fakePublisherCases (): Recording[] {
  return fakePublisherFile.map(recording)
}

export async function storeOf (list: Array<[CID, Uint8Array]>): Promise<LinkSystem> {
  const linkSystem = createLinkSystem()
  for (const [cid, bytes] of list) { await linkSystem.put(cid, bytes) }
  return linkSystem
}

export async function storedIn (linkSystem: LinkSystem): Promise<string[]> {
  const cids: string[] = []
  for await (const { cid } of (linkSystem.blockstore as any).getAll()) { cids.push(Buffer.from(cid.multihash.digest).toString('hex')) }
  return cids.sort()
}

export const digestsOf = (cids: string[]): string[] =>
  cids.map(cid => Buffer.from(CID.parse(cid).multihash.digest).toString('hex')).sort()

export function unframe (bytes: Uint8Array): Uint8Array {
  let at = 0
  while (bytes[at] >= 0x80) { at++ }
  return bytes.subarray(at + 1)
}

export function messageOf (write: Write): GraphsyncMessage {
  return decodeGraphsyncMessage(unframe(write.bytes))
}

/** The bytes with one id in place of another. */
export function withId (bytes: Uint8Array, id: Uint8Array, other: Uint8Array): Uint8Array {
  const copy = Buffer.from(bytes)
  for (let at = copy.indexOf(id); at >= 0; at = copy.indexOf(id, at + id.length)) { copy.set(other, at) }
  return new Uint8Array(copy)
}

export interface Exchange {
  request: GraphsyncRequest

  /** The message that the request came in. */
  bytes: Uint8Array
  answers: Write[]
}

/** The new requests of a recording, each with what the publisher did before the next one. */
export function exchanges ({ writes }: Recording): Exchange[] {
  const list: Exchange[] = []
  for (const write of writes) {
    if (write.from === 'publisher') {
      list.at(-1)?.answers.push(write)
    } else if (write.event === 'write') {
      for (const request of messageOf(write).requests) {
        if (request.type === 'new') { list.push({ request, bytes: unframe(write.bytes), answers: [] }) }
      }
    }
  }
  return list
}
