// The walk alone, from memory, with hashing: `node --conditions=dagsync-source bench/walk.ts`. One line of JSON per row.
import { createHash } from 'node:crypto'
import * as dagCbor from '@ipld/dag-cbor'
import * as dagJson from '@ipld/dag-json'
import { CID } from 'multiformats/cid'
import type { BlockCodec } from 'multiformats/codecs/interface'
import { sha256 } from 'multiformats/hashes/sha2'
import { createLinkSystem } from '../src/store/link-system.ts'
import { verifyBlock } from '../src/store/verify.ts'
import { dagsyncSelector, exploreFields, exploreRecursive, exploreRecursiveEdge, recursionLimitNone, walk } from '../src/traversal/index.ts'

const BLOCKS = 20_000
const SIZE = 800
const ROUNDS = 9

/** A chain of advertisements; for each the bytes, by the last bytes of the digest, so that the look-up costs next to nothing. */
async function chain (codec: BlockCodec<number, any>): Promise<{ root: CID, bytes: Map<number, Uint8Array> }> {
  const bytes = new Map<number, Uint8Array>()
  let previous: CID | undefined
  for (let i = 0; i < BLOCKS; i++) {
    const block = advertisement(codec, i, previous)
    previous = CID.createV1(codec.code, await sha256.digest(block))
    bytes.set(keyOf(previous), block)
  }
  return { root: previous as CID, bytes }
}

function advertisement (codec: BlockCodec<number, any>, index: number, previous?: CID): Uint8Array {
  const ad = (metadata: number): any => ({
    Addresses: ['/ip4/127.0.0.1/tcp/9999'],
    ContextID: createHash('sha256').update(String(index)).digest().subarray(0, 16),
    IsRm: false,
    Metadata: new Uint8Array(metadata).fill(index),
    ...(previous == null ? {} : { PreviousID: previous }),
    Provider: '12D3KooWKRyzVWW6ChFjQjK4miCty85Niy48tpPV95XdKu1BcvMA',
    Signature: new Uint8Array(96).fill(7)
  })
  const rest = SIZE - codec.encode(ad(0)).length
  return codec.encode(ad(Math.floor(codec.code === dagJson.code ? rest * 3 / 4 : rest - 2)))
}

function keyOf (cid: CID): number {
  const { digest } = cid.multihash
  return digest[31] | (digest[30] << 8) | (digest[29] << 16) | (digest[28] << 22)
}

const linkSystem = createLinkSystem()
const selectors = {
  'explore all': dagsyncSelector(recursionLimitNone),
  PreviousID: exploreRecursive(recursionLimitNone, exploreFields({ PreviousID: exploreRecursiveEdge() }))
}

for (const codec of [dagJson, dagCbor]) {
  const { root, bytes } = await chain(codec)
  for (const [name, selector] of Object.entries(selectors)) {
    for (const hashed of [true, false]) {
      const rates: number[] = []
      for (let round = 0; round < ROUNDS; round++) {
        const load = (cid: CID): Uint8Array => bytes.get(keyOf(cid)) as Uint8Array
        const start = performance.now()
        let count = 0
        for await (const { cid, bytes } of walk(root, selector, load)) {
          const verified = hashed ? verifyBlock(linkSystem, cid, bytes) : undefined
          if (verified != null) { await verified }
          count++
        }
        if (count !== BLOCKS) { throw new Error(`walked ${count} of ${BLOCKS} blocks`) }
        rates.push(BLOCKS / (performance.now() - start) * 1000)
      }
      const rate = rates.sort((a, b) => a - b)[ROUNDS >> 1]
      console.log(JSON.stringify({
        bench: 'walk',
        codec: codec.name,
        selector: name,
        hashed,
        blocks: BLOCKS,
        bytes: bytes.get(keyOf(root))?.length,
        blocksPerSecond: Math.round(rate),
        microsecondsPerBlock: Number((1e6 / rate).toFixed(2))
      }))
    }
  }
}
