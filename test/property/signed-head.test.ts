import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { dagJson } from '../../src/store/dag-json.ts'
import { encodeSignedHead, openSignedHead } from '../../src/syncers/httpsync/signed-head.ts'

const keys = [await generateKeyPair('Ed25519'), await generateKeyPair('secp256k1')]
const cids = fc.tuple(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.constantFrom(0x71, 0x0129, 0x55))
  .map(([digest, code]) => CID.createV1(code, Digest.create(0x12, digest)))
const topics = fc.option(fc.string({ unit: 'grapheme' }), { nil: undefined })

async function opens (bytes: Uint8Array): Promise<Awaited<ReturnType<typeof openSignedHead>> | undefined> {
  try {
    return await openSignedHead(bytes)
  } catch (error: any) {
    equal(error.name, 'InvalidSignedHeadError')
    return undefined
  }
}

describe('signed heads', () => {
  it('open as what was signed', () => fc.assert(fc.asyncProperty(cids, topics, fc.constantFrom(...keys), async (cid, topic, key) => {
    const opened = await openSignedHead(await encodeSignedHead(cid, key, topic))
    ok(opened.head.equals(cid))
    equal(opened.topic, topic === '' ? undefined : topic)
    ok(opened.signer.equals(peerIdFromPrivateKey(key)))
  }), { numRuns: 50 }))

  it('are dag-json, canonical in every key and byte', () => fc.assert(fc.asyncProperty(cids, topics, async (cid, topic) => {
    const bytes = await encodeSignedHead(cid, keys[0], topic)
    deepEqual(bytes, dagJson.encode(dagJson.decode(bytes)))
  }), { numRuns: 50 }))

  it('changed in any byte do not open as another head of the same signer', async () => {
    const cid = CID.parse('baguqeerah5jbm4o22vrstcqv6bqibsilh3bgamxcbiyxgvwaslbeionwniiq')
    const bytes = await encodeSignedHead(cid, keys[0], '/topic')
    await fc.assert(fc.asyncProperty(fc.nat(bytes.length - 1), fc.nat(255), async (at, value) => {
      const opened = await opens(bytes.with(at, value))
      ok(opened == null || !opened.signer.equals(peerIdFromPrivateKey(keys[0])) || (opened.head.equals(cid) && opened.topic === '/topic'))
    }), { numRuns: 300 })
  })

  it('fail with their own error, whatever the bytes', () => fc.assert(fc.asyncProperty(
    fc.oneof(fc.uint8Array(), fc.json().map(text => new TextEncoder().encode(text))),
    async bytes => { equal(await opens(bytes), undefined) }
  ), { numRuns: 300 }))
})
