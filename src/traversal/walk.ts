import type { CID } from 'multiformats/cid'
import { InvalidOptionError } from '../shared/errors.ts'
import { LongLoop } from '../shared/event-loop.ts'
import { isNotFound } from '../shared/not-found.ts'
import type { LoadBlock, Selector, SelectorNode, WalkOptions } from '../shared/types.ts'
import { Traversal } from './traversal.ts'

/**
 * Walks the blocks that a selector reaches from a root, depth first in the order of their encoded bytes. Gives one item for each
 * block load, repeats included. Does not verify hashes: load() does. Its memory grows with the selector, not with the blocks.
 *
 * A block that does not decode is given too, then the walk throws. Go: traversal.Progress.WalkAdv (go-ipld-prime v0.20.0).
 *
 * @throws {InvalidOptionError} the root is no CID, or load() gives no bytes
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
  const waiting = new Waiting(signal)
  const loop = new LongLoop()
  try {
    for (;;) {
      const pause = loop.pause()
      if (pause != null) { await pause }
      signal?.throwIfAborted()
      const link = traversal.next()
      if (link == null) { return }
      const { cid } = link
      let bytes: Uint8Array
      try {
        const loaded = load(cid, loadOptions)
        bytes = loaded instanceof Uint8Array ? loaded : await waiting.for(loaded)
        if (!ArrayBuffer.isView(bytes)) { throw new InvalidOptionError('load', 'must give the bytes of the block') }
      } catch (error) {
        if (onMissing === 'skip' && isNotFound(error)) { continue }
        throw error
      }
      const undecodable = follow(traversal, bytes) // before the block is given: whoever gets it may change it
      yield { cid, bytes }
      if (undecodable != null) { throw undecodable }
    }
  } finally {
    waiting.end()
  }
}

function follow (traversal: Traversal, bytes: Uint8Array): unknown {
  try {
    traversal.follow(bytes)
    return undefined
  } catch (error) {
    return error
  }
}

/** Ends waits with the signal's reason, also where load() does not look at it, with one listener for the whole walk. */
class Waiting {
  private readonly signal: AbortSignal | undefined
  private reject: ((reason: unknown) => void) | undefined
  private readonly abort = (): void => { this.reject?.(this.signal?.reason) }

  constructor (signal?: AbortSignal) {
    this.signal = signal
    signal?.addEventListener('abort', this.abort)
  }

  async for<T> (promise: Promise<T>): Promise<T> {
    if (this.signal == null) { return promise }
    return new Promise<T>((resolve, reject) => {
      this.reject = reject
      promise.then(resolve, reject)
      if (this.signal?.aborted === true) { this.abort() } // by load() itself
    })
  }

  end (): void {
    this.signal?.removeEventListener('abort', this.abort)
  }
}
