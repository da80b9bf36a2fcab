import { deepEqual, doesNotThrow, equal, rejects, throws } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import * as dagCbor from '@ipld/dag-cbor'
import * as dagJson from '@ipld/dag-json'
import { CID } from 'multiformats/cid'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { parseSelector, walk } from '../../src/traversal/index.ts'
import { Scanners } from '../../src/traversal/links.ts'
import { fromBase64, notFound } from './kit.ts'

function vectors (name: string): any {
  return JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), 'utf8'))
}

describe('vectors/selectors.json', () => {
  const { valid, invalid } = vectors('selectors')
  for (const { name, dagJson: text, dagCbor: base64 } of valid) {
    it(`compiles "${name}", which keeps its bytes in dag-cbor and dag-json`, () => {
      const fromJson = dagJson.decode(new TextEncoder().encode(text))
      const fromCbor = dagCbor.decode(fromBase64(base64))
      for (const node of [fromJson, fromCbor]) {
        const selector = parseSelector(node)
        deepEqual(dagCbor.encode(selector.node), fromBase64(base64))
        equal(new TextDecoder().decode(dagJson.encode(selector.node)), text)
      }
    })
  }
  for (const { name, dagCbor: base64 } of invalid) {
    it(`refuses "${name}"`, () => {
      throws(() => parseSelector(dagCbor.decode(fromBase64(base64))), { name: 'InvalidSelectorError' })
    })
  }
})

describe('vectors/traversals.json', () => {
  const { blocks, vectors: cases } = vectors('traversals')
  const store = new Map<string, Uint8Array>(blocks.map((block: any) => [block.cid, fromBase64(block.bytes)]))
  for (const { name, root, selectorDagJson, missing = [], loads, error, loadsWhenMissingIsSkipped } of cases) {
    const selector = dagJson.decode(new TextEncoder().encode(JSON.stringify(selectorDagJson))) as any
    const walked = async (onMissing: 'throw' | 'skip', seen: string[]): Promise<void> => {
      const load = (cid: CID): Uint8Array => {
        const bytes = store.get(cid.toString())
        if (bytes == null || missing.includes(cid.toString())) { throw notFound() }
        return bytes
      }
      for await (const { cid } of walk(CID.parse(root), selector, load, { onMissing })) { seen.push(cid.toString()) }
    }

    it(`walks "${name}"`, async () => {
      const seen: string[] = []
      if (error == null) {
        await walked('throw', seen)
      } else {
        await rejects(walked('throw', seen), { name: missing.length > 0 ? 'NotFoundError' : 'InvalidMessageError' })
      }
      deepEqual(seen, loads)
    })

    if (loadsWhenMissingIsSkipped != null) {
      it(`walks "${name}" past what is missing`, async () => {
        const seen: string[] = []
        await walked('skip', seen)
        deepEqual(seen, loadsWhenMissingIsSkipped)
      })
    }
  }
})

describe('vectors/codecs.json', () => {
  const { encode, decodeDagJson, decodeDagCbor } = vectors('codecs')
  const scanners = new Scanners()
  for (const [format, code, cases] of [['dag-json', 0x0129, decodeDagJson], ['dag-cbor', 0x71, decodeDagCbor]]) {
    for (const { name, inputBase64, error } of cases) {
      it(`${error == null ? 'reads' : 'refuses'} ${format} with "${name}", as Go does`, () => {
        const scan = (): void => { scanners.get(code)?.scan(fromBase64(inputBase64), 'all') }
        if (error == null) { doesNotThrow(scan) } else { throws(scan) }
      })
    }
  }
  for (const { name, dagCbor: cbor, dagCborCid, dagJson: json, dagJsonCid } of encode) {
    it(`reads "${name}" in both codecs`, () => {
      const scan = (code: number, bytes: string) => (): void => { scanners.get(code)?.scan(fromBase64(bytes), 'all') }
      doesNotThrow(scan(0x71, cbor))
      if (name === 'map that looks like a link but is a string') {
        throws(scan(0x0129, json))
      } else {
        doesNotThrow(scan(0x0129, json))
      }
    })
    it(`verifies and keeps "${name}" byte for byte`, async () => {
      const linkSystem = createLinkSystem()
      for (const [cid, bytes] of [[dagCborCid, cbor], [dagJsonCid, json]]) {
        await linkSystem.put(CID.parse(cid), fromBase64(bytes))
        equal(await linkSystem.has(CID.parse(cid)), true)
      }
    })
    if (['float -0', 'string not utf-8'].includes(name)) { continue } // JavaScript's decoder loses these
    it(`writes "${name}" as dag-json as Go does`, async () => {
      const linkSystem = createLinkSystem()
      const node = dagCbor.decode(fromBase64(cbor))
      equal((await linkSystem.store(node)).toString(), dagJsonCid)
      if (!/^float/.test(name)) { equal((await linkSystem.store(node, { codec: linkSystem.getCodec(0x71) })).toString(), dagCborCid) }
    })
  }
})
