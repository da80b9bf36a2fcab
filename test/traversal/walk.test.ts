import { deepEqual, equal, fail, ok, rejects, throws } from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { describe, it } from 'node:test'
import * as dagCbor from '@ipld/dag-cbor'
import * as dagPb from '@ipld/dag-pb'
import type { CID } from 'multiformats/cid'
import {
  dagsyncSelector, exploreAll, exploreFields, exploreRange, exploreRecursive, exploreRecursiveEdge, exploreUnion, matcher, parseSelector,
  recursionLimitNone, walk
} from '../../src/traversal/index.ts'
import type { SelectorNode } from '../../src/traversal/index.ts'
import { Traversal } from '../../src/traversal/traversal.ts'
import { inTime } from '../support/hall.ts'
import { cidOf, notFound, utf8 } from './kit.ts'

const DAG_JSON = 0x0129
const all = dagsyncSelector(recursionLimitNone)

/** Blocks by name; text is dag-json in which %name% stands for the CID of another block. */
async function dag (
  texts: Record<string, string | [number, Uint8Array]>
): Promise<{ cid: Record<string, CID>, load: (cid: CID) => Uint8Array }> {
  const cid: Record<string, CID> = {}
  const blocks = new Map<string, Uint8Array>()
  for (const [name, block] of Object.entries(texts)) {
    const [code, bytes] = typeof block === 'string'
      ? [DAG_JSON, utf8(block.replace(/%(\w+)%/g, (_, other) => `{"/":"${cid[other]}"}`))] as const
      : block
    cid[name] = await cidOf(code, bytes)
    blocks.set(cid[name].toString(), bytes)
  }
  return {
    cid,
    load (cid) {
      const bytes = blocks.get(cid.toString())
      if (bytes == null) { throw notFound() }
      return bytes
    }
  }
}

async function names (all: Record<string, CID>, walked: AsyncIterable<{ cid: CID }>): Promise<string[]> {
  const seen: string[] = []
  for await (const { cid } of walked) { seen.push(Object.keys(all).find(name => all[name].equals(cid)) ?? cid.toString()) }
  return seen
}

