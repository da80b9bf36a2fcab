// Cases of dagsync/selector_test.go (go-libipni v0.7.8).
import { before, describe, it } from 'node:test'
import { deepEqual, equal, ok } from 'node:assert/strict'
import { CID } from 'multiformats/cid'
import type { RecursionLimit, SelectorNode } from '../../src/shared/types.ts'
import {
  exploreAll, exploreFields, exploreRange, exploreRecursive, exploreRecursiveEdge, exploreRecursiveWithStop, exploreUnion, matcher,
  recursionLimitDepth, recursionLimitNone
} from '../../src/traversal/index.ts'
import { recursionLimit, withRecursionLimit } from '../../src/traversal/limits.ts'
import { stopNode } from '../../src/traversal/stop-at.ts'
import { randomCid } from '../support/hall.ts'

describe('selectors of dagsync', () => {
  const edge = exploreRecursiveEdge()
  const sequence = exploreUnion(matcher(), exploreAll(edge)) // Go's has no edge: that does not compile, and we say so at once
  let stop: CID

  before(async () => { stop = await randomCid() })

  it('TestGetStopNode: finds the stop link', () => {
    const v0 = CID.parse('QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n')
    ok(stopNode(exploreRecursiveWithStop(recursionLimitNone, undefined, v0))?.equals(v0))
    ok(stopNode(exploreRecursiveWithStop(recursionLimitNone, undefined, stop))?.equals(stop))
  })

  it('TestGetStopNodeWhenNil: finds none where none is', () => {
    equal(stopNode(exploreRecursiveWithStop(recursionLimitNone)), undefined)
    equal(stopNode(exploreAll(matcher())), undefined)
  })

  for (const [name, make, limit] of [
    ['no limit is not found', () => exploreAll(matcher()), undefined],
    ['unlimited is found', () => exploreRecursive(recursionLimitNone, exploreAll(edge)), recursionLimitNone],
    ['limited to zero is found', () => exploreRecursive({ depth: 0 }, exploreAll(edge)), { depth: 0 }],
    ['limited to non-zero is found', () => exploreRecursive({ depth: 42 }, exploreAll(edge)), { depth: 42 }],
    ['unlimited without stop link is found', () => exploreRecursiveWithStop(recursionLimitNone, sequence), recursionLimitNone],
    ['unlimited with stop link is found', () => exploreRecursiveWithStop(recursionLimitNone, sequence, stop), recursionLimitNone],
    ['limited without stop link is found', () => exploreRecursiveWithStop({ depth: 55 }, sequence), { depth: 55 }],
    ['limited with stop link is found', () => exploreRecursiveWithStop({ depth: 68 }, sequence, stop), { depth: 68 }]
  ] as Array<[string, () => SelectorNode, RecursionLimit | undefined]>) {
    it(`TestGetRecursionLimit: ${name}`, () => { deepEqual(recursionLimit(make()), limit) })
  }

  const complex = exploreFields({ fish: edge, lobster: exploreRange(2, 3, edge) })
  for (const [name, limit, make, want] of [
    ['a limit is not added where no recursion is', recursionLimitDepth(1), () => exploreAll(matcher()), () => undefined],
    ['the same limit is applied', recursionLimitNone,
      () => exploreRecursive(recursionLimitNone, exploreAll(edge)), () => exploreRecursive(recursionLimitNone, exploreAll(edge))],
    ['another limit is applied', recursionLimitDepth(45),
      () => exploreRecursive(recursionLimitNone, exploreAll(edge)), () => exploreRecursive({ depth: 45 }, exploreAll(edge))],
    ['another limit is applied to a complex sequence', recursionLimitNone,
      () => exploreRecursive({ depth: 1413 }, complex), () => exploreRecursive(recursionLimitNone, complex)],
    ['unlimited without stop link is applied', recursionLimitDepth(1413),
      () => exploreRecursiveWithStop(recursionLimitNone, sequence), () => exploreRecursiveWithStop({ depth: 1413 }, sequence)],
    ['unlimited with stop link is applied', recursionLimitDepth(1413),
      () => exploreRecursiveWithStop(recursionLimitNone, sequence, stop), () => exploreRecursiveWithStop({ depth: 1413 }, sequence, stop)]
  ] as Array<[string, RecursionLimit, () => SelectorNode, () => SelectorNode | undefined]>) {
    it(`TestWithRecursionLimit: ${name}`, () => {
      const given = make()
      deepEqual(withRecursionLimit(given, limit), want())
      deepEqual(given, make(), 'the given selector stays as it is')
    })
  }
})
