import type { CID } from 'multiformats/cid'
import type { LinkSystem } from '../../src/shared/types.ts'

/** A chain of entry chunks, the one that leads to the others first. */
export async function entriesChain (linkSystem: LinkSystem, count: number, seed = 0): Promise<CID[]> {
  const cids: CID[] = []
  for (let i = count - 1; i >= 0; i--) {
    const Entries = [new TextEncoder().encode(`multihash ${i} of ${seed}`)]
    cids.unshift(await linkSystem.store({ Entries, ...(cids.length === 0 ? {} : { Next: cids[0] }) }))
  }
  return cids
}

/** Advertisements, the newest first, each with a chain of so many chunks of entries; without any it removes. */
export async function adChain (linkSystem: LinkSystem, count: number, { chunks = 1 } = {}): Promise<{ ads: CID[], entries: CID[][] }> {
  const ads: CID[] = []
  const entries: CID[][] = []
  for (let i = 0; i < count; i++) {
    entries.unshift(await entriesChain(linkSystem, chunks, i))
    ads.unshift(await linkSystem.store({
      ContextID: new Uint8Array([i]),
      IsRm: chunks === 0,
      ...(chunks === 0 ? {} : { Entries: entries[0][0] }),
      ...(i === 0 ? {} : { PreviousID: ads[0] })
    }))
  }
  return { ads, entries }
}

/** So many blocks, each with two links to the next: a walk of it has 2^levels ways. */
export async function doubling (linkSystem: LinkSystem, levels: number): Promise<CID> {
  let root = await linkSystem.store({ leaf: true })
  for (let i = 0; i < levels; i++) { root = await linkSystem.store([root, root]) }
  return root
}
