import { deepEqual, equal, throws } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decode, encode } from '@ipld/dag-json'
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import codecs from '../vectors/codecs.json' with { type: 'json' }
import { dagJson } from '../../src/store/dag-json.ts'
import { readPlainDagJson } from '../../src/store/plain-dag-json.ts'

const LINK = 'baguqeerah5jbm4o22vrstcqv6bqibsilh3bgamxcbiyxgvwaslbeionwniiq'
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const read = (text: string): unknown => readPlainDagJson(bytesOf(text))

/** What a decoder gives, or that it throws. */
function outcome (decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): unknown {
  try {
    return { value: decode(bytes) }
  } catch {
    return 'throws'
  }
}

describe('readPlainDagJson()', () => {
  it('reads an advertisement', () => {
    const ad = {
      Addresses: ['/dns4/example.com/tcp/443/https'],
      ContextID: Uint8Array.of(1, 2, 3, 4),
      Entries: CID.parse(LINK),
      IsRm: false,
      Metadata: new Uint8Array(0),
      PreviousID: CID.parse(LINK),
      Provider: '12D3KooWKRyzVWW6ChFjQjK4miCty85Niy48tpPV95XdKu1BcvMA',
      Signature: Uint8Array.from({ length: 200 }, (_, i) => i)
    }
    deepEqual(readPlainDagJson(dagJson.encode(ad)), ad)
  })

  it('reads every kind', () => {
    deepEqual(read('{"a":[1,-20,999999999999999,0,[],{}],"b":{"c":null,"d":true,"e":false},"":"","2":"x"}'), {
      a: [1, -20, 999999999999999, 0, [], {}], b: { c: null, d: true, e: false }, '': '', 2: 'x'
    })
    deepEqual(read(`"${'long '.repeat(100)}"`), 'long '.repeat(100))
    deepEqual(read('{"/":{"bytes":"AQ"}}'), Uint8Array.of(1))
    deepEqual(read('{"a":1,"/":"x"}'), { a: 1, '/': 'x' })
  })

  it('leaves to the whole decoder what is not as plain', () => {
    const others = [
      '', ' 1', '1 ', '{ }', '{"a": 1}', '"\\n"', '"é"', '{"é":1}', '1.0', '1e2', '01', '-0', '-', '1234567890123456', 'nul', 'True',
      '{"a":1,"a":2}', '{"__proto__":1}', '{"a":1,}', '[1,]', '[1', '"a', '{"a"', '{"a":1}}', '{a:1}', '\u0000', '[1]\u0000',
      `{"/":"${LINK}","x":1}`, '{"/":"bx"}', '{"/":"baaaa"}', '{"/":"QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n"}', `{"/":"${LINK.toUpperCase()}"}`,
      '{"/":1}', '{"/":{}}', '{"/":{"bytes":"AQ="}}', '{"/":{"bytes":"AQ=="}}', '{"/":{"bytes":"AR"}}', '{"/":{"bytes":"A"}}',
      '{"/":{"bytes":"A-_B"}}', '{"/":{"bytes":"AQ","x":1}}', '{"/":{"bytes":"AQ"},"x":1}', '{"/":{"bytes":1}}', '{"/":{"bytes":"AQ',
      `{"/":"bac${LINK.slice(3)}"}`, // of version 0, with the prefix of a base
      `${'['.repeat(65)}${']'.repeat(65)}`, `${'{"a":'.repeat(65)}1${'}'.repeat(65)}`
    ]
    for (const text of others) { equal(read(text), undefined, text) }
  })
})

describe('the dag-json of link systems', () => {
  it('decodes what Go wrote as @ipld/dag-json does', () => {
    for (const { name, inputBase64 } of codecs.decodeDagJson) {
      const bytes = Buffer.from(inputBase64, 'base64')
      deepEqual(outcome(dagJson.decode, bytes), outcome(decode, bytes), name)
    }
  })

  it('decodes any bytes as @ipld/dag-json does, also cut off or damaged ones', () => {
    const cid = CID.parse(LINK)
    const { node } = fc.letrec<{ node: any }>(tie => ({
      node: fc.oneof(
        { maxDepth: 4 },
        fc.string(), fc.integer(), fc.maxSafeInteger(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(),
        fc.constant(null), fc.constant(cid), fc.uint8Array(), fc.array(tie('node')),
        fc.dictionary(fc.oneof(fc.string(), fc.constantFrom('a', '/', 'PreviousID')), tie('node'), { noNullPrototype: true })
      )
    }))
    const damage = fc.option(fc.tuple(fc.nat(), fc.nat(255)), { nil: undefined })
    fc.assert(fc.property(node, damage, (node, damage) => {
      const bytes = encode(node).slice()
      if (damage != null && bytes.length > 0) { bytes[damage[0] % bytes.length] = damage[1] }
      deepEqual(outcome(dagJson.decode, bytes), outcome(decode, bytes))
      const plain = readPlainDagJson(bytes)
      if (plain !== undefined) { deepEqual({ value: plain }, outcome(decode, bytes)) }
    }), { numRuns: 2_000 })
  })

  it('gives its own bytes, not a view of the block', () => {
    const block = bytesOf('{"/":{"bytes":"AQID"}}')
    const value = dagJson.decode(block)
    block.fill(0)
    deepEqual(value, Uint8Array.of(1, 2, 3))
    throws(() => dagJson.decode(block))
  })
})
