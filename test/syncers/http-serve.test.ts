import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as dagCbor from '@ipld/dag-cbor'
import { MemoryBlockstore } from 'blockstore-core'
import { bases } from 'multiformats/basics'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { createLinkSystem } from '../../src/store/link-system.ts'
import type { HttpAnswer, HttpHandler, Served } from '../../src/syncers/httpsync/http-types.ts'
import { createHttpHandler, type HttpHandlerInit } from '../../src/syncers/httpsync/serve.ts'
import { openSignedHead } from '../../src/syncers/httpsync/signed-head.ts'
import { failReads, readVectors, vectorKey, vectorStore } from '../publisher/kit.ts'

const older = readVectors('http-publisher-v0.3.2')
const newer = readVectors('http-publisher-v0.7.8')
const CIDS: string[] = older.blocks.map(({ cid }: any) => cid)

interface Asked { method?: string, path: string, headers?: Record<string, string>, signal?: AbortSignal }

async function ask (handler: HttpHandler, { method = 'GET', path, headers = {}, signal }: Asked): Promise<HttpAnswer & { text: string, get: (name: string) => string | undefined }> {
  const answer = await handler.handle({ method, path, signal, headers: { get: name => headers[name] } })
  const get = (name: string): string | undefined => {
    const at = answer.headers.findIndex((header, i) => i % 2 === 0 && header.toLowerCase() === name.toLowerCase())
    return at === -1 ? undefined : answer.headers[at + 1]
  }
  return { ...answer, text: new TextDecoder().decode(answer.body), get }
}

async function setUp (init: Partial<HttpHandlerInit> = {}, failing?: string): Promise<HttpHandler> {
  const linkSystem = await vectorStore(older.blocks, failing)
  return createHttpHandler({ linkSystem, privateKey: await vectorKey() }, { root: () => CID.parse(older.root), ...init })
}

/** What differs from Go on purpose, by vector: the stored bytes of a dag-json block are served as they are. */
const STORED_AS_IT_IS = '/baguqeeralb6diczoagg5kipmjt7xxr6ezh4awdhpayrdrxanixxphsydxa7q'

describe('requests to a publisher of v0.3.2', () => {
  for (const { handlerPath, hasRoot, method, path, status, headers, body } of older.requests) {
    it(`${method} ${path || '(empty)'}${handlerPath === '' ? '' : ` under ${handlerPath}`}${hasRoot ? '' : ' without root'}`, async () => {
      const handler = await setUp({ handlerPath, root: () => hasRoot ? CID.parse(older.root) : undefined }, older.failing)
      const answer = await ask(handler, { method, path })
      equal(answer.status, status)
      equal(answer.get('content-type'), headers['Content-Type'])
      equal(answer.get('x-content-type-options'), headers['X-Content-Type-Options'])
      if (path === STORED_AS_IT_IS) {
        equal(answer.text, '{ "Number": 4 }\n')
        equal(answer.get('content-length'), '16')
      } else {
        equal(answer.text, body)
        equal(answer.get('content-length'), headers['Content-Length'])
      }
    })
  }
})

