import type { CID } from 'multiformats/cid'
import type { SelectorNode } from '../../shared/types.ts'
import { depthOf, recursionLimit, recursionLimitDepth, recursionLimitNone, withRecursionLimit } from '../../traversal/limits.ts'
import type { Rest } from '../../traversal/traversal.ts'

/** A block of a pull. */
interface Step {
  depth?: number
}

/** A pull, of which a part's blocks are read. */
export interface PartPull<T extends Step> {
  next (): T | undefined | Promise<T | undefined>
  close (): void
  readonly rest: Rest | 'branches' | undefined
  readonly metStop: boolean
}

export interface PartsInit<T extends Step> {
  root: CID
  selector: SelectorNode

  /** How deep the next pull may go; Infinity: it brings all that is left. */
  limit (): Promise<number>
  open (root: CID, selector: SelectorNode): PartPull<T>

  /** Called for each block once, in the order of the whole walk, with the links between it and the root of the first part. */
  onBlock (block: T, depth: number): void | Promise<void>

  /** Called for each block of a part that is walked again. */
  onPassed?: () => void
}

/** What is left of the whole. */
interface Left {
  root: CID

  /** Links from the first root to this one. */
  depth: number

  /** Passes of the selector's edge. */
  passes: number
}

/**
 * Pulls a chain in parts, each by a limit on the depth of the selector's recursion, and true to the order of the whole walk: where a
 * limit cuts off more than the end of a chain, the rest is pulled as a whole. Gives whether a stop link was met.
 */
export async function pullInParts<T extends Step> (init: PartsInit<T>): Promise<boolean> {
  const { selector, open } = init
  const whole = recursionLimit(selector)
  const all = depthOf(whole)
  let inParts = whole != null
  let metStop = false
  let given = 0 // blocks of this root
  for (let left: Left | undefined = { root: init.root, depth: 0, passes: all }; left != null;) {
    const { root, depth, passes }: Left = left
    const part = inParts ? Math.min(passes, await init.limit()) : passes
    const pull = open(root, part === all ? selector : withLimit(selector, part))
    try {
      let skip = given // those before were of a part that did not do
      for (;;) {
        const step = pull.next()
        const block = step instanceof Promise ? await step : step
        if (block == null) { break }
        if (skip > 0) {
          skip--
          init.onPassed?.()
          continue
        }
        given++
        const called = init.onBlock(block, depth + (block.depth ?? 0))
        if (called != null) { await called }
        if (part < passes && pull.rest === 'branches') { break }
      }
      metStop ||= pull.metStop
      const { rest } = pull
      if (part === passes || rest == null) { break }
      if (rest === 'branches') {
        inParts = false
        continue
      }
      const more: number = passes - part - rest.over
      left = more < 1 ? undefined : { root: rest.cid, depth: depth + rest.depth, passes: more }
      given = 0
    } finally {
      pull.close()
    }
  }
  return metStop
}

function withLimit (selector: SelectorNode, passes: number): SelectorNode {
  return withRecursionLimit(selector, passes === Infinity ? recursionLimitNone : recursionLimitDepth(passes)) ?? selector
}
