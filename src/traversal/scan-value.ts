import { CID } from 'multiformats/cid'
import { Link } from './link.ts'
import { OTHER, Skeleton, TEXT } from './skeleton.ts'

/** Finds the links of a value that a codec of the caller has decoded, in the order that the value has. */
export class ValueScanner extends Skeleton {
  private readonly decode: (bytes: Uint8Array) => unknown
  private iterators: Array<Iterator<[string | undefined, unknown]>> = []

  constructor (decode: (bytes: Uint8Array) => unknown) {
    super()
    this.decode = decode
  }

  protected read (): void {
    this.iterators = []
    this.value(this.decode(this.bytes))
    while (this.depth > 0) {
      const { done, value } = this.iterators[this.depth - 1].next()
      if (done === true) {
        this.iterators.pop()
        this.close()
        continue
      }
      if (value[0] == null) { this.element() } else { this.keyNamed(value[0]) }
      this.value(value[1])
    }
  }

  private value (value: any): void {
    if (typeof value !== 'object' || value === null) {
      this.scalar(typeof value === 'string' ? TEXT : OTHER)
      return
    }
    if (value instanceof Uint8Array) {
      this.scalar(TEXT)
      return
    }
    const cid = CID.asCID(value)
    if (cid?.bytes instanceof Uint8Array) { // a map of "/" and "bytes" with one text for both looks like one
      this.link(Link.fromCID(cid))
      return
    }
    const list = Array.isArray(value)
    this.open(!list)
    this.iterators.push(list ? elements(value) : entries(value))
  }

  protected inOrder (): boolean {
    return true
  }

  protected keyName (): string {
    return ''
  }
}

function * elements (list: unknown[]): Generator<[undefined, unknown]> {
  for (const value of list) { yield [undefined, value] }
}

function * entries (map: Map<unknown, unknown> | object): Generator<[string, unknown]> {
  for (const [key, value] of map instanceof Map ? map : Object.entries(map)) { yield [String(key), value] }
}
