import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import type { SelectorNode } from '../../src/shared/types.ts'
import type { Value } from '../interop/selectors/generate.ts'

/** A block of a random DAG; a link to a number is one to the block of that number, modulo those before it. */
export type Draft = null | number | string | { link: number } | { list: Draft[] } | { map: Array<[string, Draft]> }

const KEYS = ['a', 'b', 'next', '0', '1', '10', '']

/** A CID with a made-up digest: no walk here hashes. */
export function cidNumber (number: number): CID {
  const digest = new Uint8Array(32)
  new DataView(digest.buffer).setUint32(28, number)
  return CID.createV1(number % 2 === 0 ? 0x0129 : 0x71, Digest.create(0x12, digest))
}

export function drafts (): fc.Arbitrary<Draft[]> {
  const { container } = fc.letrec<{ container: Draft, value: Draft }>(tie => ({
    container: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.array(tie('value'), { maxLength: 4 }).map(list => ({ list })),
      fc.uniqueArray(fc.tuple(fc.constantFrom(...KEYS), tie('value')), { maxLength: 4, selector: ([key]) => key }).map(map => ({ map }))
    ),
    value: fc.oneof(
      { maxDepth: 3, depthSize: 'small' },
      fc.nat(20).map(link => ({ link })),
      fc.constantFrom(null, 1, 'text'),
      tie('container')
    )
  }))
  return fc.array(container, { minLength: 1, maxLength: 6 })
}

/** The block with its links: those of the first block, which has none before it, become text. */
export function linked (draft: Draft, before: CID[]): Value {
  if (typeof draft !== 'object' || draft === null) { return draft }
  if ('link' in draft) { return before.length === 0 ? 'no link' : { link: before[draft.link % before.length] } }
  if ('list' in draft) { return { list: draft.list.map(item => linked(item, before)) } }
  return { map: draft.map.map(([key, item]) => [key, linked(item, before)]) }
}

export function selectors (links: CID[]): fc.Arbitrary<SelectorNode> {
  const { outside } = fc.letrec<{ outside: any, inside: any }>(tie => {
    const kinds = (next: fc.Arbitrary<any>): Array<fc.Arbitrary<any>> => [
      next.map(node => ({ a: { '>': node } })),
      fc.dictionary(fc.constantFrom(...KEYS), next, { minKeys: 1, maxKeys: 3, noNullPrototype: true }).map(fields => ({ f: { 'f>': fields } })),
      fc.tuple(fc.integer({ min: -1, max: 3 }), next).map(([i, node]) => ({ i: { i, '>': node } })),
      fc.tuple(fc.integer({ min: -2, max: 3 }), fc.integer({ min: 1, max: 4 }), next)
        .map(([start, size, node]) => ({ r: { '^': start, $: start + size, '>': node } })),
      fc.array(next, { maxLength: 3 }).map(members => ({ '|': members })),
      fc.tuple(
        fc.oneof(fc.constant({ none: {} }), fc.integer({ min: -1, max: 4 }).map(depth => ({ depth }))),
        tie('inside'),
        fc.option(fc.constantFrom(...links), { nil: undefined })
      ).map(([l, sequence, stop]) => ({
        R: { l, ':>': hasEdge(sequence) ? sequence : { a: { '>': { '@': {} } } }, ...(stop == null ? {} : { '!': { '/': stop } }) }
      }))
    ]
    return {
      outside: fc.oneof({ maxDepth: 5, depthSize: 'small' }, fc.constant({ '.': {} }), ...kinds(tie('outside'))),
      inside: fc.oneof({ maxDepth: 5, depthSize: 'small' }, fc.constant({ '@': {} }), fc.constant({ '.': {} }), ...kinds(tie('inside')))
    }
  })
  return outside
}

/** Whether a sequence has an edge of its own, outside of other recursions. */
export function hasEdge (node: any): boolean {
  if (typeof node !== 'object' || node === null || 'R' in node) { return false }
  return '@' in node || Object.values(node).some(hasEdge)
}
