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

  /** How deep a pull may go; Infinity: it brings all, as far as is known yet. */
  limit (): Promise<number>

  /** Blocks of a pull that brings all, after which the limit is asked for again. */
  unknownFor: number
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
    const mayHaveLimit = inParts && part === passes
    let hasLimit = false
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
        } else {
          given++
          const called = init.onBlock(block, depth + (block.depth ?? 0))
          if (called != null) { await called }
          if (mayHaveLimit && given % init.unknownFor === 0) {
            hasLimit = await init.limit() < passes
            if (hasLimit) { break }
          }
        }
        if (part < passes && pull.rest === 'branches') { break }
      }
      if (hasLimit) { continue }
      metStop ||= pull.metStop
      const { rest } = pull
      if (part === passes || rest == null) { break }
      if (rest === 'branches') {
        inParts = false
        continue
      }
      const more: number = passes - part - rest.over
      left = more < 1 ? undefined : { root: rest.cid, depth: depth + rest.depth, passes: more }
      given = skip // those of the next part that a pull without a limit has brought
    } finally {
      pull.close()
    }
  }
  return metStop
}

function withLimit (selector: SelectorNode, passes: number): SelectorNode {
  return withRecursionLimit(selector, passes === Infinity ? recursionLimitNone : recursionLimitDepth(passes)) ?? selector
}
