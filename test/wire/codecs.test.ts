import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as dagCbor from '@ipld/dag-cbor'
import * as dagPb from '@ipld/dag-pb'
import type { CID } from 'multiformats/cid'
import type { BlockCodec } from 'multiformats/codecs/interface'
import * as raw from 'multiformats/codecs/raw'
import type { LinkSystem } from '../../src/shared/types.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { transferPair, VOUCHER } from './data-transfer/kit.ts'
import { everything, exchangePair, outcome } from './graphsync/kit.ts'

// Blocks of codecs beyond dag-json and dag-cbor, those of a link system's own among them, over both protocols.

/** DAG-CBOR of which every byte is turned over: no scanner reads it. */
const turned: BlockCodec<0x300099, any> = {
  name: 'turned',
  code: 0x300099,
  encode: node => dagCbor.encode(node).map(byte => byte ^ 0xff) as any,
  decode: bytes => dagCbor.decode(Uint8Array.from(bytes as Uint8Array, byte => byte ^ 0xff))
}

/** A chain through all codecs, with ours in the middle; and how many blocks come before ours. */
async function mixedChain (store: LinkSystem): Promise<{ cids: CID[], before: number }> {
  const leaf = await store.store(Uint8Array.of(1, 2, 3), { codec: raw })
  const pb = await store.store(dagPb.prepare({ Data: Uint8Array.of(7), Links: [{ Name: 'leaf', Tsize: 3, Hash: leaf }] }), { codec: dagPb })
  const lower = await store.store({ next: pb }, { codec: turned })
  const upper = await store.store({ list: [{ next: lower }] }, { codec: turned })
  const cbor = await store.store({ next: upper }, { codec: dagCbor })
  const root = await store.store({ next: cbor })
  return { cids: [root, cbor, upper, lower, pb, leaf], before: 2 }
}

const withCodec = (): LinkSystem => createLinkSystem({ codecs: [turned] })

interface Setup { local: LinkSystem, remote: LinkSystem }

const protocols: Record<string, (setup: Setup, root: CID) => ReturnType<typeof outcome>> = {
  graphsync: async (setup, root) => {
    await using pair = await exchangePair(setup)
    return await outcome(pair.requestor.request(pair.b.peerId, root, everything, { stallTimeout: 5_000 }))
  },
  'data transfer': async (setup, root) => {
    await using pair = await transferPair(setup)
    return await outcome(pair.initiator.pull(pair.b.peerId, VOUCHER, root, everything, { stallTimeout: 5_000 }))
  }
}

for (const [protocol, get] of Object.entries(protocols)) {
  describe(`codecs over ${protocol}`, () => {
    it('are dag-json, dag-cbor, dag-pb, raw and one that both link systems add', async () => {
      const setup = { local: withCodec(), remote: withCodec() }
      const { cids } = await mixedChain(setup.remote)
      const { cids: given, error, local } = await get(setup, cids[0])
      equal(error, undefined, error?.stack)
      deepEqual(given, cids.map(String))
      ok(local.every(local => !local))
      deepEqual(await setup.local.load(cids[3]), { next: cids[4] })
      for (const cid of cids) { ok(await setup.local.has(cid)) }
    })

    for (const [who, local, remote] of [
      ['whoever asks', createLinkSystem(), withCodec()], ['both', createLinkSystem(), createLinkSystem()]
    ] as const) {
      it(`unknown to ${who}, in the middle of a chain: UnknownCodecError, and what is before it is given and stored`, async () => {
        const { cids, before } = await mixedChain(remote)
        const { cids: given, error } = await get({ local, remote }, cids[0])
        equal(error?.name, 'UnknownCodecError')
        equal(error.codec, turned.code)
        deepEqual(given, cids.slice(0, before).map(String))
        for (const [i, cid] of cids.entries()) { equal(await local.has(cid), i < before) }
      })
    }

    it('unknown to whoever answers: TransferFailedError, and what is before it is given and stored', async () => {
      const setup = { local: withCodec(), remote: createLinkSystem() }
      const { cids, before } = await mixedChain(setup.remote)
      const { cids: given, error } = await get(setup, cids[0])
      equal(error?.name, 'TransferFailedError')
      deepEqual(given, cids.slice(0, before).map(String))
      for (const [i, cid] of cids.entries()) { equal(await setup.local.has(cid), i < before) }
    })
  })
}