describe('walk()', () => {
  it('gives a block that does not decode, then throws and names it', async () => {
    const { cid, load } = await dag({ bad: '{"a":', root: '{"x":%bad%}' })
    const seen: CID[] = []
    await rejects(async () => {
      for await (const block of walk(cid.root, all, load)) { seen.push(block.cid) }
    }, { name: 'InvalidMessageError', message: new RegExp(`${cid.bad}.*dag-json.*byte`) })
    deepEqual(seen, [cid.root, cid.bad])
  })

  it('throws for an unknown codec before the load', async () => {
    const { cid, load } = await dag({ odd: [0x99, utf8('x')], root: '{"a":%odd%}' })
    const loads: CID[] = []
    const walked = walk(cid.root, all, cid => {
      loads.push(cid)
      return load(cid)
    })
    await rejects(names(cid, walked), { name: 'UnknownCodecError', codec: 0x99 })
    deepEqual(loads, [cid.root])
  })

  it('takes more codecs, and follows their links in the order they have', async () => {
    const { cid, load } = await dag({ a: '1', b: '2' })
    const value = new Map<string, any>([['z', cid.a], ['1', [null, { x: cid.b }]], ['b', 'text']])
    const codec: any = { name: 'mine', code: 0x99, decode: () => value, encode: () => utf8('') }
    const root = await cidOf(0x99, utf8('root'))
    const walked = walk(root, all, c => c.equals(root) ? utf8('root') : load(c), { codecs: [codec] })
    deepEqual(await names({ ...cid, root }, walked), ['root', 'a', 'b'])
  })

  it('takes a map with the fields of a CID object for a map, in a codec of the caller', async () => {
    const json = { code: 0x0200, name: 'json', encode: (value: any) => utf8(JSON.stringify(value)) as any, decode: (bytes: any) => JSON.parse(Buffer.from(bytes).toString()) }
    const { cid, load } = await dag({ root: [json.code, json.encode({ a: { '/': 'x', bytes: 'x' } })] })
    deepEqual(await names(cid, walk(cid.root, all, load, { codecs: [json] })), ['root'])
  })

  it('goes on past a missing block only when told to, and past no other error', async () => {
    const { cid, load } = await dag({ gone: '1', here: '2', root: '{"a":%gone%,"b":%here%}' })
    const without = (error: Error) => (c: CID): Uint8Array => {
      if (c.equals(cid.gone)) { throw error }
      return load(c)
    }
    deepEqual(await names(cid, walk(cid.root, all, without(notFound()), { onMissing: 'skip' })), ['root', 'here'])
    await rejects(names(cid, walk(cid.root, all, without(notFound()))), { name: 'NotFoundError' })
    await rejects(names(cid, walk(cid.root, all, without(new Error('broken')), { onMissing: 'skip' })), { message: 'broken' })
  })

  it('ends with the reason of the signal, also when load() never answers, and leaves no listener', async () => {
    const { cid, load } = await dag({ a: '1', root: '{"a":%a%}' })
    const controller = new AbortController()
    const { signal } = controller
    const reason = new Error('enough')
    const walked = walk(cid.root, all, c => c.equals(cid.root) ? load(c) : new Promise(() => {}), { signal })
    await walked.next()
    const stuck = walked.next()
    controller.abort(reason)
    await rejects(stuck, reason)
    equal(getEventListeners(signal, 'abort').length, 0)
    await rejects(walk(cid.root, all, load, { signal }).next(), reason)
  })

  it('ends with the reason of a signal that load() itself fires, and then never answers', async () => {
    const { cid } = await dag({ a: '1' })
    const controller = new AbortController()
    const reason = new Error('enough')
    const walked = walk(cid.a, all, async () => {
      controller.abort(reason)
      return new Promise(() => {})
    }, controller)
    await rejects(inTime(walked.next()), reason)
  })

  it('over blocks that are there at once lets timers have their turn', async () => {
    const blocks: Record<string, string> = { b0: '{}' }
    for (let i = 1; i <= 64; i++) { blocks[`b${i}`] = `[%b${i - 1}%, %b${i - 1}%]` } // without an end, nearly
    const { cid, load } = await dag(blocks)
    const end = performance.now() + 10_000
    const walked = walk(cid.b64, all, cid => performance.now() < end ? load(cid) : fail('no turn'), { signal: AbortSignal.timeout(50) })
    await rejects(Array.fromAsync(walked), { name: 'TimeoutError' })
  })

  it('gives what load() promises, with the signal that it was given', async () => {
    const { cid, load } = await dag({ a: '1', root: '{"a":%a%}' })
    const { signal } = new AbortController()
    const walked = walk(cid.root, all, async (c, options) => {
      equal(options?.signal, signal)
      return load(c)
    }, { signal })
    deepEqual(await names(cid, walked), ['root', 'a'])
    equal(getEventListeners(signal, 'abort').length, 0)
  })

  it('does not need the bytes after it has given them', async () => {
    const { cid, load } = await dag({ a: '{}', b: '{}', root: '{"a":%a%,"b":%b%}' })
    const seen: string[] = []
    for await (const { cid: { multihash }, bytes } of walk(cid.root, all, c => load(c).slice())) {
      bytes.fill(0)
      seen.push(Buffer.from(multihash.digest).toString('hex'))
    }
    deepEqual(seen, [cid.root, cid.a, cid.b].map(c => Buffer.from(c.multihash.digest).toString('hex')))
  })

  it('explores fields in the order of the selector, in a Map also where names look like integers', async () => {
    const { cid, load } = await dag({ x: '1', y: '2', z: '3', root: '{"10":%x%,"9":%y%,"b":%z%}' })
    const fields = new Map([['b', matcher()], ['10', matcher()], ['9', matcher()]])
    deepEqual(await names(cid, walk(cid.root, { f: { 'f>': fields } }, load)), ['root', 'z', 'x', 'y'])
  })

  it('takes a selector that is compiled already', async () => {
    const { cid, load } = await dag({ a: '1', root: '{"a":%a%}' })
    const selector = parseSelector(exploreAll(matcher()))
    for (let i = 0; i < 2; i++) { deepEqual(await names(cid, walk(cid.root, selector, load)), ['root', 'a']) }
  })

  it('fails where Go fails on values: a subset of what is no string, an ADL', async () => {
    const { cid, load } = await dag({ a: '1', root: '{"n":7,"a":%a%,"s":"text"}' })
    const subset = { '.': { subset: { '[': 0, ']': 1 } } }
    deepEqual(await names(cid, walk(cid.root, exploreFields({ s: subset }), load)), ['root'])
    for (const next of [subset, { '~': { as: 'unixfs', '>': matcher() } }]) {
      await rejects(names(cid, walk(cid.root, exploreAll(next), load)), { name: 'InvalidSelectorError' })
    }
  })

  it('follows dag-pb at Links/<i>/Hash', async () => {
    const { cid, load } = await dag({ a: '1', b: '2' })
    const bytes = dagPb.encode(dagPb.prepare({ Data: utf8('data'), Links: [{ Hash: cid.a, Name: 'a', Tsize: 3 }, { Hash: cid.b, Name: 'b' }] }))
    const root = await cidOf(0x70, bytes)
    const loadAll = (c: CID): Uint8Array => c.equals(root) ? bytes : load(c)
    deepEqual(await names({ ...cid, root }, walk(root, all, loadAll)), ['root', 'a', 'b'])
    const second = exploreFields({ Links: { i: { i: 1, '>': exploreFields({ Hash: matcher() }) } } })
    deepEqual(await names({ ...cid, root }, walk(root, second, loadAll)), ['root', 'b'])
    await rejects(names(cid, walk(root, all, () => bytes.slice(0, 20))), { name: 'InvalidMessageError' })
  })
})

