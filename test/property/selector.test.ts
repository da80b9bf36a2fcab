import { deepEqual, equal } from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as dagCbor from '@ipld/dag-cbor'
import * as dagJson from '@ipld/dag-json'
import fc from 'fast-check'
import { parseSelector } from '../../src/traversal/index.ts'
import { recursionLimit, withRecursionLimit } from '../../src/traversal/limits.ts'
import { compile } from '../../src/traversal/selector.ts'
import { stopNode } from '../../src/traversal/stop-at.ts'
import { cidNumber, selectors } from './arbitraries.ts'

const links = [0, 1, 2].map(cidNumber)

function asMaps (node: any): unknown {
  if (Array.isArray(node)) { return node.map(asMaps) }
  if (typeof node !== 'object' || node === null || links.includes(node)) { return node }
  return new Map(Object.entries(node).map(([key, value]) => [key, asMaps(value)]))
}

describe('selectors', () => {
  it('come back from dag-cbor and dag-json as they were, and compile there too', () => {
    fc.assert(fc.property(selectors(links), node => {
      const viaCbor = dagCbor.decode<any>(dagCbor.encode(node))
      const viaJson = dagJson.decode<any>(dagJson.encode(node))
      deepEqual(dagCbor.encode(parseSelector(viaCbor).node), dagCbor.encode(node))
      deepEqual(dagJson.encode(parseSelector(viaJson).node), dagJson.encode(node))
      equal(compile(viaJson).canFail, compile(node).canFail)
    }))
  })

  it('compile alike from objects and from Maps', () => {
    fc.assert(fc.property(selectors(links), node => {
      deepEqual(compile(asMaps(node)).clause, compile(node).clause)
    }))
  })

  it('keep all but the limit when it is replaced', () => {
    fc.assert(fc.property(selectors(links), fc.integer(), (node, depth) => {
      const limited = withRecursionLimit(node, { depth })
      equal(limited != null, 'R' in node)
      if (limited == null) { return }
      deepEqual(recursionLimit(limited), { depth })
      equal(stopNode(limited), stopNode(node))
      deepEqual({ ...limited.R, l: undefined }, { ...node.R, l: undefined })
    }))
  })

  it('are never left with anything but InvalidSelectorError when the node is none', () => {
    fc.assert(fc.property(fc.anything(), node => {
      try {
        parseSelector(node)
      } catch (error: any) {
        equal(error.name, 'InvalidSelectorError')
      }
    }))
  })
})
