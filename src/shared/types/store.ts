import type { AbortOptions } from '@libp2p/interface'
import type { Blockstore } from 'interface-blockstore'
import type { Datastore } from 'interface-datastore'
import type { CID } from 'multiformats/cid'
import type { BlockCodec } from 'multiformats/codecs/interface'
import type { MultihashHasher } from 'multiformats/hashes/interface'

/** Blocks to IPLD nodes and back: a blockstore, and the codecs and hashers to read it. Go: ipld.LinkSystem. */
export interface LinkSystem {
  readonly blockstore: Blockstore

  /** Throws UnknownCodecError. */
  getCodec(code: number): BlockCodec<number, any>

  /** Throws UnknownHasherError. */
  getHasher(code: number): MultihashHasher

  /**
   * Reads a block and decodes it, as plain objects. Throws InvalidOptionError, UnknownCodecError, and what the store throws
   * (NotFoundError).
   */
  load<T = any>(cid: CID, options?: AbortOptions): Promise<T>

  /**
   * Encodes a node, stores the block and gives its CID. Throws InvalidOptionError, and what the codec throws for what it does not
   * have: a promise, and undefined, also as a value in a map.
   */
  store(node: unknown, options?: StoreOptions): Promise<CID>

  /** Verifies the bytes against the CID, then stores them as they are. Throws InvalidOptionError, HashMismatchError, UnknownHasherError. */
  put(cid: CID, bytes: Uint8Array, options?: AbortOptions): Promise<void>

  /** Whether the store has the block. Throws InvalidOptionError. */
  has(cid: CID, options?: AbortOptions): Promise<boolean>
}

/** How store() makes a block: CIDv1, as IPNI advertisements are. */
export interface StoreOptions extends AbortOptions {
  /**
   * @default dag-json
   */
  codec?: BlockCodec<number, any>

  /**
   * @default sha2-256
   */
  hasher?: MultihashHasher
}

/** What createLinkSystem() is made from; a blockstore or a datastore, not both. */
export interface LinkSystemInit {
  /** Where blocks live. Without this and without a datastore: in memory. */
  blockstore?: Blockstore

  /** Keeps blocks in a datastore, under /blocks. */
  datastore?: Datastore

  /** Codecs beside dag-json, dag-cbor, dag-pb and raw. */
  codecs?: Array<BlockCodec<number, any>>

  /** Hashers beside sha2-256, sha2-512, identity and blake2b-256. */
  hashers?: MultihashHasher[]
}
