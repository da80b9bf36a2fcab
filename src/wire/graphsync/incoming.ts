import { Queue } from '../../shared/queue.ts'
import { MAX_QUEUED_BYTES, MAX_QUEUED_LINKS } from './constants.ts'
import type { Key } from './keys.ts'
import type { ParsedResponse } from './parse.ts'

export interface Item {
  key: Key

  /** p, d, m or s. */
  action: string
  block?: Uint8Array
}

/** What a responder said of the links of its walk and nobody has walked yet. */
export class ItemQueue {
  private readonly items = new Queue<Item>()
  bytes = 0

  get length (): number {
    return this.items.length
  }

  /** The block goes with the first item that has its link; as in Go, the others load it from the store. */
  push ({ links = [], actions = [] }: ParsedResponse, blocks: Map<Key, Uint8Array>): void {
    const given = new Set<Key>()
    for (let i = 0; i < links.length; i++) {
      const key = links[i]
      const item: Item = { key, action: actions[i] }
      if (item.action === 'p') {
        const block = blocks.get(key)
        if (block != null && !given.has(key)) {
          given.add(key)
          item.block = block
          this.bytes += block.length
        }
      }
      this.items.push(item)
    }
  }

  /** Whether it holds more than a request should, or so many times that. */
  isOver (times: number): boolean {
    return this.bytes > times * MAX_QUEUED_BYTES || this.length > times * MAX_QUEUED_LINKS
  }

  shift (): Item | undefined {
    const item = this.items.shift()
    this.bytes -= item?.block?.length ?? 0
    return item
  }

  clear (): void {
    this.items.clear()
    this.bytes = 0
  }
}
