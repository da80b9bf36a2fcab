import { deepEqual, equal, throws } from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import {
  dagsyncSelector, exploreAll, exploreFields, exploreIndex, exploreRange, exploreRecursive, exploreRecursiveEdge,
  exploreRecursiveWithStop, exploreUnion, matcher, parseSelector, recursionLimitDepth, recursionLimitNone
} from '../../src/traversal/index.ts'
import { recursionLimit, withRecursionLimit } from '../../src/traversal/limits.ts'
import { stopNode } from '../../src/traversal/stop-at.ts'

const stop = CID.parse('baguqeerah5jbm4o22vrstcqv6bqibsilh3bgamxcbiyxgvwaslbeionwniiq')
const edge = exploreRecursiveEdge()

function nested (depth: number, wrap: (node: any) => any, inner: any = matcher()): any {
  let node = inner
  for (let i = 0; i < depth; i++) { node = wrap(node) }
  return node
}

describe('builders', () => {
  it('build what Go builds', () => {
    deepEqual(matcher(), { '.': {} })
    deepEqual(exploreAll(matcher()), { a: { '>': { '.': {} } } })
    deepEqual(exploreIndex(2, matcher()), { i: { i: 2, '>': { '.': {} } } })
    deepEqual(exploreRange(1, 4, matcher()), { r: { '^': 1, $: 4, '>': { '.': {} } } })
    deepEqual(exploreUnion(matcher(), exploreAll(matcher())), { '|': [{ '.': {} }, { a: { '>': { '.': {} } } }] })
    deepEqual(exploreRecursive({ depth: 3 }, exploreAll(edge), stop), {
      R: { l: { depth: 3 }, ':>': { a: { '>': { '@': {} } } }, '!': { '/': stop } }
    })
    deepEqual(dagsyncSelector(recursionLimitNone), { R: { l: { none: {} }, ':>': { a: { '>': { '@': {} } } } } })
    deepEqual(exploreRecursiveWithStop({ depth: 3 }, undefined, stop), dagsyncSelector(recursionLimitDepth(3), stop))
  })

  it('put fields in the order of dag-cbor, where names look like integers too', () => {
    const inOrder = exploreFields({ PreviousID: edge, Entries: edge })
    deepEqual(Object.keys(inOrder.f['f>']), ['Entries', 'PreviousID'])
    const numbers = exploreFields({ 10: edge, b: edge, 9: edge })
    deepEqual([...numbers.f['f>'].keys()], ['9', 'b', '10'])
    deepEqual(dagCbor.decode(dagCbor.encode(numbers)), { f: { 'f>': { 9: edge, b: edge, 10: edge } } })
  })

  it('refuse wrong arguments, and say which', () => {
    const refused: Array<[() => unknown, string, string?]> = [
      [() => exploreIndex(1.5, matcher()), 'InvalidOptionError', 'index'],
      [() => exploreIndex(-1, matcher()), 'InvalidOptionError', 'index'],
      [() => exploreRange(3, 3, matcher()), 'InvalidOptionError', 'end'],
      [() => exploreFields([] as any), 'InvalidOptionError', 'fields'],
      [() => exploreRecursive({} as any, exploreAll(edge)), 'InvalidOptionError', 'limit'],
      [() => exploreRecursive({ depth: NaN }, exploreAll(edge)), 'InvalidOptionError', 'limit'],
      [() => exploreRecursive({ depth: 1 }, exploreAll(edge), 'cid' as any), 'InvalidOptionError', 'stopAt'],
      [() => recursionLimitDepth(0.5), 'InvalidOptionError', 'depth'],
      [() => exploreAll(undefined as any), 'InvalidSelectorError'],
      [() => exploreUnion({} as any), 'InvalidSelectorError'],
      [() => exploreFields({ a: 5 as any }), 'InvalidSelectorError'],
      [() => exploreRecursive({ depth: 1 }, matcher()), 'InvalidSelectorError'],
      [() => exploreRecursiveWithStop({ depth: 1 }, { q: {} }), 'InvalidSelectorError']
    ]
    for (const [build, name, field] of refused) { throws(build, field == null ? { name } : { name, field }) }
  })

  it('do not share or change what they are given', () => {
    const limit = recursionLimitNone
    const node = dagsyncSelector(limit)
    node.R.l.none.x = 1
    deepEqual(dagsyncSelector(limit).R.l, { none: {} })
  })
})

describe('stopNode(), recursionLimit(), withRecursionLimit()', () => {
  it('look at a recursion at the top only', () => {
    const node = dagsyncSelector({ depth: 5 }, stop)
    equal(stopNode(node), stop)
    deepEqual(recursionLimit(node), { depth: 5 })
    deepEqual(recursionLimit(dagsyncSelector(recursionLimitNone)), { none: {} })
    for (const other of [exploreUnion(node), matcher(), {}, undefined as any, 5 as any]) {
      equal(stopNode(other), undefined)
      equal(recursionLimit(other), undefined)
      equal(withRecursionLimit(other, { depth: 1 }), undefined)
    }
  })

  it('keep the other entries', () => {
    const node = dagsyncSelector({ depth: 5 }, stop)
    node.R.x = 1
    deepEqual(withRecursionLimit(node, { depth: 2 }), { R: { ...node.R, l: { depth: 2 } } })
    deepEqual(node.R.l, { depth: 5 })
    deepEqual(withRecursionLimit(new Map([['R', new Map(Object.entries(node.R))]]) as any, recursionLimitNone)?.R['!'], { '/': stop })
  })
})

describe('parseSelector()', () => {
  it('says where it is wrong', () => {
    const node = { R: { l: { none: {} }, ':>': { '|': [{ a: { '>': { '@': {} } } }, { q: {} }] } } }
    throws(() => parseSelector(node), { name: 'InvalidSelectorError', message: /R\/:>\/\|1\/q/ })
  })

  it('takes ints as bigint, and refuses those beyond 64 bits', () => {
    parseSelector({ R: { l: { depth: 2n ** 62n }, ':>': exploreAll(edge) } })
    throws(() => parseSelector({ R: { l: { depth: 2n ** 63n }, ':>': exploreAll(edge) } }), { name: 'InvalidSelectorError' })
    throws(() => parseSelector({ i: { i: 1.5, '>': matcher() } }), { name: 'InvalidSelectorError' })
  })

  it('gives an edge to the nearest recursion', () => {
    const inner = { R: { l: { none: {} }, ':>': exploreAll(edge) } }
    throws(() => parseSelector({ R: { l: { none: {} }, ':>': inner } }), { message: /of its own/ })
    parseSelector({ R: { l: { none: {} }, ':>': { '|': [inner, exploreAll(edge)] } } })
  })

  it('refuses hostile selectors quickly', () => {
    const twice = nested(40, node => ({ '|': [node, node] }))
    const itself: any = { a: {} }
    itself.a['>'] = itself
    const hostile = [
      nested(1_000, node => ({ '|': [node] })),
      nested(100_000, node => ({ a: { '>': node } })),
      nested(1_000, sequence => ({ R: { l: { none: {} }, ':>': { '|': [sequence, exploreAll(edge)] } } })),
      twice,
      itself,
      { '|': new Array(100_000).fill(matcher()) }
    ]
    for (const node of hostile) { throws(() => parseSelector(node), { name: 'InvalidSelectorError' }) }
  })

  it('takes a path of 200 fields, and a range without end', () => {
    parseSelector(nested(200, node => exploreFields({ a: node })))
    parseSelector({ r: { '^': 0, $: 2n ** 62n, '>': matcher() } })
  })
})
