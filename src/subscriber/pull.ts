import type { PeerId } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { CustomProgressEvent } from 'progress-events'
import { toCid } from '../shared/check.ts'
import { BlockHookError, DepthLimitError, SegmentSyncError } from '../shared/errors.ts'
import { isThenable } from '../shared/thenable.ts'
import type {
  BlockHook, SegmentSyncActions, SelectorNode, SyncOptions, SyncedBlock, Syncer, SyncerSyncOptions
} from '../shared/types.ts'
import type { Metrics } from './metrics.ts'
import { RepeatGuard, type RepeatLimit } from './repeats.ts'
import type { Run } from './run.ts'
import { segments } from './segments.ts'

/** What to pull, and whom to tell. */
export interface PullInit {
  cid: CID
  selector: SelectorNode
  stop?: CID
  hook?: BlockHook
  segmentDepthLimit: number | false
  onProgress?: SyncOptions['onProgress']
  metrics?: Metrics

  /** What it may come to: see Pulled.unmet. */
  expected?: CID[]

  /** A block further down ends the pull, with a DepthLimitError. */
  maxDepth?: number | false

  /** More blocks that were there before end it with a RepeatLimitError. */
  repeats?: RepeatLimit

  /** What the root is, where that is known. */
  schemaType?: SyncerSyncOptions['schemaType']
}

/** What a pull has done. */
export interface Pulled {
  /** Block loads. */
  count: number

  /** Whether it came to the stop link: what is above it is new. */
  metStop: boolean

  /** What was expected, and not come to. */
  unmet: CID[]
}

/** Syncs what `init` says through one syncer, segment by segment. */
export async function pull (publisher: PeerId, syncer: Syncer, run: Run, init: PullInit): Promise<Pulled> {
  const { hook, onProgress, metrics, schemaType, maxDepth = false } = init
  const actions = new Actions()
  const repeats = init.repeats == null ? undefined : new RepeatGuard(init.repeats)
  let count = 0
  let metStop = false
  let unmet = init.expected ?? []

  /** Aborts at once: blocks of other chains of this run may have come in the same moment, and their hooks are not called. */
  const hookFailed = (cid: CID, cause: unknown): BlockHookError => {
    const error = new BlockHookError(cid, { cause })
    run.abort(error)
    return error
  }

  const callHook = async (returned: Promise<void>, cid: CID): Promise<void> => {
    try {
      run.pause()
      await returned
    } catch (cause) {
      throw hookFailed(cid, cause)
    } finally {
      run.resume()
    }
  }

  const onBlock = (block: SyncedBlock): void | Promise<void> => {
    run.signal.throwIfAborted()
    if (maxDepth !== false && block.depth != null && block.depth > maxDepth) { throw new DepthLimitError(block.cid, maxDepth) }
    repeats?.add(block.cid)
    run.progress()
    count++
    metrics?.block(block)
    if (unmet.length > 0) { unmet = unmet.filter(cid => !cid.equals(block.cid)) }
    if (onProgress != null) { onProgress(new CustomProgressEvent('dagsync:block', { ...block, count })) }
    if (hook == null) { return }
    let returned
    try {
      returned = hook(publisher, block.cid, actions)
    } catch (cause) {
      throw hookFailed(block.cid, cause)
    }
    if (isThenable(returned)) { return callHook(returned, block.cid) }
  }

  // without a hook nobody could name the next segment's CID
  const parts = segments(init.cid, init.selector, hook == null ? false : init.segmentDepthLimit, init.stop)
  const onStopLink = (): void => { metStop = true }
  const onPassed = (): void => { run.progress() }
  for (let part = parts.next(); part.done !== true; part = parts.next(actions.takeNext())) {
    const { cid, selector, depth } = part.value
    if (depth != null && onProgress != null) { onProgress(new CustomProgressEvent('dagsync:segment', { next: cid, depth })) }
    await syncer.sync(cid, selector, { signal: run.signal, onBlock, onPassed, onStopLink, schemaType })
    actions.throwIfFailed()
  }
  return { count, metStop, unmet }
}

/** The last call of a segment counts, as in Go. */
class Actions implements SegmentSyncActions {
  #next?: CID
  #error?: Error

  setNextSyncCid = (cid: CID | undefined): void => { this.#next = cid == null ? undefined : toCid('setNextSyncCid', cid) }

  failSync = (error: Error | undefined): void => { this.#error = error }

  takeNext (): CID | undefined {
    const next = this.#next
    this.#next = undefined
    return next
  }

  throwIfFailed (): void {
    if (this.#error != null) { throw new SegmentSyncError({ cause: this.#error }) }
  }
}
