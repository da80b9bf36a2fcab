import type { CID } from 'multiformats/cid'
import type { LoadBlock, Selector, SelectorNode, WalkOptions } from '../shared/types.ts'
import { Traversal } from './traversal.ts'

/**
 * Walks the blocks that a selector reaches from a root, depth first in the order of their encoded bytes. Gives one item for each
 * block load, repeats included. Does not verify hashes: load() does. Its memory grows with the selector, not with the blocks.
 *
 * A block that does not decode is given too, then the walk throws. Go: traversal.Progress.WalkAdv (go-ipld-prime v0.20.0).
 *
 * @throws {InvalidSelectorError} the selector cannot be compiled or followed
 * @throws {InvalidMessageError} a block does not decode
 * @throws {UnknownCodecError} before the load of that block
 * @throws what load() rejects with, and the signal's reason
 */
export async function * walk (
  root: CID, selector: Selector | SelectorNode, load: LoadBlock, options: WalkOptions = {}
): AsyncGenerator<{ cid: CID, bytes: Uint8Array }, void, undefined> {
  const { signal, onMissing } = options
  const loadOptions = { signal }
  const traversal = new Traversal(root, selector, options)
  for (;;) {
    signal?.throwIfAborted()
    const link = traversal.next()
    if (link == null) { return }
    const { cid } = link
    let bytes: Uint8Array
    try {
      const loaded = load(cid, loadOptions)
      bytes = loaded instanceof Uint8Array ? loaded : await loaded
    } catch (error: any) {
      if (onMissing === 'skip' && error?.name === 'NotFoundError') { continue }
      throw error
    }
    let undecodable: { error: unknown } | undefined
    try {
      traversal.follow(bytes) // before the block is given: whoever gets it may change it
    } catch (error) {
      undecodable = { error }
    }
    yield { cid, bytes }
    if (undecodable != null) { throw undecodable.error }
  }
}
