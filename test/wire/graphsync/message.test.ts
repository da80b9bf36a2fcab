import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { decodeGraphsyncMessage, encodeGraphsyncMessage } from '../../../src/wire/graphsync/message.ts'

const vectors = JSON.parse(readFileSync('test/vectors/graphsync-messages.json', 'utf8'))
const bytes = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, 'base64'))
const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replace(/\s/g, ''), 'hex'))
const cids = fc.uint8Array({ minLength: 32, maxLength: 32 }).chain(digest => fc.constantFrom(0x55, 0x71, 0x0129)
  .map(code => CID.createV1(code, Digest.create(0x12, digest))))
const ids = fc.uint8Array({ minLength: 16, maxLength: 16 })
const values: fc.Arbitrary<any> = fc.letrec(tie => ({
  value: fc.oneof({ maxDepth: 4 },
    fc.constant(null), fc.boolean(), fc.integer(), fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }), fc.string(), fc.uint8Array(), cids,
    fc.double({ noNaN: true, noDefaultInfinity: true }).filter(n => !Number.isInteger(n)),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.string().filter(key => !/^\d+$|^__proto__$/.test(key)), tie('value'), { maxKeys: 4, noNullPrototype: true }))
})).value
const extensions = fc.dictionary(fc.string({ minLength: 1 }).filter(key => !/^\d+$|^__proto__$/.test(key)), values,
  { minKeys: 1, maxKeys: 3, noNullPrototype: true })
const optional = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined })
const definedOnly = (object: any): any => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined))
const requests = fc.record({
  id: ids,
  type: fc.constantFrom('new', 'cancel', 'update'),
  priority: optional(fc.integer({ min: 1, max: 2 ** 31 - 1 })),
  root: optional(cids),
  selector: optional(fc.constantFrom({ '.': {} }, { R: { l: { none: {} }, ':>': { a: { '>': { '@': {} } } } } })),
  extensions: optional(extensions)
}).map(definedOnly)
const responses = fc.record({
  requestId: ids,
  status: fc.constantFrom(10, 11, 12, 13, 14, 15, 20, 21, 30, 31, 32, 33, 34, 35),
  metadata: optional(fc.array(fc.tuple(cids, fc.constantFrom('present', 'duplicate', 'missing', 'skipped')), { minLength: 1, maxLength: 5 })),
  extensions: optional(extensions)
}).map(definedOnly)
const blocks = fc.record({
  prefix: fc.constantFrom(hex('01551220'), hex('01a9021220'), hex('01711220'), hex('00701220'), hex('0155a0e40220')),
  data: fc.uint8Array({ maxLength: 400 })
})
const messages: fc.Arbitrary<any> = fc.record({
  requests: fc.uniqueArray(requests, { maxLength: 3, selector: ({ id }: any) => Buffer.from(id).toString('hex') }),
  responses: fc.uniqueArray(responses, { maxLength: 3, selector: ({ requestId }: any) => Buffer.from(requestId).toString('hex') }),
  blocks: fc.array(blocks, { maxLength: 3 })
})
/** Metadata is a getter, CIDs cache things: compare what they say. */
const plain = (value: any): any => {
  if (value instanceof CID) { return `cid ${value}` }
  if (Array.isArray(value)) { return value.map(plain) }
  if (value instanceof Uint8Array) { return `bytes ${Buffer.from(value).toString('hex')}` }
  return typeof value === 'object' && value != null ? Object.fromEntries(Object.entries(value).map(([key, of]) => [key, plain(of)])) : value
}

