import { readFileSync } from 'node:fs'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { MemoryBlockstore } from 'blockstore-core'
import { CID } from 'multiformats/cid'
import type { LinkSystem } from '../../src/shared/types.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'

export const readVectors = (name: string): any => JSON.parse(readFileSync(`test/vectors/${name}.json`, 'utf8'))

/** The publisher of the vectors. */
export const vectorKey = async (): Promise<PrivateKey> => generateKeyPairFromSeed('Ed25519', new Uint8Array(32).fill(1))

/** Blocks of the vectors; the one named fails to be read. */
export async function vectorStore (blocks: Array<{ cid: string, bytes: string }>, failing?: string): Promise<LinkSystem> {
  const blockstore = new MemoryBlockstore()
  for (const { cid, bytes } of blocks) { await blockstore.put(CID.parse(cid), new Uint8Array(Buffer.from(bytes, 'base64'))) }
  const linkSystem = createLinkSystem({ blockstore })
  if (failing != null) { failReads(blockstore, cid => cid.toString() === failing) }
  return linkSystem
}

/** Makes reads of some blocks fail, as a broken disk does. */
export function failReads (blockstore: MemoryBlockstore, which: (cid: CID) => boolean): void {
  const get = blockstore.get.bind(blockstore)
  blockstore.get = (cid, options) => {
    if (which(cid)) { throw new Error('disk on fire') }
    return get(cid, options)
  }
}