/** One publisher for the clients of both generations (protocol/http.md): what v0.7.8 refuses is answered as v0.3.2 does. */
function unlikeNewer ({ setup, path, status }: any): { status: number, text: RegExp } | undefined {
  if (path.endsWith('/protocols') && setup.startsWith('server started')) { return undefined }
  const under = /WithHandlerPath\("\/?foo\/?"\)/.test(setup)
  if (under && !path.startsWith('/foo')) { return { status: 400, text: /^invalid request\n$/ } } // 400 with the path in it, or 404
  if (path.includes('.well-known')) { return { status: 400, text: /not a cid/ } } // 400 with the path in it; 404
  if (status < 300) { return undefined }
  if (path.endsWith('/head')) { return { status: 200, text: /^\{"head"/ } } // 400 or 404: here only the last segment counts
  if (path === '/' || path === '/ipni/v1/ad') { return { status: 400, text: /not a cid/ } } // 404; 307 to /ipni/v1/ad/
  return CIDS.includes(path.slice(1)) ? { status: 200, text: /^\{/ } : undefined // 404: the paths of v0.3.2
}

describe('requests to a publisher of v0.7.8', () => {
  const three = newer.requests.find(({ path, body }: any) => /bafy/.test(path) && body === '{"Number":3}').path.split('/').at(-1)
  const blocks = [...older.blocks, { cid: three, bytes: Buffer.from(dagCbor.encode({ Number: 3 })).toString('base64') }]

  for (const vector of newer.requests) {
    const { setup, hasRoot, method, path, status, headers, body } = vector
    it(`${method} ${path}: ${setup}${hasRoot ? '' : ', no root'}`, async () => {
      const [, handlerPath] = /WithHandlerPath\("([^"]*)"\)/.exec(setup) ?? []
      const [, name, value] = /request header (\S+)=(\S+)/.exec(setup) ?? []
      const headTopic = body.startsWith('{"head"') ? JSON.parse(body).topic : undefined
      const root = hasRoot ? CID.parse(newer.root) : undefined
      const linkSystem = await vectorStore(blocks, newer.failing)
      const handler = createHttpHandler({ linkSystem, privateKey: await vectorKey() }, {
        root: () => root, handlerPath, headTopic, wellKnown: setup.startsWith('server started')
      })
      const answer = await ask(handler, { method, path, headers: name == null ? {} : { [name.toLowerCase()]: value } })
      const other = unlikeNewer(vector)
      equal(answer.status, other?.status ?? status)
      if (other != null) { return match(answer.text, other.text) }
      equal(answer.text, body)
      for (const name of ['Content-Type', 'Content-Length', 'X-Content-Type-Options']) { equal(answer.get(name), headers[name]) }
    })
  }
})

describe('paths', () => {
  const cases: Array<[string, number, HttpHandlerInit['handlerPath']?]> = [
    [`/${'a/'.repeat(3000)}head`, 414],
    [`/head?${'a'.repeat(5000)}`, 414],
    ['/%', 400], ['/%zz/head', 400], ['/%ff', 400], ['/%00', 400],
    ['/he%61d', 200], ['/a%2Fhead', 200], ['/head?x=/y', 200], ['/?/head', 400], ['//head//', 200], ['head', 200], ['*', 400],
    ['http://127.0.0.1:1/head', 200], ['http://127.0.0.1:1', 400], ['http://127.0.0.1/ipni/head', 200, 'ipni'],
    ['/../head', 200], ['/a/../b/head', 200, '/a'], ['/a%20b/head', 200, 'a b'], ['/b', 400], [`/b${'a'.repeat(2000)}`, 400],
    ['/z', 400], ['/Qm', 400], ['/🚀', 400], ['/%F0%9F%9A%80', 400],
    ['/zb2rhe5P4gXftAwvA4eXQ5HJwsER2owDyS9sKaQRRVQPn93b%C4%80', 400], ['/QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1%C4%80', 400]
  ]
  for (const [path, status, handlerPath] of cases) {
    it(`${path.slice(0, 40)}${path.length > 40 ? '...' : ''} is ${status}`, async () => {
      equal((await ask(await setUp({ handlerPath }), { path })).status, status)
    })
  }

  it('takes CIDs of any multibase, and names the block by the one form of its CID', async () => {
    const handler = await setUp()
    const cid = CID.parse(CIDS[0])
    for (const base of Object.values(bases)) {
      const text: string = base.encode(cid.bytes)
      if (base.name === 'identity' || text.includes('/')) { continue } // not text; two segments, as in Go
      const answer = await ask(handler, { path: `/${encodeURIComponent(text)}` })
      equal(answer.status, 200, base.name)
      equal(answer.get('etag'), `"${cid}"`)
    }
  })
})

describe('methods and conditions', () => {
  it('answers HEAD with the length and no body, also when there is an error', async () => {
    const handler = await setUp({}, older.failing)
    for (const path of ['/head', `/${CIDS[0]}`, `/${older.missing}`, `/${older.failing}`, '/nope']) {
      const [get, head] = await Promise.all(['GET', 'HEAD'].map(async method => ask(handler, { method, path })))
      equal(head.status, get.status)
      deepEqual(head.headers, get.headers)
      equal(head.body, undefined)
      equal(get.get('content-length'), String(get.body?.byteLength))
    }
  })

  it('has the CID as ETag, and answers 304 to who knows it', async () => {
    const handler = await setUp()
    for (const [path, cid] of [['/head', older.root], [`/${CIDS[2]}`, CIDS[2]]]) {
      equal((await ask(handler, { path })).get('etag'), `"${cid}"`)
      for (const known of [`"${cid}"`, `W/"${cid}"`, '*', ` "other" , "${cid}"`]) {
        const answer = await ask(handler, { path, headers: { 'if-none-match': known } })
        equal(answer.status, 304)
        equal(answer.get('etag'), `"${cid}"`)
        equal(answer.body, undefined)
      }
      for (const known of ['"other"', cid, '', '"', 'W/*']) {
        equal((await ask(handler, { path, headers: { 'if-none-match': known } })).status, 200)
      }
    }
    equal((await ask(handler, { path: `/${older.missing}`, headers: { 'if-none-match': `"${older.missing}"` } })).status, 404)
  })
})

describe('blocks', () => {
  it('writes raw blocks as dag-json, as Go does', async () => {
    const linkSystem = createLinkSystem()
    const cid = await linkSystem.store(Uint8Array.of(1, 2, 3), { codec: raw })
    const handler = createHttpHandler({ linkSystem, privateKey: await vectorKey() }, { root: () => undefined })
    equal((await ask(handler, { path: `/${cid}` })).text, '{"/":{"bytes":"AQID"}}')
  })

  for (const { name, dagCbor: bytes, dagCborCid: cid, dagJson } of readVectors('codecs').encode) {
    if (name === 'string not utf-8') { continue } // the decoder has put U+FFFD for the bad bytes; Go writes an escape of it
    it(`writes dag-cbor as Go's dag-json: ${name}`, async () => {
      const handler = createHttpHandler(
        { linkSystem: await vectorStore([{ cid, bytes }]), privateKey: await vectorKey() }, { root: () => undefined }
      )
      equal((await ask(handler, { path: `/${cid}` })).text, Buffer.from(dagJson, 'base64').toString())
    })
  }

  it('answers 500 for a block that does not decode, for an unknown codec and for deep nesting', async () => {
    const blockstore = new MemoryBlockstore()
    const linkSystem = createLinkSystem({ blockstore })
    const handler = createHttpHandler({ linkSystem, privateKey: await vectorKey() }, { root: () => undefined })
    const { multihash } = CID.parse(CIDS[0])
    for (const [code, bytes] of [[0x71, Uint8Array.of(0xff)], [0x71, new Uint8Array(1e6).fill(0x81)], [0x90, Uint8Array.of(0)]] as const) {
      const cid = CID.createV1(code, multihash)
      await blockstore.put(cid, bytes)
      const answer = await ask(handler, { path: `/${cid}` })
      equal(answer.status, 500)
      equal(answer.text, 'unable to load data for cid\n')
    }
  })

  it('reads from stores that answer at once without a promise, and from others', async () => {
    const handler = await setUp()
    const request = { method: 'GET', path: `/${CIDS[0]}`, headers: { get: () => undefined } }
    ok(!(handler.handle(request) instanceof Promise))
    const blockstore = new MemoryBlockstore()
    const slow = createLinkSystem({ blockstore })
    blockstore.get = async function * () { yield Uint8Array.of(0x7b, 0x7d) } as any
    const later = createHttpHandler({ linkSystem: slow, privateKey: await vectorKey() }, { root: () => undefined })
    equal((await ask(later, { path: `/${CIDS[0]}` })).text, '{}')
  })
})

describe('heads', () => {
  it('are signed once per root', async () => {
    let root = CID.parse(CIDS[0])
    let signed = 0
    const privateKey = await vectorKey()
    const counting = Object.create(privateKey, { sign: { value: (data: any) => { signed++; return privateKey.sign(data) } } })
    const linkSystem = await vectorStore([])
    const handler = createHttpHandler({ linkSystem, privateKey: counting }, { root: () => root })
    const open = async (): Promise<string> => {
      const { body = new Uint8Array() } = await ask(handler, { path: '/head' })
      return (await openSignedHead(body)).head.toString()
    }
    deepEqual(await Promise.all([open(), open(), open()]), [CIDS[0], CIDS[0], CIDS[0]])
    equal(await open(), CIDS[0])
    equal(signed, 1)
    root = CID.parse(CIDS[1])
    equal(await open(), CIDS[1])
    equal(signed, 2)
  })

  it('that cannot be signed are 500, and are tried again', async () => {
    let works = false
    const privateKey = await vectorKey()
    const failing = Object.create(privateKey, {
      sign: { value: async (data: any) => { if (!works) { throw new Error('no entropy') } return privateKey.sign(data) } }
    })
    const handler = createHttpHandler({ linkSystem: await vectorStore([]), privateKey: failing }, { root: () => CID.parse(CIDS[0]) })
    const answer = await ask(handler, { path: '/head' })
    equal(answer.status, 500)
    equal(answer.text, 'Failed to encode\n')
    works = true
    equal((await ask(handler, { path: '/head' })).status, 200)
  })
})

describe('what was served', () => {
  it('is told', async () => {
    const served: Served[] = []
    const handler = await setUp({ onServed: one => { served.push(one) } }, older.failing)
    await ask(handler, { path: '/head' })
    await ask(handler, { path: `/${CIDS[0]}` })
    await ask(handler, { path: `/${CIDS[0]}`, method: 'HEAD' })
    await ask(handler, { path: `/${older.missing}` })
    await ask(handler, { path: `/${older.failing}` })
    await ask(handler, { path: '/nope' })
    deepEqual(served.map(({ kind, cid, status, bytes }) => [kind, cid?.toString(), status, bytes]), [
      ['head', older.root, 200, 265], ['block', CIDS[0], 200, 12], ['block', CIDS[0], 200, 0],
      ['block', older.missing, 404, 14], ['block', older.failing, 500, 28]
    ])
  })

  it('does not log reads that fail because the client left', async () => {
    const logged: unknown[] = []
    const blockstore = new MemoryBlockstore()
    failReads(blockstore, () => true)
    const log: any = Object.assign(() => {}, { error: (...args: unknown[]) => { logged.push(args) } })
    const linkSystem = createLinkSystem({ blockstore })
    const handler = createHttpHandler({ linkSystem, privateKey: await vectorKey(), log }, { root: () => undefined })
    equal((await ask(handler, { path: `/${CIDS[0]}`, signal: AbortSignal.abort() })).status, 500)
    equal(logged.length, 0)
    equal((await ask(handler, { path: `/${CIDS[0]}` })).status, 500)
    equal(logged.length, 1)
  })
})