describe('graphsync messages', () => {
  for (const { name, cbor, framed } of vectors.messages) {
    it(`decodes and encodes what Go wrote: ${name}`, () => {
      const raw = bytes(cbor)
      deepEqual(encodeGraphsyncMessage(decodeGraphsyncMessage(raw)), raw)
      ok(raw.length < 128 ? bytes(framed)[0] === raw.length : bytes(framed).length === raw.length + 2)
    })
  }

  for (const { name, cbor, error } of vectors.decodeOnly) {
    it(`${error == null ? 'decodes' : 'refuses'}, as Go: ${name}`, () => {
      if (error == null) {
        ok(decodeGraphsyncMessage(bytes(cbor)) != null)
      } else {
        throws(() => decodeGraphsyncMessage(bytes(cbor)), { name: 'InvalidMessageError' })
      }
    })
  }

  it('reads every part of a request and of a response', () => {
    const find = (name: string): any => decodeGraphsyncMessage(bytes(vectors.messages.find((vector: any) => vector.name === name).cbor))
    const { requests: [request] } = find('request new priority 1')
    equal(request.type, 'new')
    equal(request.priority, 1)
    equal(request.root.toString(), 'bafyreifcptdwvywacgbbo6d4ynca3wkr7i6oniyph5aufy4fplc56le4x4')
    equal(String(request.selector.R['!']['/']), 'baguqeerah5jbm4o22vrstcqv6bqibsilh3bgamxcbiyxgvwaslbeionwniiq')
    equal(Buffer.from(request.id).toString('hex'), '123456789abc4def8001020304050607')
    const { responses: [response] } = find('response with all link actions')
    deepEqual(response.metadata.map(([, action]: any) => action), ['present', 'duplicate', 'missing', 'skipped'])
    equal(response.status, 14)
    const { requests: [withNull] } = find('request new with null extension')
    deepEqual(withNull.extensions, { 'test/null': null })
  })

  it('takes the last of several requests with one id, and a priority as int32', () => {
    const { requests } = decodeGraphsyncMessage(bytes(vectors.decodeOnly.find(({ name }: any) => name === 'same request twice').cbor))
    deepEqual(requests.map(({ type }) => type), ['update'])
    const wrapped = vectors.decodeOnly.find(({ name }: any) => name === 'request priority out of int32')
    equal(decodeGraphsyncMessage(bytes(wrapped.cbor)).requests[0].priority, 0)
  })

  it('keeps the order of integer-like names in a selector', () => {
    const fields = new Map(['9', 'b', '10'].map(name => [name, { '.': {} }]))
    const message = encodeGraphsyncMessage({
      requests: [{ id: new Uint8Array(16), type: 'new', selector: { f: { 'f>': fields } } }],
      responses: [],
      blocks: []
    })
    const { requests } = decodeGraphsyncMessage(message)
    deepEqual([...requests[0].selector?.f['f>'].keys()], ['9', 'b', '10'])
    deepEqual(encodeGraphsyncMessage({ requests, responses: [], blocks: [] }), message)
  })

  it('takes what a lenient decoder takes: pieces, half floats, unknown tags, undefined', () => {
    const start = 'a1 63 677332 a1 63 726571 81 a3 62 6964 50 000102030405060708090a0b0c0d0e0f 64 74797065 61 6e 63 657874 a1 61 61'
    const extension = (value: string): any => decodeGraphsyncMessage(hex(start + value)).requests[0].extensions?.a
    deepEqual(extension('5f 41 01 42 0203 ff'), Uint8Array.from([1, 2, 3]))
    equal(extension('7f 61 61 61 62 ff'), 'ab')
    deepEqual(extension('9f 01 02 ff'), [1, 2])
    equal(extension('f9 3c00'), 1)
    deepEqual(['f9 c000', 'f9 0001', 'f9 8001', 'f9 fc00', 'f9 7e00'].map(extension), [-2, 2 ** -24, -(2 ** -24), -Infinity, NaN])
    equal(extension('fa 3fc00000'), 1.5)
    equal(extension('f7'), null)
    equal(extension('c1 05'), 5)
    equal(extension('1b ffffffffffffffff'), 18446744073709551615n)
    equal(extension('3b 0020000000000000'), -9007199254740993n)
    equal(extension('1b 0000000000000005'), 5)
    deepEqual(extension('d8 2a 5f 41 00 44 01550001 41 07 ff'), CID.decode(hex('01550001 07')))
  })

  // each of these go-graphsync v0.14.7 reads, and so dropped a tag or put pieces together
  const id = '50 000102030405060708090a0b0c0d0e0f'
  for (const [what, message] of [
    ['before the message', `c1 a1 63 677332 a1 63 726571 81 a2 62 6964 ${id} 64 74797065 61 6e`],
    ['before a name', `a1 c1 63 677332 a1 c1 63 726571 81 a2 c1 62 6964 ${id} 64 74797065 61 6e`],
    ['before lists and maps', `a1 63 677332 d8 2a a1 63 726571 c1 81 d8 64 a2 62 6964 ${id} 64 74797065 61 6e`],
    ['before text', `a1 63 677332 a1 63 726571 81 a2 62 6964 ${id} 64 74797065 d8 2a 61 6e`]
  ]) {
    it(`drops a tag ${what}, as Go does`, () => {
      deepEqual(decodeGraphsyncMessage(hex(message)).requests, [{ id: hex(id).subarray(1), type: 'new' }])
    })
  }

  it('takes a prefix, a link and an id in pieces, and a tag before a status and an action', () => {
    const { responses: [response], blocks } = decodeGraphsyncMessage(hex(`a1 63 677332 a2
      63 626c6b 81 c1 82 5f 42 0155 42 0001 ff 5f 41 07 ff
      63 727370 81 a3 64 6d657461 c1 81 c1 82 d8 2a 5f 43 000155 43 000107 ff c1 61 70 64 73746174 c1 0e 65 7265716964 5f 50 000102030405060708090a0b0c0d0e0f ff`))
    deepEqual(blocks, [{ prefix: hex('01550001'), data: hex('07') }])
    deepEqual(response.requestId, hex(id).subarray(1))
    equal(response.status, 14)
    deepEqual(response.metadata, [[CID.decode(hex('01550001 07')), 'present']])
  })

  for (const [what, message] of [
    ['two tags', `c1 c1 a1 63 677332 a1 63 726571 81 a2 62 6964 ${id} 64 74797065 61 6e`],
    ['a tag before bytes', `a1 63 677332 a1 63 726571 81 a2 62 6964 c1 ${id} 64 74797065 61 6e`],
    ['a tag before bytes in an extension', `a1 63 677332 a1 63 726571 81 a3 62 6964 ${id} 64 74797065 61 6e 63 657874 a1 61 61 c1 41 00`],
    ['two tags in an extension', `a1 63 677332 a1 63 726571 81 a3 62 6964 ${id} 64 74797065 61 6e 63 657874 a1 61 61 c1 c1 00`],
    ['an integer below int64', `a1 63 677332 a1 63 726571 81 a3 62 6964 ${id} 64 74797065 61 6e 63 657874 a1 61 61 3b 8000000000000000`],
    ['a tag without an end', `df a1 63 677332 a1 63 726571 81 a2 62 6964 ${id} 64 74797065 61 6e`]
  ]) {
    it(`refuses ${what}, as Go does`, () => {
      throws(() => decodeGraphsyncMessage(hex(message)), { name: 'InvalidMessageError' })
    })
  }

  it('decodes what it encodes', () => {
    fc.assert(fc.property(messages, message => {
      const encoded = encodeGraphsyncMessage(message)
      deepEqual(plain(decodeGraphsyncMessage(encoded)), plain(message))
      deepEqual(encodeGraphsyncMessage(decodeGraphsyncMessage(encoded)), encoded)
    }), { numRuns: 300 })
  })

  it('ends any other bytes with InvalidMessageError', () => {
    const refusesOrTakes = (input: Uint8Array): void => {
      try {
        decodeGraphsyncMessage(input)
      } catch (error: any) {
        equal(error.name, 'InvalidMessageError', error.stack)
      }
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), refusesOrTakes), { numRuns: 500 })
    const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 })
    fc.assert(fc.property(messages, changes, fc.nat(), (message, changes, cut) => {
      const encoded = encodeGraphsyncMessage(message).slice()
      for (const [at, value] of changes) { encoded[at % encoded.length] = value }
      refusesOrTakes(encoded)
      refusesOrTakes(encoded.subarray(0, cut % encoded.length))
    }), { numRuns: 500 })
  })

  it('refuses what is nested or repeated beyond any use, in bounded memory', () => {
    const inExtension = (value: Uint8Array): Uint8Array => Buffer.concat([
      hex('a1 63 677332 a1 63 726571 81 a3 62 6964 50 000102030405060708090a0b0c0d0e0f 64 74797065 61 6e 63 657874 a1 61 61'), value])
    throws(() => decodeGraphsyncMessage(inExtension(new Uint8Array(4_000_000).fill(0x81))), { name: 'InvalidMessageError', message: /deep/ })
    const list = inExtension(Buffer.concat([hex('9a 003d0000'), new Uint8Array(0x3d0000).fill(0x80)]))
    throws(() => decodeGraphsyncMessage(list), { name: 'InvalidMessageError', message: /too many/ })
    throws(() => decodeGraphsyncMessage(inExtension(hex('9b 0fffffffffffffff'))), { name: 'InvalidMessageError' })
    throws(() => decodeGraphsyncMessage(inExtension(hex('5b 0fffffffffffffff'))), { name: 'InvalidMessageError' })
    let union: any = { '.': {} }
    for (let i = 0; i < 1_000; i++) { union = { '|': [union] } }
    const message = encodeGraphsyncMessage({ requests: [{ id: new Uint8Array(16), type: 'new', selector: union }], responses: [], blocks: [] })
    equal(decodeGraphsyncMessage(message).requests.length, 1)
  })

  for (const [what, message] of [
    ['id', { requests: [{ id: new Uint8Array(15), type: 'new' }], responses: [], blocks: [] }],
    ['type', { requests: [{ id: new Uint8Array(16), type: 'old' }], responses: [], blocks: [] }],
    ['value', { requests: [{ id: new Uint8Array(16), type: 'new', extensions: { a: undefined } }], responses: [], blocks: [] }]
  ] as Array<[string, any]>) {
    it(`does not encode a bad ${what}`, () => {
      throws(() => encodeGraphsyncMessage(message), { name: 'InvalidMessageError' })
    })
  }
})
