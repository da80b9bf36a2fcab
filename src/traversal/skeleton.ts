import type { Link } from './link.ts'

/** A string or bytes: what a matcher with a subset takes. */
export const TEXT = 1

/** Any other value that is neither a link, nor a map or a list. */
export const OTHER = 2

export type Child = Link | MapNode | ListNode | typeof TEXT | typeof OTHER

/** What is kept of a block: 'flat' its links alone, 'links' maps and lists that have links in them, 'all' every value. */
export type Detail = 'flat' | 'links' | 'all'

/** Maps and lists within a block may nest this deep; Go has no limit until its stack ends. */
export const MAX_NESTING = 10_000

/** For the blocks to come, begin and end of each. */
const MAX_KEPT_KEYS = 4_096

/** A map of a block, in the order of the encoded bytes. */
export class MapNode {
  readonly keys: string[] = []
  readonly values: Child[] = []
  private index: Map<string, Child> | undefined

  get (key: string): Child | undefined {
    if (this.keys.length > 16) {
      this.index ??= new Map(this.keys.map((name, i) => [name, this.values[i]]))
      return this.index.get(key)
    }
    return this.values[this.keys.indexOf(key)]
  }
}

/** A list of a block. */
export class ListNode {
  readonly indexes: number[] = []
  readonly values: Child[] = []

  get (index: number): Child | undefined {
    const at = this.find(index)
    return this.indexes[at] === index ? this.values[at] : undefined
  }

  /** Where the first child is whose index is not below this one. */
  find (index: number): number {
    let low = 0
    let high = this.indexes.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.indexes[middle] < index) { low = middle + 1 } else { high = middle }
    }
    return low
  }
}

/**
 * Builds what a walk needs of a block while a scanner goes through its bytes. Nodes are made once something is found in them,
 * so a block costs what its links cost. No recursion, whatever the nesting.
 */
export abstract class Skeleton {
  bytes: Uint8Array = new Uint8Array(0)
  depth = 0
  root: Child | undefined
  links: Link[] = []
  protected detail: Detail = 'links'
  private deepest = 0

  private readonly maps: boolean[] = []
  private readonly nodes: Array<MapNode | ListNode | undefined> = []

  /** Per depth: the index in a list; in a map, where the key begins and ends, or its name. */
  private readonly from: number[] = []
  private readonly to: number[] = []
  private readonly names: Array<string | undefined> = []

  /**
   * Keys of the open maps, begin and end, and per depth where those of its map begin; a set once they are not in order. Here as in
   * the lists above nothing is shortened: V8 gives the memory back then, and a block would cost what it takes to grow them again.
   */
  private keys: number[] = []
  private keyCount = 0
  private readonly keysAt: number[] = []
  private readonly seen: Array<Set<string> | undefined> = []

  /** Throws when the bytes do not decode. Leaves the links in `links` ('flat'), else the tree in `root`, until it is cleared. */
  scan (bytes: Uint8Array, detail: Detail): void {
    this.bytes = bytes
    this.detail = detail
    this.depth = 0
    this.root = undefined
    this.links = []
    this.keyCount = this.deepest = 0
    try {
      this.read()
    } finally {
      this.bytes = EMPTY
      for (let i = 0; i < this.deepest; i++) { this.nodes[i] = this.seen[i] = this.names[i] = undefined }
      if (this.keys.length > MAX_KEPT_KEYS) { this.keys = [] }
    }
  }

  /** Lets go of what was found. */
  clear (): void {
    this.root = undefined
    this.links = NONE
  }

  protected abstract read (): void

  /** Whether the second key comes after the first in the order that blocks usually have; only then is it surely another one. */
  protected abstract inOrder (from1: number, to1: number, from2: number, to2: number): boolean

  /** The key in these bytes. */
  protected abstract keyName (from: number, to: number): string

  protected inMap (): boolean {
    return this.depth > 0 && this.maps[this.depth - 1]
  }

