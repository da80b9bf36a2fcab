import { equal, throws } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { encodeDagJson } from '../../src/syncers/httpsync/dag-json.ts'

const { encode } = JSON.parse(readFileSync('test/vectors/codecs.json', 'utf8'))
const text = (node: unknown): string => new TextDecoder().decode(encodeDagJson(node))

describe('canonical dag-json', () => {
  for (const { name, dagCbor: cbor, dagJson } of encode) {
    it(`is what Go writes: ${name}`, () => {
      const expected = Buffer.from(dagJson, 'base64').toString()
      // @ipld/dag-cbor has put U+FFFD for the bad bytes by then, which is no bad byte
      const ours = name === 'string not utf-8' ? '"\ufffd\ufffd"' : expected
      equal(text(dagCbor.decode(Buffer.from(cbor, 'base64'))), ours)
    })
  }

  it('orders keys by their UTF-8 bytes', () => {
    equal(text({ '\u{10000}': 1, '\uffff': 2, '\ud7ff': 3, a: 4, 10: 5, 9: 6 }), '{"10":5,"9":6,"a":4,"\ud7ff":3,"\uffff":2,"\u{10000}":1}')
  })

  it('escapes what is escaped in Go only', () => {
    equal(text('\\b\b\\\f\u2028\u007f\ud800\u001f'), '"\\\\b\\u0008\\\\\\u000c\\u2028\u007f\\ufffd\\u001f"')
  })

  it('writes maps as Map, and links of CID v0', () => {
    const cid = CID.parse('QmPNHBy5h7f19yJDt7ip9TvmMRbqmYsa6aetkrsc1ghjLB')
    equal(text(new Map<string, unknown>([['b', cid], ['a', [null, true]]])), `{"a":[null,true],"b":{"/":"${cid}"}}`)
  })

  for (const [name, node] of [
    ['undefined', undefined], ['a function', () => {}], ['NaN', NaN], ['Infinity', -Infinity], ['an int beyond int64', 2n ** 63n],
    ['one inside', { a: [undefined] }]
  ] as const) {
    it(`refuses ${name}`, () => throws(() => encodeDagJson(node), Error))
  }
})
