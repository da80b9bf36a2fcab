import { smallCopy } from '../shared/small-bytes.ts'
import { linkOfBytes } from './link.ts'
import { OTHER, Skeleton, TEXT } from './skeleton.ts'

const VARINT = 0
const BYTES = 2

/** Finds the links of a dag-pb block, at Links/<i>/Hash, by the rules of go-codec-dagpb. */
export class DagPbScanner extends Skeleton {
  private at = 0
  private field = 0
  private wire = 0

  protected read (): void {
    this.at = 0
    try {
      this.pbNode(this.bytes.length)
    } catch (error: any) {
      throw new Error(`dag-pb: ${error.message} at byte ${this.at}`)
    }
  }

  private pbNode (end: number): void {
    let links: 'none' | 'open' | 'closed' = 'none'
    this.open(true)
    while (this.at < end) {
      this.tag(end)
      if (this.wire !== BYTES) { throw new Error('wrong wire type in a node') }
      const to = this.sized(end)
      if (this.field === 1) {
        if (links === 'open') {
          this.close()
          links = 'closed'
        }
        this.keyNamed('Data')
        this.scalar(TEXT)
        this.at = to
      } else if (this.field === 2) {
        if (links === 'closed') { throw new Error('two runs of Links') }
        if (links === 'none') { this.list() }
        links = 'open'
        this.element()
        this.pbLink(to)
      } else {
        throw new Error('unknown field in a node')
      }
    }
    if (links === 'none') { this.list() }
    if (links !== 'closed') { this.close() }
    this.close()
  }

  private list (): void {
    this.keyNamed('Links')
    this.open(false)
  }

  private pbLink (end: number): void {
    let last = 0
    this.open(true)
    while (this.at < end) {
      this.tag(end)
      if (this.field < 1 || this.field > 3) { throw new Error('unknown field in a link') }
      if (this.field <= last) { throw new Error('fields of a link are not in order') }
      if (this.wire !== (this.field === 3 ? VARINT : BYTES)) { throw new Error('wrong wire type in a link') }
      if (this.field > 1 && last === 0) { throw new Error('link without Hash') }
      last = this.field
      this.keyNamed(last === 1 ? 'Hash' : last === 2 ? 'Name' : 'Tsize')
      if (last === 3) {
        this.varint(end)
        this.scalar(OTHER)
        continue
      }
      const to = this.sized(end)
      if (last === 1) {
        this.link(linkOfBytes(smallCopy(this.bytes, this.at, to), undefined, true))
      } else {
        this.scalar(TEXT)
      }
      this.at = to
    }
    if (last === 0) { throw new Error('link without Hash') }
    this.close()
  }

  private tag (end: number): void {
    const tag = this.varint(end)
    this.wire = tag % 8
    this.field = (tag - this.wire) / 8
  }

  /** Where the bytes end whose length comes next. */
  private sized (end: number): number {
    const size = this.varint(end)
    if (size > end - this.at) { throw new Error('block is cut off') }
    return this.at + size
  }

  private varint (end: number): number {
    let value = 0
    let scale = 1
    for (let i = 0; i < 10; i++) {
      if (this.at >= end) { throw new Error('block is cut off') }
      const byte = this.bytes[this.at++]
      if (i === 9 && byte > 1) { break }
      value += (byte & 0x7f) * scale
      if (byte < 0x80) { return value }
      scale *= 128
    }
    throw new Error('varint is too long')
  }

  protected inOrder (): boolean {
    return true
  }

  protected keyName (): string {
    return ''
  }
}