describe('a malformed block', () => {
  const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
  const zeros = (count: number): string => '00'.repeat(count)
  const link = '0a0401550000' // in dag-pb
  const blocks: Array<[string, number, Record<string, Uint8Array>]> = [
    ['dag-cbor', 0x71, {
      'more after the value': bytes('00 00'),
      'an unknown tag before bytes': bytes('c1 41 00'),
      'an int below int64': bytes('3b 8000000000000000'),
      'text among the pieces of bytes': bytes('5f 61 61 ff'),
      'a head that is reserved': bytes('1c'),
      'a simple value that is not known': bytes('e5'),
      'an end in a number': bytes('19 00'),
      'an end in a list': bytes('82 00'),
      "more than Go's budget": new Uint8Array(10 * 1024 * 1024 + 6).fill(0x5a, 0, 1).fill(0xa0, 2, 3).fill(1, 4, 5),
      'a link to a CID of version 2': bytes('d82a 45 00 02550000'),
      'a link to a CID that is cut off': bytes('d82a 45 00 01551220'),
      'a link to a CID and more': bytes('d82a 46 00 01550000 00'),
      'a link to a CID with a varint that is not minimal': bytes('d82a 46 00 01d500 0000'),
      'a link to a CID of version 0 with a short hash': bytes(`d82a 5822 00 1220 ${zeros(31)}`)
    }],
    ['dag-json', DAG_JSON, Object.fromEntries([
      '{1:2}', '{"a" 1}', '"\n"', '"a', '"\\x"', '"\\u12g4"', '1e', '1e400', '1 1', '{"/":{"bytes":"a-b"}}', '{"/":{"bytes":"a=b"}}',
      '{"/":{"bytes":"a"}}', '{"/":"b1"}', '{"/":"xyz"}'
    ].map(text => [JSON.stringify(text), utf8(text)]))],
    ['dag-pb', 0x70, {
      'a number in a node': bytes('0800'),
      'two Data': bytes('0a00 0a00'),
      'two runs of Links': bytes(`1206 ${link} 0a00 1206 ${link}`),
      'an unknown field': bytes('1a00'),
      'an unknown field in a link': bytes(`1208 ${link} 2200`),
      'fields of a link out of order': bytes(`120a ${link} 1801 1200`),
      'two Hashes of a link': bytes(`120c ${link} ${link}`),
      'a number for the name of a link': bytes(`1208 ${link} 1001`),
      'a link of nothing': bytes('1200'),
      'a link without Hash': bytes('1202 1200'),
      'an end in a number': bytes('12'),
      'an end in bytes': bytes('0a0500'),
      'a number of more than 64 bits': bytes(`1211 ${link} 18 ${'ff'.repeat(9)} 02`),
      'a link to a CID of version 0 with a short hash': bytes(`1223 0a21 1220 ${zeros(31)}`)
    }]
  ]
  for (const [codec, code, cases] of blocks) {
    it(`of ${codec} is refused`, async () => {
      for (const [what, block] of Object.entries(cases)) {
        await rejects(names({}, walk(await cidOf(code, block), all, () => block)), { name: 'InvalidMessageError' }, what)
      }
    })
  }

  it('is none where Go reads it', async () => {
    const { cid, load } = await dag({ a: '1', root: '{"x":%a%}', json: '{}' })
    const text = `${cid.a}`
    const broken = utf8(`[{"/":"${text.slice(0, 9)}\\n${text.slice(9)}"},{"/":"${text.toUpperCase()}"}]`)
    deepEqual(await names(cid, walk(cid.json, all, c => c.equals(cid.json) ? broken : load(c))), ['json', 'a', 'a'])
    for (const [code, block] of [
      [0x71, bytes('3b ffffffffffffffff')], // overflows to 0
      [0x71, bytes('a1 c1 61 61 00')], // a tag before a key
      [0x70, bytes('0a00 1206 0a0401550000')], [0x70, bytes('1206 0a0401550000 0a00')]
    ] as Array<[number, Uint8Array]>) {
      const root = await cidOf(code, block)
      equal((await names({ root }, walk(root, all, c => c.equals(root) ? block : new Uint8Array(0))))[0], 'root')
    }
  })
})

