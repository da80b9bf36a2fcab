import type { CID } from 'multiformats/cid'
import { checkWhole } from '../shared/positive.ts'
import type { LinkSystem } from '../shared/types.ts'

/** How chain() makes its nodes. */
export interface ChainOptions {
  /**
   * Size of each node's payload, in bytes.
   *
   * @default 100
   */
  payload?: number

  /** The CID that the first new node links to; its nodes count on from `index`. */
  previous?: CID

  /**
   * The number of the first node.
   *
   * @default 0
   */
  index?: number

  /**
   * Other seeds give other payloads, and so other CIDs.
   *
   * @default 0
   */
  seed?: number
}

/**
 * Stores a chain of advertisement-shaped nodes, `{ Index, Payload, PreviousID }`, and gives their CIDs, the last one first.
 *
 * Follows MkChain (go-libipni v0.3.2, dagsync/test/util.go) in its purpose, not in its nodes.
 */
export async function chain (linkSystem: LinkSystem, count: number, options: ChainOptions = {}): Promise<CID[]> {
  checkWhole('count', count, 0)
  const { payload = 100, previous, index = 0, seed = 0 } = options
  const cids: CID[] = []
  for (let i = index, last = previous; i < index + count; i++) {
    const node = { Index: i, Payload: bytes(payload, seed * 1_000_003 + i), ...(last == null ? {} : { PreviousID: last }) }
    last = await linkSystem.store(node)
    cids.push(last)
  }
  return cids.reverse()
}

/** Bytes that look random and are the same for the same seed (mulberry32). */
function bytes (length: number, seed: number): Uint8Array {
  const result = new Uint8Array(length)
  let state = seed | 0
  for (let i = 0; i < length; i++) {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    result[i] = (t ^ (t >>> 14)) >>> 24
  }
  return result
}
