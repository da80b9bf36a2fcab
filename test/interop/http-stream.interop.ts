import { deepEqual, equal, match, rejects } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { CID } from 'multiformats/cid'
import { createHttpHandler } from '../../src/syncers/httpsync/serve.ts'
import { openSignedHead } from '../../src/syncers/httpsync/signed-head.ts'
import { chain } from '../../src/testing/index.ts'
import { HttpStreamClient, type StreamResponse } from '../../src/wire/http-stream/client.ts'
import { HttpStreamServer } from '../../src/wire/http-stream/server.ts'
import { GoPeer } from './go-peer.ts'
import { addressOf, infoOf, recorder, sameBlocks, startNode } from './support.ts'
import type { HttpAnswer, HttpRequest } from '../../src/wire/http-stream/handler.ts'

const PROTOCOL = '/http/1.1'
const WELL_KNOWN = '/.well-known/libp2p/protocols'
const TOPIC = '/indexer/ingest/interop'

interface Asked extends AsyncDisposable { go: GoPeer, ask (target: string, headers?: Record<string, string>): Promise<StreamResponse> }

/** A Go publisher on streams, and our client of them. */
async function asked (init: { headTopic?: string, handlerPath?: string, maxIdle?: number } = {}): Promise<Asked> {
  const { maxIdle, ...publisher } = init
  const go = await GoPeer.start('v078')
  const ours = await startNode()
  const { id, multiaddrs } = infoOf(await go.call('publisher', { transport: 'libp2phttp', ...publisher }))
  await ours.node.dial(multiaddrs)
  const client = new HttpStreamClient({ libp2p: ours.node }, { maxIdle })
  return {
    go,
    ask: async (target, headers) => await client.request(id, [PROTOCOL], { target, headers, timeout: 10_000, maxBodySize: 2 ** 22 }),
    async [Symbol.asyncDispose] () {
      client.stop()
      await Promise.all([ours[Symbol.asyncDispose](), go.stop()])
    }
  }
}

const text = ({ body }: StreamResponse): string => Buffer.from(body).toString()

describe('our client of HTTP over streams, a server of Go v0.7.8', () => {
  it('gets the well-known resource, a head with topic, and blocks', async () => {
    await using peers = await asked({ headTopic: TOPIC })
    const { go, ask } = peers
    const { cids: [head, first] } = await go.call('chain', { count: 2, payload: 100_000, list: true })
    const known = await ask(WELL_KNOWN, { Accept: 'application/json' })
    deepEqual([known.status, known.headers.get('content-type')], [200, 'application/json'])
    deepEqual(JSON.parse(text(known)), { '/ipni/v1/ad': { path: '/ipni/v1/ad/' } })

    const signed = await openSignedHead((await ask('/ipni/v1/ad/head')).body)
    deepEqual([String(signed.head), String(signed.signer), signed.topic], [head, go.peerId, TOPIC])
    for (const cid of [head, first]) {
      const block = await ask(`/ipni/v1/ad/${cid}`, { 'Ipni-Cid-Schema-Type': 'Advertisement' })
      equal(Buffer.from(block.body).toString('base64'), await go.call('get', { cid }))
    }
  })

  it('gets no head, and what is not there', async () => {
    await using peers = await asked()
    const { go, ask } = peers
    deepEqual([(await ask('/ipni/v1/ad/head')).status, text(await ask('/ipni/v1/ad/head'))], [204, ''])
    const { head } = await go.call('chain', { count: 1 })
    await go.call('drop', { cids: [head] })
    for (const [target, status, body] of [
      [`/ipni/v1/ad/${head}`, 404, 'cid not found\n'],
      ['/ipni/v1/ad/nothing', 400, 'invalid request: not a cid\n'],
      ['/ipni/v1/ad/a/head', 400, 'invalid request path: /a/head\n'],
      ['/head', 404, '404 page not found\n'],
      ['/.well-known/libp2p', 404, '404 page not found\n']
    ] as const) {
      const answer = await ask(target)
      deepEqual([answer.status, text(answer)], [status, body], target)
    }
    equal((await ask('/ipni/v1/ad')).headers.get('location'), '/ipni/v1/ad/')
    equal((await ask(WELL_KNOWN, { Accept: 'text/html' })).status, 406)
  })

  it('reads where a handler path leads', async () => {
    await using peers = await asked({ handlerPath: '/foo/bar' })
    const { go, ask } = peers
    const { head } = await go.call('chain', { count: 1 })
    const { path } = JSON.parse(text(await ask(WELL_KNOWN)))['/ipni/v1/ad']
    equal(path, '/foo/bar/ipni/v1/ad/')
    equal(String((await openSignedHead((await ask(`${path}head`)).body)).head), head)
  })

  for (const maxIdle of [0, 2]) {
    it(`asks 300 times, ${maxIdle === 0 ? 'each on a stream of its own' : 'on kept streams'}, and 60 times at once`, async () => {
      await using peers = await asked({ maxIdle })
      const { go, ask } = peers
      const { cids } = await go.call('chain', { count: 60, payload: 1_000, list: true })
      for (let i = 0; i < 300; i++) { equal((await ask('/ipni/v1/ad/head')).status, 200) }
      const all = await Promise.all(cids.map(async cid => await ask(`/ipni/v1/ad/${cid}`)))
      deepEqual(all.map(({ status }) => status), cids.map(() => 200))
    })
  }
})

describe('our server of HTTP over streams, a client of Go v0.7.8', () => {
  it('answers the well-known resource, heads and blocks', async () => {
    const { linkSystem } = recorder()
    const cids = (await chain(linkSystem, 30, { payload: 20_000 })).map(String)
    const privateKey = await generateKeyPair('Ed25519')
    await using ours = await startNode(privateKey)
    const paths: string[] = []
    const serve = createHttpHandler({ linkSystem, privateKey }, { root: () => CID.parse(cids[0]), headTopic: TOPIC })
    const handle = (request: HttpRequest): HttpAnswer | Promise<HttpAnswer> => {
      paths.push(request.path)
      if (request.path !== WELL_KNOWN) { return serve.handle(request) }
      const body = Buffer.from(JSON.stringify({ '/ipni/v1/ad': { path: '/ipni/v1/ad/' } }))
      return { status: 200, headers: ['Content-Type', 'application/json'], body }
    }
    const server = new HttpStreamServer({ libp2p: ours.node }, { handle }, { protocols: [PROTOCOL] })
    await server.start()

    await using go = await GoPeer.start('v078')
    await go.call('subscriber', {})
    const synced = await go.call('sync', addressOf(ours.node))
    deepEqual([synced.cid, synced.cids], [cids[0], cids])
    await sameBlocks(go, linkSystem, cids)
    deepEqual(paths.filter(path => !path.includes('well-known')), ['head', ...cids].map(name => `/ipni/v1/ad/${name}`))

    await server.stop()
    await go.call('disconnect', { peerId: ours.node.peerId.toString() })
    await rejects(go.call('sync', { ...addressOf(ours.node), resync: true }), (error: Error) => {
      match(error.message, /protocols not supported/)
      return true
    })
  })
})