describe('hostile input', () => {
  const edge = exploreRecursiveEdge()

  it('is refused when a block nests 100,000 deep, in any codec', async () => {
    const lists = new Uint8Array(200_001).fill(0x5b)
    await rejects(names({}, walk(await cidOf(DAG_JSON, lists), all, () => lists)), { name: 'InvalidMessageError', message: /nested deeper/ })
    const cbor = new Uint8Array(100_001).fill(0x81)
    await rejects(names({}, walk(await cidOf(0x71, cbor), all, () => cbor)), { name: 'InvalidMessageError', message: /nested deeper/ })
  })

  it('is walked when a block nests 9,000 deep', async () => {
    const { cid, load } = await dag({ a: '1', root: `${'['.repeat(9_000)}%a%${']'.repeat(9_000)}` })
    for (const selector of [all, { '|': [all, matcher()] }]) { deepEqual(await names(cid, walk(cid.root, selector, load)), ['root', 'a']) }
  })

  it('is refused when a dag-cbor head promises more than there is', async () => {
    for (const hex of ['9b7fffffffffffffff', 'bb7fffffffffffffff', '5b7fffffffffffffff', '7b7fffffffffffffff', '9a00ffffff', 'd8']) {
      const bytes = Uint8Array.from(Buffer.from(hex, 'hex'))
      await rejects(names({}, walk(await cidOf(0x71, bytes), all, () => bytes)), { name: 'InvalidMessageError' })
    }
  })

  it('is walked in little memory when a string of dag-cbor comes in millions of pieces', async () => {
    const bytes = new Uint8Array(4 * 1024 * 1024).fill(0x60)
    bytes[0] = 0x7f
    bytes[bytes.length - 1] = 0xff
    const { cid, load } = await dag({ root: [dagCbor.code, bytes] })
    const traversal = new Traversal(cid.root, all)
    traversal.next()
    globalThis.gc?.()
    const before = process.memoryUsage()
    traversal.follow(load(cid.root))
    const after = process.memoryUsage()
    const more = (after.heapUsed - before.heapUsed + after.arrayBuffers - before.arrayBuffers) / 1024 / 1024
    ok(more < 50, `${more.toFixed(0)} MiB more`)
  })

  it('is refused when the links that wait take the memory', async () => {
    const count = 500_000
    const one = Uint8Array.of(0xd8, 0x2a, 0x45, 0, 1, 0x55, 0, 0) // a CID that holds its block, of no bytes
    const rest = new Uint8Array(count * one.length)
    for (let i = 0; i < count; i++) { rest.set(one, i * one.length) }
    let root = await cidOf(DAG_JSON, utf8('{}'))
    const blocks: Uint8Array[] = []
    for (let i = 0; i < 10; i++) {
      const link = dagCbor.encode(root)
      const block = new Uint8Array(5 + link.length + rest.length)
      block.set([0x9a, 0, count >> 16, (count >> 8) & 255, (count & 255) + 1])
      block.set(link, 5)
      block.set(rest, 5 + link.length)
      blocks.unshift(block)
      root = await cidOf(dagCbor.code, block)
    }
    const traversal = new Traversal(root, all)
    throws(() => {
      for (const block of blocks) {
        traversal.next()
        traversal.follow(block)
      }
    }, { name: 'InvalidMessageError', message: /links wait/ })
    equal((traversal as any).stack.length, 8)
  })

  it('counts no link that has had its turn', async () => {
    const wide = await dag({ leaf: '{}', root: `[${'%leaf%,'.repeat(9)}%leaf%]` })
    const traversal = new Traversal(wide.cid.root, all)
    for (let link = traversal.next(); link != null; link = traversal.next()) { traversal.follow(wide.load(link.cid)) }
    equal((traversal as any).waiting, 0)
  })

  it('is refused when the text of a CID has letters beyond ASCII, which the decoder of base58 takes for a 1', async () => {
    for (const text of ['zb2rhe5P4gXftAwvA4eXQ5HJwsER2owDyS9sKaQRRVQPn93b\u0100', 'QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1\ud800']) {
      const { cid, load } = await dag({ a: JSON.stringify({ link: { '/': text } }) })
      await rejects(names(cid, walk(cid.a, all, load)), { name: 'InvalidMessageError' })
    }
  })

  it('is refused when the text of a CID is endless, in no time', async () => {
    for (const prefix of ['z', 'k', 'Z', 'Qm']) {
      const bytes = utf8(`[{"/":"${prefix}${'1'.repeat(4_000_000)}"}]`)
      await rejects(names({}, walk(await cidOf(DAG_JSON, bytes), all, () => bytes)), { name: 'InvalidMessageError' })
    }
  })

  it('is refused when unions grow at each step', async () => {
    const { cid, load } = await dag(Object.fromEntries(
      Array.from({ length: 40 }, (_, i) => [`n${i}`, i === 0 ? '{}' : `{"x":%n${i - 1}%}`])))
    const twice = { '|': [exploreAll(edge), exploreAll(edge)] }
    await rejects(names(cid, walk(cid.n39, { R: { l: { none: {} }, ':>': twice } }, load)), { name: 'InvalidSelectorError' })
  })

  it('is refused when a selector visits one block without end', async () => {
    const { cid, load } = await dag({ a: '1', root: `${'{"x":'.repeat(40)}%a%${'}'.repeat(40)}` })
    let node: any = matcher()
    for (let i = 0; i < 40; i++) { node = { '|': [exploreFields({ x: node }), exploreFields({ x: matcher() })] } }
    await rejects(names(cid, walk(cid.root, node, load)), { name: 'InvalidSelectorError' })
  })

  it('is refused when the clauses that wait for the end of a chain grow with it', async () => {
    const texts: Record<string, string> = { 0: '{}' }
    for (let i = 1; i < 200; i++) { texts[i] = `{"next":%${i - 1}%}` }
    const { cid, load } = await dag(texts)
    const field = (next: SelectorNode): SelectorNode => exploreFields({ next })
    for (const count of [50, 500]) { // each visits the link again, with a union of its own
      const members = Array.from({ length: count }, () => field(matcher()))
      const selector = exploreRecursive(recursionLimitNone, exploreUnion(field(exploreRecursiveEdge()), ...members))
      const traversal = new Traversal(cid[199], selector)
      throws(() => {
        for (let link = traversal.next(); link != null; link = traversal.next()) { traversal.follow(load(link.cid)) }
      }, { name: 'InvalidSelectorError', message: /keeps too much/ })
    }
  })

  it('is refused when ADLs look where many clauses do, in no time', async () => {
    const { cid, load } = await dag({ leaf: '{}', root: '{"a":{"a":%leaf%}}' })
    const fields = Array.from({ length: 4_000 }, () => exploreFields({ a: exploreRecursiveEdge() }))
    const edges = Array.from({ length: 4_000 }, exploreRecursiveEdge)
    const selector = exploreRecursive(recursionLimitNone, { '~': { as: 'x', '>': exploreUnion(...fields, ...edges) } })
    const before = performance.now()
    await rejects(names(cid, walk(cid.root, selector, load)), { name: 'InvalidSelectorError', message: /grows beyond/ })
    ok(performance.now() - before < 4_000)
  })

  it('is refused when many clauses look at each value of a block, or at each key', async () => {
    const list = await dag({ root: `[${'"",'.repeat(200_000)}""]` })
    const match = { '.': { subset: { '[': 0, ']': 1 } } }
    const members = Array.from({ length: 8_000 }, () => exploreFields({ a: matcher() }))
    await rejects(names(list.cid, walk(list.cid.root, exploreAll(exploreUnion(...members, match)), list.load)),
      { name: 'InvalidSelectorError', message: /visits too much/ })
    const map = await dag({ leaf: '{}', root: `{${Array.from({ length: 20_000 }, (_, i) => `"${i + 10_000}":%leaf%`).join()}}` })
    const ranges = Array.from({ length: 1_000 }, () => exploreRange(0, 1, matcher()))
    await rejects(names(map.cid, walk(map.cid.root, exploreUnion(exploreFields({ b: matcher() }), ...ranges), map.load)),
      { name: 'InvalidSelectorError', message: /visits too much/ })
  })
})