  protected open (map: boolean): void {
    const depth = this.depth
    if (depth >= MAX_NESTING) { throw new Error(`nested deeper than ${MAX_NESTING}`) }
    this.maps[depth] = map
    this.nodes[depth] = undefined
    this.from[depth] = -1
    if (map) {
      this.keysAt[depth] = this.keyCount
      this.seen[depth] = undefined
    }
    this.depth = depth + 1
    if (this.depth > this.deepest) { this.deepest = this.depth }
    if (this.detail === 'all') { this.node(depth) }
  }

  protected close (): void {
    const depth = --this.depth
    if (this.maps[depth]) { this.keyCount = this.keysAt[depth] }
  }

  /** Closes a map that turned out to be another kind of value. */
  protected closeAs (child: Link | typeof TEXT): void {
    this.close()
    if (this.detail === 'all' && this.depth > 0) { this.drop(this.depth - 1) }
    if (typeof child === 'number') { this.scalar(child) } else { this.link(child) }
  }

  private drop (depth: number): void {
    const node = this.nodes[depth] as MapNode | ListNode
    node.values.pop()
    if (node instanceof MapNode) { node.keys.pop() } else { node.indexes.pop() }
  }

  /** The next value is the next one of the list that is open. */
  protected element (): void {
    this.from[this.depth - 1]++
  }

  /** The next value has this key. Throws when the map has it already. */
  protected key (from: number, to: number): void {
    const depth = this.depth - 1
    const keys = this.keys
    const last = this.keyCount
    if (this.seen[depth] != null) {
      this.remember(depth, this.keyName(from, to))
    } else if (last > this.keysAt[depth] && !this.inOrder(keys[last - 2], keys[last - 1], from, to)) {
      this.unordered(depth)
      this.remember(depth, this.keyName(from, to))
    } else {
      keys[last] = from
      keys[last + 1] = to
      this.keyCount += 2
    }
    this.from[depth] = from
    this.to[depth] = to
    this.names[depth] = undefined
  }

  /** The same for a key whose bytes do not lie as they are in the block. */
  protected keyNamed (name: string): void {
    const depth = this.depth - 1
    if (this.seen[depth] == null) { this.unordered(depth) }
    this.remember(depth, name)
    this.names[depth] = name
  }

  private unordered (depth: number): void {
    const seen = new Set<string>()
    for (let i = this.keysAt[depth]; i < this.keyCount; i += 2) { seen.add(this.keyName(this.keys[i], this.keys[i + 1])) }
    this.seen[depth] = seen
  }

  private remember (depth: number, name: string): void {
    const seen = this.seen[depth] as Set<string>
    if (seen.has(name)) { throw new Error(`map has the key ${JSON.stringify(name)} twice`) }
    seen.add(name)
  }

  protected link (link: Link): void {
    const depth = this.depth
    link.level = depth
    if (depth > 0 && this.maps[depth - 1]) { link.field = this.name(depth - 1) }
    if (this.detail !== 'flat') {
      this.put(depth - 1, link)
    } else if (depth > 0) { // a block that is nothing but a link is not followed
      this.links.push(link)
    }
  }

  protected scalar (kind: typeof TEXT | typeof OTHER): void {
    if (this.detail === 'all') { this.put(this.depth - 1, kind) }
  }

  private put (depth: number, child: Child): void {
    if (depth < 0) {
      this.root = child
      return
    }
    const node = this.node(depth)
    if (node instanceof MapNode) { node.keys.push(this.name(depth)) } else { node.indexes.push(this.from[depth]) }
    node.values.push(child)
  }

  /** The node of an open map or list, which is made now, and those around it, if there was nothing in it yet. */
  private node (depth: number): MapNode | ListNode {
    let made = depth
    while (made >= 0 && this.nodes[made] == null) { made-- }
    while (made < depth) {
      const node = this.maps[made + 1] ? new MapNode() : new ListNode()
      this.put(made, node)
      this.nodes[++made] = node
    }
    return this.nodes[depth] as MapNode | ListNode
  }

  private name (depth: number): string {
    return (this.names[depth] ??= this.keyName(this.from[depth], this.to[depth]))
  }
}

const EMPTY = new Uint8Array(0)
const NONE: Link[] = []
