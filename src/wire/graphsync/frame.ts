import { CborWriter } from './cbor-writer.ts'
import { BYTES, LIST, MAP } from './cbor.ts'
import { GraphsyncStatus, MAX_FRAME, MAX_MESSAGE_BLOCKS } from './constants.ts'
import { prefixOfKey } from './keys.ts'
import type { Key } from './keys.ts'
import { encodeExtensions, writeEnvelope, writeExtensions, writeId } from './message.ts'

/** Bigger blocks go out as they are, smaller ones are copied into one piece with what is around them. */
const COPY_BELOW = 8 * 1024

/** Room before the first block for the length of the message and what stands before its blocks: so that it is one piece. */
const HEAD = 32

/** More than what a message has around a block that is alone in it, extensions excepted. */
const OVERHEAD = 1024

/** A message as the parts of one frame. */
export interface Frame {
  parts: Uint8Array[]
  bytes: number

  /** Of responses: of no use behind one that was lost. */
  responses: boolean

  /** Called when the frame was handed to the stream, or could not be. */
  done: Array<(error?: Error) => void>
}

interface ResponsePart {
  status: number

  /** Encoded. */
  extensions?: Uint8Array
  metadata: CborWriter
  links: number
}

/** The length prefix of a frame. */
function lengthPrefix (length: number): Uint8Array {
  const bytes: number[] = []
  let rest = length
  for (; rest >= 0x80; rest >>>= 7) { bytes.push((rest & 0x7f) | 0x80) }
  return Uint8Array.from([...bytes, rest])
}

/** Puts the length before the parts of a message. */
export function toFrame (parts: Uint8Array[]): Frame {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const prefix = lengthPrefix(length)
  return { parts: [prefix, ...parts], bytes: length + prefix.length, responses: false, done: [] }
}

/** Whether a block can be sent at all. Go sends a frame over the limit all the same, and the other side resets the stream. */
export function fitsFrame (data: Uint8Array): boolean {
  return data.length + OVERHEAD <= MAX_FRAME
}

/** Builds the message that goes to one peer next: metadata of several responses, and blocks that they share. */
export class FrameBuilder {
  private readonly blocks = new CborWriter(1024)
  private parts: Uint8Array[] = []
  private partBytes = 0
  private blockBytes = 0
  private blockCount = 0
  private metadataBytes = 0
  private metadataSize = 1024
  private responses = new Map<Uint8Array, ResponsePart>()
  private done: Frame['done'] = []

  get empty (): boolean {
    return this.responses.size === 0
  }

  /** What the message has by now, about. */
  get bytes (): number {
    return this.partBytes + this.blocks.length + this.metadataBytes
  }

  /** Whether a block of this size belongs into another message. */
  isFullFor (length: number): boolean {
    return this.blockCount > 0 ? this.blockBytes + length > MAX_MESSAGE_BLOCKS : length > MAX_MESSAGE_BLOCKS && !this.empty
  }

  addLink (requestId: Uint8Array, key: Key, action: string, data?: Uint8Array): void {
    const part = this.response(requestId)
    const { metadata } = part
    const before = metadata.length
    metadata.head(LIST, 2)
    metadata.link(key)
    metadata.name(action)
    part.links++
    this.metadataBytes += metadata.length - before
    if (data != null) { this.addBlock(key, data) }
  }

  /** Once for a request. Throws InvalidMessageError when they have no encoding: in build() all the message would have none. */
  addExtensions (requestId: Uint8Array, extensions: Record<string, any>): void {
    const encoded = encodeExtensions(extensions)
    const part = this.response(requestId)
    part.extensions = encoded
    this.metadataBytes += encoded?.length ?? 0
  }

  finish (requestId: Uint8Array, status: number, done: (error?: Error) => void): void {
    this.response(requestId).status = status
    this.done.push(done)
  }

  build (): Frame {
    const { blocks, parts, done, blockCount } = this
    if (blockCount === 0) { blocks.skip(HEAD) }
    blocks.name('rsp')
    blocks.head(LIST, this.responses.size)
    for (const [requestId, part] of this.responses) {
      this.metadataSize = Math.max(1024, part.metadata.length + (part.metadata.length >> 3))
      writeResponse(blocks, requestId, part)
    }
    parts.push(blocks.take())

    const head = new CborWriter(HEAD)
    writeEnvelope(head, blockCount > 0 ? 2 : 1)
    if (blockCount > 0) {
      head.name('blk')
      head.head(LIST, blockCount)
    }
    const length = parts.reduce((sum, part) => sum + part.length, head.length - HEAD)
    const prefix = lengthPrefix(length)
    const start = HEAD - head.length - prefix.length
    const [first] = parts
    first.set(prefix, start)
    first.set(head.take(), start + prefix.length)
    parts[0] = first.subarray(start)

    this.parts = []
    this.partBytes = this.blockBytes = this.blockCount = this.metadataBytes = 0
    this.responses = new Map()
    this.done = []
    return { parts, bytes: prefix.length + length, responses: true, done }
  }

  private response (requestId: Uint8Array): ResponsePart {
    let part = this.responses.get(requestId)
    if (part == null) {
      part = { status: GraphsyncStatus.partial, metadata: new CborWriter(this.metadataSize), links: 0 }
      this.responses.set(requestId, part)
      this.metadataBytes += 32
    }
    return part
  }

  private addBlock (key: Key, data: Uint8Array): void {
    const { blocks } = this
    const prefix = prefixOfKey(key)
    if (this.blockCount === 0) { blocks.skip(HEAD) }
    blocks.head(LIST, 2)
    blocks.head(BYTES, prefix.length)
    blocks.latin1(prefix)
    blocks.head(BYTES, data.length)
    if (data.length < COPY_BELOW) {
      blocks.raw(data)
    } else {
      const before = blocks.take()
      this.parts.push(before, data)
      this.partBytes += before.length + data.length
    }
    this.blockBytes += data.length
    this.blockCount++
  }
}

function writeResponse (out: CborWriter, requestId: Uint8Array, { status, extensions, metadata, links }: ResponsePart): void {
  out.head(MAP, 2 + (extensions == null ? 0 : 1) + (links > 0 ? 1 : 0))
  writeExtensions(out, extensions)
  if (links > 0) {
    out.name('meta')
    out.head(LIST, links)
    out.raw(metadata.take())
  }
  out.name('stat')
  out.int(status)
  writeId(out, 'reqid', requestId)
}
