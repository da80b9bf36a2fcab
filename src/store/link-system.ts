import * as dagCbor from '@ipld/dag-cbor'
import * as dagPb from '@ipld/dag-pb'
import type { AbortOptions } from '@libp2p/interface'
import { blake2b } from '@noble/hashes/blake2.js'
import type { Blockstore } from 'interface-blockstore'
import { CID } from 'multiformats/cid'
import type { BlockCodec } from 'multiformats/codecs/interface'
import * as raw from 'multiformats/codecs/raw'
import { from } from 'multiformats/hashes/hasher'
import { identity } from 'multiformats/hashes/identity'
import type { MultihashHasher } from 'multiformats/hashes/interface'
import { sha256, sha512 } from 'multiformats/hashes/sha2'
import { InvalidOptionError, UnknownCodecError, UnknownHasherError } from '../shared/errors.ts'
import type { LinkSystem, LinkSystemInit, StoreOptions } from '../shared/types.ts'
import { unlessAborted } from '../shared/unless-aborted.ts'
import { dagJson } from './dag-json.ts'
import { DatastoreBlocks } from './datastore-blocks.ts'
import { MemoryBlocks } from './memory-blocks.ts'
import { readBlock } from './read.ts'
import { holdsItself, verifyBlock } from './verify.ts'

const blake2b256 = from({ name: 'blake2b-256', code: 0xb220, encode: bytes => blake2b(bytes, { dkLen: 32 }) })

const CODECS: Array<BlockCodec<number, any>> = [dagJson, dagCbor, dagPb, raw]
const HASHERS: MultihashHasher[] = [sha256, sha512, identity, blake2b256]

/**
 * Makes a link system: in memory when no store is given.
 *
 * With dag-json, dag-cbor, dag-pb and raw, and sha2-256, sha2-512, identity and blake2b-256; the lists add to them, and replace
 * those of the same code. Go: cidlink.DefaultLinkSystem().
 *
 * @throws {InvalidOptionError} a blockstore and a datastore, or what is none
 */
export function createLinkSystem (init: LinkSystemInit = {}): LinkSystem {
  const { blockstore, datastore } = init
  if (blockstore != null && datastore != null) { throw new InvalidOptionError('datastore', 'cannot be given beside a blockstore') }
  check('blockstore', blockstore)
  check('datastore', datastore)
  const store = blockstore ?? (datastore == null ? new MemoryBlocks() : new DatastoreBlocks(datastore))
  return new StoreLinkSystem(store, byCode('codecs', CODECS, init.codecs), byCode('hashers', HASHERS, init.hashers))
}

class StoreLinkSystem implements LinkSystem {
  readonly blockstore: Blockstore
  private readonly codecs: Map<number, BlockCodec<number, any>>
  private readonly hashers: Map<number, MultihashHasher>

  constructor (blockstore: Blockstore, codecs: Map<number, BlockCodec<number, any>>, hashers: Map<number, MultihashHasher>) {
    this.blockstore = blockstore
    this.codecs = codecs
    this.hashers = hashers
  }

  getCodec (code: number): BlockCodec<number, any> {
    const codec = this.codecs.get(code)
    if (codec == null) { throw new UnknownCodecError(code) }
    return codec
  }

  getHasher (code: number): MultihashHasher {
    const hasher = this.hashers.get(code)
    if (hasher == null) { throw new UnknownHasherError(code) }
    return hasher
  }

  async load<T = any> (cid: CID, options?: AbortOptions): Promise<T> {
    checkCid(cid)
    const codec = this.getCodec(cid.code)
    return codec.decode(await readBlock(this.blockstore, cid, options)) as T
  }

  async store (node: unknown, options: StoreOptions = {}): Promise<CID> {
    const { codec = dagJson, hasher = sha256, signal } = options
    if (typeof codec?.encode !== 'function') { throw new InvalidOptionError('codec', 'must be a codec, such as @ipld/dag-cbor') }
    if (typeof hasher?.digest !== 'function') { throw new InvalidOptionError('hasher', 'must be a hasher, such as sha256 of multiformats') }
    signal?.throwIfAborted()
    const encoded = codec.encode(node)
    const bytes = ArrayBuffer.isView(node) ? copyOf(encoded) : encoded // raw gives what it is given
    const cid = CID.createV1(codec.code, await hasher.digest(bytes))
    await this.write(cid, bytes, options)
    return cid
  }

  async put (cid: CID, bytes: Uint8Array, options: AbortOptions = {}): Promise<void> {
    checkCid(cid)
    options.signal?.throwIfAborted()
    const block = copyOf(bytes)
    const verified = verifyBlock(this, cid, block)
    if (verified != null) { await verified }
    await this.write(cid, block, options)
  }

  async has (cid: CID, options?: AbortOptions): Promise<boolean> {
    checkCid(cid)
    options?.signal?.throwIfAborted()
    return holdsItself(cid) || unlessAborted(Promise.resolve(this.blockstore.has(cid, options)), options?.signal)
  }

  private async write (cid: CID, bytes: Uint8Array, options: AbortOptions): Promise<void> {
    if (!holdsItself(cid)) { await unlessAborted(Promise.resolve(this.blockstore.put(cid, bytes, options)), options.signal) }
  }
}

/** A caller may use its buffer again, for the next block. */
function copyOf (bytes: Uint8Array): Uint8Array {
  return Uint8Array.prototype.slice.call(bytes) // a Buffer's own slice() is no copy
}

/** Of any copy of multiformats. Not by CID.asCID(), for this is called for each block. */
function checkCid (cid: CID): void {
  if (cid?.multihash?.digest == null) { throw new InvalidOptionError('cid', `must be a CID, and is ${cid === null ? 'null' : typeof cid}`) }
}

function check (field: 'blockstore' | 'datastore', store: unknown): void {
  const members = field === 'datastore' ? ['get', 'put', 'has'] : ['get'] // who only reads may bring a blockstore that does no more
  if (store != null && members.some(member => typeof (store as any)[member] !== 'function')) { throw new InvalidOptionError(field, `must be a ${field}`) }
}

function byCode<T extends { code: number }> (field: string, own: T[], more: T[] = []): Map<number, T> {
  if (!Array.isArray(more) || more.some(item => typeof item?.code !== 'number')) {
    throw new InvalidOptionError(field, 'must be a list of what has a code')
  }
  return new Map([...own, ...more].map(item => [item.code, item]))
}
