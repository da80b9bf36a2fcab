import type { CID } from 'multiformats/cid'
import type { LinkSystem } from '../../src/shared/types.ts'

/**
 * A chain of four nodes with maps, lists and repeated links beside it, the newest first; the half chain without the upper two.
 * The shape, and so the counts, are those of MkChain (go-libipni v0.7.8, dagsync/test/util.go).
 */
export async function mkChain (linkSystem: LinkSystem, full = true): Promise<CID[]> {
  const alpha = await linkSystem.store('alpha')
  const beta = await linkSystem.store('beta')
  const map = await linkSystem.store({ foo: true, bar: false, nested: { alink: alpha, nonlink: 'zoo' } })
  const list = await linkSystem.store([alpha, alpha, beta, alpha])

  const ch1 = await linkSystem.store({ linkedList: list })
  const ch2 = await linkSystem.store({ linkedMap: map, ch1 })
  if (!full) { return [ch2, ch1] }
  const ch3 = await linkSystem.store({ linkedString: alpha, ch2 })
  const head = await linkSystem.store({ plain: 'olde string', ch3 })
  return [head, ch3, ch2, ch1]
}

/** How many block loads a sync of all from each node takes; the full chain's. */
export const LOADS = { head: 12, ch3: 11, ch2: 9, ch1: 6 }