describe('Traversal', () => {
  it('says the text of a link as published, its field, and its CID', async () => {
    const { cid } = await dag({ a: '1', b: '2' })
    const upper = `B${cid.b.toString().slice(1).toUpperCase()}`
    const v0 = 'QmPNHBy5h7f19yJDt7ip9TvmMRbqmYsa6aetkrsc1ghjLB'
    const bytes = utf8(`{"\\u0041":{"/":"${cid.a}"},"list":[{"/":"${upper}"}],"q":{"/":"${v0}"}}`)
    for (const selector of [all, exploreFields({ A: matcher(), list: { i: { i: 0, '>': matcher() } }, q: matcher() })]) {
      const traversal = new Traversal(cid.a, selector)
      equal(traversal.next()?.text, undefined)
      traversal.follow(bytes)
      const links = []
      for (let link = traversal.next(); link != null; link = traversal.next()) { links.push([link.cid.toString(), link.text, link.field]) }
      deepEqual(links.sort(), [
        [v0, v0, 'q'],
        [cid.a.toString(), cid.a.toString(), 'A'],
        [cid.b.toString(), upper, undefined]
      ].sort())
    }
  })

  it('says how many links it is from the root', async () => {
    const { cid, load } = await dag({ leaf: '1', a: '{"x":{"y":%leaf%}}', root: '[%a%,%leaf%]' })
    for (const selector of [all, { '|': [all] }]) {
      const traversal = new Traversal(cid.root, selector)
      const depths = []
      for (let link = traversal.next(); link != null; link = traversal.next()) {
        depths.push(traversal.depth)
        traversal.follow(load(link.cid))
      }
      deepEqual(depths, [0, 1, 2, 1])
    }
  })

  it('has no text for links of other codecs', async () => {
    const { cid } = await dag({ a: '1' })
    const traversal = new Traversal(await cidOf(0x71, utf8('')), all)
    traversal.next()
    traversal.follow(dagCbor.encode({ next: cid.a }))
    const link = traversal.next()
    deepEqual([link?.cid.equals(cid.a), link?.text, link?.field], [true, undefined, 'next'])
    equal(traversal.next(), undefined)
  })

  it('goes on past a link that is not followed, and past one that does not decode', async () => {
    const { cid } = await dag({ a: '1', b: '2' })
    const traversal = new Traversal(cid.a, all)
    traversal.next()
    traversal.follow(utf8(`[{"/":"${cid.a}"},{"/":"${cid.b}"},{"/":"${cid.a}"}]`))
    traversal.next()
    traversal.next()
    throws(() => { traversal.follow(utf8('[')) }, { name: 'InvalidMessageError' })
    equal(traversal.next()?.cid.equals(cid.a), true)
    equal(traversal.next(), undefined)
    throws(() => { traversal.follow(utf8('1')) })
  })
})
