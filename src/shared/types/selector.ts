import type { AbortOptions } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import type { BlockCodec } from 'multiformats/codecs/interface'

/** A selector in the IPLD data model, as it goes over the wire. */
export type SelectorNode = Record<string, any>

/** A compiled selector: parseSelector() makes it. */
export interface Selector {
  readonly node: SelectorNode
}

/** How deep a recursive selector goes. Each pass of its edge costs one, also through maps and lists inside a block. */
export type RecursionLimit = { depth: number } | { none: Record<string, never> }

/** Gives the bytes of a block that a walk reaches; what it rejects with ends the walk. */
export type LoadBlock = (cid: CID, options?: AbortOptions) => Uint8Array | Promise<Uint8Array>

/** How walk() goes. */
export interface WalkOptions extends AbortOptions {
  /** Codecs beyond dag-json, dag-cbor, dag-pb and raw, whose links are read in encoded order. Any other codec: UnknownCodecError. */
  codecs?: Array<BlockCodec<number, any>>

  /**
   * 'skip' goes on past a block that load() rejects with an error named NotFoundError, as graphsync does.
   *
   * @default 'throw'
   */
  onMissing?: 'throw' | 'skip'
}
