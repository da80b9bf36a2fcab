import { deepEqual, equal } from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { plainCid } from '../../src/shared/plain-cid.ts'

const cids = fc.record({
  codec: fc.oneof(fc.constantFrom(0x55, 0x70, 0x71, 0x0129), fc.integer({ min: 0, max: 2 ** 32 })),
  hash: fc.oneof(fc.constantFrom(0, 0x12, 0x13, 0xb220), fc.integer({ min: 0, max: 2 ** 32 })),
  digest: fc.uint8Array({ maxLength: 150 })
})

function decoded (bytes: Uint8Array): CID | undefined {
  try {
    return CID.decode(bytes)
  } catch {
    return undefined
  }
}

describe('plainCid()', () => {
  it('gives what CID.decode() gives, for all CIDs that have a short hash code and a short digest', () => {
    fc.assert(fc.property(cids, ({ codec, hash, digest }) => {
      const cid = CID.createV1(codec, Digest.create(hash, digest))
      const plain = plainCid(cid.bytes)
      equal(plain != null, hash < 0x80 && digest.length < 0x80)
      if (plain != null) { deepEqual(plain, CID.decode(cid.bytes)) }
    }), { numRuns: 1_000 })
  })

  it('gives nothing that CID.decode() does not give, and no bytes that are not its own', () => {
    fc.assert(fc.property(cids, fc.nat(), fc.nat(255), fc.integer({ min: -3, max: 3 }), ({ codec, hash, digest }, at, byte, more) => {
      const { bytes } = CID.createV1(codec, Digest.create(hash, digest))
      const damaged = new Uint8Array(Math.max(0, bytes.length + more))
      damaged.set(bytes.subarray(0, damaged.length))
      damaged[at % Math.min(8, damaged.length)] = byte
      const plain = plainCid(damaged)
      if (plain != null) { deepEqual(plain, decoded(damaged)) }
    }), { numRuns: 5_000 })
    for (const bytes of [[], [1], [1, 0x55], [1, 0x55, 0], [1, 0xd5, 0, 0, 0], [0x12, 32, ...new Uint8Array(32)]]) {
      equal(plainCid(Uint8Array.from(bytes)), undefined)
    }
  })
})
