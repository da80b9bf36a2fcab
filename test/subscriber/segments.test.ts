import { before, describe, it } from 'node:test'
import { deepEqual, equal } from 'node:assert/strict'
import type { CID } from 'multiformats/cid'
import { segments } from '../../src/subscriber/segments.ts'
import { dagsyncSelector, exploreAll, matcher, recursionLimitDepth, recursionLimitNone } from '../../src/traversal/index.ts'
import { randomCid } from '../support/hall.ts'

describe('segments', () => {
  let cids: CID[]

  before(async () => { cids = await Promise.all(Array.from({ length: 8 }, randomCid)) })

  /** Goes through a sync whose hook gives one CID after the other; [index of the CID, depth] of each segment. */
  function run (selector: Parameters<typeof segments>[1], limit: number | false, stop?: CID): Array<[number, number | undefined]> {
    const seen: Array<[number, number | undefined]> = []
    const parts = segments(cids[0], selector, limit, stop)
    for (let part = parts.next(); part.done !== true; part = parts.next(cids[seen.length])) {
      const { cid, depth, selector: used } = part.value
      seen.push([cids.indexOf(cid), depth])
      if (depth == null) { equal(used, selector) } else { deepEqual(used.R.l, { depth }) }
    }
    return seen
  }

  it('is one when there is no limit for them', () => {
    deepEqual(run(dagsyncSelector(recursionLimitNone), false), [[0, undefined]])
  })

  it('is one when the selector has no recursion at its top, or goes no deeper than one segment', () => {
    deepEqual(run(exploreAll(matcher()), 2), [[0, undefined]])
    deepEqual(run(dagsyncSelector(recursionLimitDepth(2)), 2), [[0, undefined]])
    deepEqual(run(dagsyncSelector(recursionLimitDepth(1)), 2), [[0, undefined]])
  })

  it('goes on while there is a next CID', () => {
    deepEqual(run(dagsyncSelector(recursionLimitNone), 3), [0, 1, 2, 3, 4, 5, 6, 7].map(i => [i, 3]))
    const parts = segments(cids[0], dagsyncSelector(recursionLimitNone), 3)
    parts.next()
    equal(parts.next(undefined).done, true)
  })

  it('ends at the stop link', () => {
    deepEqual(run(dagsyncSelector(recursionLimitNone, cids[2]), 3, cids[2]), [[0, 3], [1, 3]])
  })

  it("spends the selector's own depth, the last segment being what is left", () => {
    deepEqual(run(dagsyncSelector(recursionLimitDepth(7)), 3), [[0, 3], [1, 3], [2, 1]])
    deepEqual(run(dagsyncSelector(recursionLimitDepth(6)), 3), [[0, 3], [1, 3]])
  })

  it('keeps the rest of the selector', () => {
    const selector = dagsyncSelector(recursionLimitNone, cids[7])
    const { value } = segments(cids[0], selector, 1).next()
    deepEqual(value?.selector, dagsyncSelector(recursionLimitDepth(1), cids[7]))
  })
})
