import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import * as dagCbor from '@ipld/dag-cbor'
import { from } from 'multiformats/hashes/hasher'
import { sha256 } from 'multiformats/hashes/sha2'
import type { GraphsyncRequest, GraphsyncResponse, ResponseEnd } from '../../../src/shared/types/graphsync.ts'
import { createLinkSystem } from '../../../src/store/link-system.ts'
import { readBlock } from '../../../src/store/read.ts'
import { createGraphsync } from '../../../src/wire/graphsync/exchange.ts'
import { gate } from '../data-transfer/kit.ts'
import { createPair } from '../nodes.ts'
import { chainOf, copy, everything, exchangePair, fetchAll, forget, outcome } from './kit.ts'
import { RawPeer } from './raw-peer.ts'

const texts = (cids: Array<{ toString(): string }>): string[] => cids.map(String)

describe('graphsync exchange', () => {
  for (const encrypter of ['tls', 'noise'] as const) {
    it(`fetches a chain over ${encrypter}, in walk order, verified and stored`, async () => {
      await using pair = await exchangePair({ encrypter })
      const chain = await chainOf(pair.remote, 300, 2_000)
      const { cids, error, local } = await fetchAll(pair, chain[0])
      equal(error, undefined)
      deepEqual(cids, texts(chain))
      ok(local.every(is => !is))
      for (const cid of chain) { ok(await pair.local.has(cid)) }
      deepEqual((await fetchAll(pair, chain[0])).local, chain.map(() => true))
    })
  }

  it("walks the fields of a selector as the responder gets them, in dag-cbor's order", async () => {
    await using pair = await exchangePair()
    const leaves = await Promise.all([1, 2, 3].map(async i => pair.remote.store({ leaf: i })))
    const root = await pair.remote.store({ next: leaves[0], a: leaves[1], 10: leaves[2] })
    await copy(pair.remote, pair.local, [root, leaves[0]])
    const { cids, error } = await fetchAll(pair, root, {}, { f: { 'f>': { next: { '.': {} }, 10: { '.': {} }, a: { '.': {} } } } })
    equal(error, undefined)
    deepEqual(cids, texts([root, leaves[1], leaves[2], leaves[0]]))
  })

  it('works over stores that answer later', async () => {
    await using pair = await exchangePair()
    const chain = await chainOf(pair.remote, 100, 500)
    await copy(pair.remote, pair.local, chain.slice(0, 3))
    for (const { blockstore } of [pair.local, pair.remote]) {
      const { get, put } = { get: blockstore.get.bind(blockstore), put: blockstore.put.bind(blockstore) }
      blockstore.get = (async function * (cid: any) {
        await delay(1)
        yield * get(cid)
      }) as any
      blockstore.put = (async (cid: any, bytes: any) => {
        await delay(1)
        return await put(cid, bytes)
      }) as any
    }
    const { cids, local, error } = await fetchAll(pair, chain[0])
    equal(error, undefined)
    deepEqual(cids, texts(chain))
    equal(local.filter(Boolean).length, 3)
    await forget(pair.remote, chain[50])
    await forget(pair.local, chain[50])
    equal((await fetchAll(pair, chain[0])).error?.name, 'ContentNotFoundError')
  })

  it('asks a hasher that was given in place of sha2-256, also one that answers later', async () => {
    let asked = 0
    const hasher = from({ name: 'sha2-256', code: sha256.code, encode: async bytes => { asked++; return sha256.encode(bytes) } })
    await using pair = await exchangePair({ local: createLinkSystem({ hashers: [hasher] }) })
    const chain = await chainOf(pair.remote, 10)
    const { cids, error } = await fetchAll(pair, chain[0])
    equal(error, undefined)
    deepEqual(cids, texts(chain))
    equal(asked, 10)
  })

  it('fetches only what is missing, beginning at the first gap', async () => {
    await using pair = await exchangePair()
    const chain = await chainOf(pair.remote, 20)
    await copy(pair.remote, pair.local, [...chain.slice(0, 5), ...chain.slice(10, 12)])
    const seen: GraphsyncRequest[] = []
    await using other = await exchangePair({ local: pair.local, remote: pair.remote, accept: false })
    other.responder.addValidator((_, request) => {
      seen.push(request)
      return { accept: true }
    })
    const { cids, local, error } = await fetchAll(other, chain[0])
    equal(error, undefined)
    deepEqual(cids, texts(chain))
    equal(seen[0].extensions?.['graphsync/do-not-send-first-blocks'], 5)
    deepEqual(local.slice(0, 5), [true, true, true, true, true])
  })

  it('opens its stream for the answers as soon as the peer has opened one', async () => {
    await using pair = await exchangePair()
    await pair.requestor.stop()
    const peer = new RawPeer(pair.a, pair.b.peerId)
    await peer.start()
    await peer.stream()
    await peer.until(() => peer.inbound.length > 0)
    deepEqual([peer.inbound.length, peer.received.length], [1, 0])
  })

  it('carries blocks of 3 MiB, and fails at once on one that no frame takes', async () => {
    await using pair = await exchangePair()
    const [big] = await chainOf(pair.remote, 3, 3 * 1024 * 1024)
    equal((await fetchAll(pair, big)).cids.length, 3)
    const [huge] = await chainOf(pair.remote, 1, 5 * 1024 * 1024)
    const { error } = await fetchAll(pair, huge)
    equal(error.name, 'TransferFailedError')
  })

  it('names the block that the responder lacks, after what it has', async () => {
    await using pair = await exchangePair()
    const chain = await chainOf(pair.remote, 6)
    await forget(pair.remote, chain[3])
    const { cids, error } = await fetchAll(pair, chain[0])
    deepEqual(cids, texts(chain.slice(0, 3)))
    equal(error.name, 'ContentNotFoundError')
    equal(String(error.cid), String(chain[3]))
    const root = await fetchAll(pair, chain[3])
    equal(root.error.name, 'ContentNotFoundError')
  })

  it('walks what it has itself below a block that the responder lacks, and goes on beside it', async () => {
    await using pair = await exchangePair()
    const chain = await chainOf(pair.remote, 4)
    const other = await chainOf(pair.remote, 3, 50, 7)
    const root = await pair.remote.store({ deep: { list: [{ chain: chain[0] }] }, other: other[0] }, { codec: dagCbor })
    await copy(pair.remote, pair.local, chain)
    await forget(pair.remote, chain[1])
    const { cids, error } = await fetchAll(pair, root)
    equal(error, undefined)
    const order = cids.includes(String(other[0])) && cids.indexOf(String(other[0])) < cids.indexOf(String(chain[0]))
      ? [root, ...other, ...chain]
      : [root, ...chain, ...other]
    deepEqual(cids, texts(order))
  })

  it('refuses a request that no validator takes, and one that a validator refuses', async () => {
    await using pair = await exchangePair({ accept: false })
    const [root] = await chainOf(pair.remote, 2)
    equal((await fetchAll(pair, root)).error.name, 'TransferRejectedError')
    const responses: GraphsyncResponse[] = []
    const remove = pair.responder.addValidator(() => ({ accept: false, extensions: { why: 'not today' } }))
    const { error } = await fetchAll(pair, root, { onResponse: response => { responses.push(response) } })
    equal(error.name, 'TransferRejectedError')
    deepEqual(responses.map(({ status, extensions }) => [status, extensions]), [[30, { why: 'not today' }]])
    remove()
    const removeBusy = pair.responder.addValidator(() => ({ accept: false, status: 31 }))
    equal((await fetchAll(pair, root)).error.name, 'TransferFailedError')
    removeBusy()
    pair.responder.addValidator(async () => { throw new Error('broken') })
    equal((await fetchAll(pair, root)).error.name, 'TransferFailedError')
  })

  it('fails a request whose answer has extensions without an encoding, and goes on with those of the peer beside it', async () => {
    await using pair = await exchangePair({ accept: false })
    const ended = Promise.withResolvers<ResponseEnd>()
    pair.responder.addValidator((_, { extensions }) => extensions?.bad === true
      ? { accept: true, extensions: { note: undefined }, onEnd: ended.resolve }
      : { accept: true, extensions: { note: 'good' } })
    const chain = await chainOf(pair.remote, 300)
    const notes = new Set<unknown>()
    const onResponse = (response: GraphsyncResponse): void => { if (response.extensions != null) { notes.add(response.extensions.note) } }
    const good = pair.requestor.request(pair.b.peerId, chain[0], everything, { onResponse, linkSystem: createLinkSystem() })
    await good.next()
    equal((await fetchAll(pair, chain[0], { extensions: { bad: true } })).error?.name, 'TransferFailedError')
    equal((await outcome(good)).cids.length, 299)
    equal((await fetchAll(pair, chain[0], { onResponse })).cids.length, 300)
    deepEqual([...notes], ['good'])
    deepEqual(await ended.promise, { status: 32 })
  })

  it('asks validators in order and serves from the store that the first answer names', async () => {
    await using pair = await exchangePair({ accept: false })
    const store = createLinkSystem()
    const chain = await chainOf(store, 3)
    const ends: ResponseEnd[] = []
    const asked: string[] = []
    pair.responder.addValidator(() => { asked.push('first'); return undefined })
    pair.responder.addValidator(async (peer, request) => {
      asked.push('second')
      ok(peer.equals(pair.a.peerId))
      deepEqual(request.extensions, { voucher: 7 })
      return { accept: true, linkSystem: store, extensions: { ok: true }, onEnd: end => { ends.push(end) } }
    })
    pair.responder.addValidator(() => { asked.push('third'); return undefined })
    const responses: GraphsyncResponse[] = []
    const onResponse = (response: GraphsyncResponse): void => { responses.push(response) }
    const { cids, error } = await fetchAll(pair, chain[0], { extensions: { voucher: 7 }, onResponse })
    equal(error, undefined)
    deepEqual(cids, texts(chain))
    deepEqual(asked, ['first', 'second'])
    deepEqual(responses[0].extensions, { ok: true })
    const metadata = responses.flatMap(({ metadata = [] }) => metadata)
    deepEqual(metadata.map(([cid, action]) => [String(cid), action]), chain.map(cid => [String(cid), 'present']))
    deepEqual(ends, [{ status: 20 }])
  })

  it('ends the request with what onResponse throws, and cancels it', async () => {
    await using pair = await exchangePair({ accept: false })
    const chain = await chainOf(pair.remote, 5_000, 1_000)
    const { promise, resolve } = Promise.withResolvers<ResponseEnd>()
    pair.responder.addValidator(() => ({ accept: true, onEnd: resolve }))
    const mine = new Error('mine')
    const { error } = await fetchAll(pair, chain[0], { onResponse: () => { throw mine } })
    equal(error, mine)
    ok(await promise)
  })

  it('sends an abort over the wire, with no late block for anyone', async () => {
    await using pair = await exchangePair({ accept: false })
    const chain = await chainOf(pair.remote, 20_000, 500)
    const { promise, resolve } = Promise.withResolvers<ResponseEnd>()
    pair.responder.addValidator(() => ({ accept: true, onEnd: resolve }))
    const controller = new AbortController()
    const reason = new Error('my reason')
    const got: string[] = []
    await rejects(async () => {
      for await (const { cid } of pair.requestor.request(pair.b.peerId, chain[0], everything, { signal: controller.signal })) {
        got.push(String(cid))
        if (got.length === 50) { controller.abort(reason) }
      }
    }, reason)
    equal(got.length, 50)
    const end = await promise
    equal(end.status, undefined)
    equal(end.error?.name, 'TransferFailedError')
    await delay(50)
    ok(!await pair.local.has(chain[60]), 'nothing was stored afterwards')
  })

  it('cancels when the loop is left, and an aborted signal asks nothing', async () => {
    await using pair = await exchangePair({ accept: false })
    const chain = await chainOf(pair.remote, 20_000, 500)
    const { promise, resolve } = Promise.withResolvers<ResponseEnd>()
    let asked = 0
    pair.responder.addValidator(() => { asked++; return { accept: true, onEnd: resolve } })
    const request = pair.requestor.request(pair.b.peerId, chain[0], everything)
    ok((await request.next()).value)
    await request.return()
    ok((await promise).error)
    const reason = new Error('before')
    equal((await fetchAll(pair, chain[0], { signal: AbortSignal.abort(reason) })).error, reason)
    equal(asked, 1)
  })

  it('ends a request to a silent peer with StalledError', async () => {
    await using pair = await exchangePair({ accept: false })
    const [root] = await chainOf(pair.remote, 2)
    pair.responder.addValidator(async () => { await delay(500); return undefined })
    equal((await fetchAll(pair, root, { stallTimeout: 100 })).error.name, 'StalledError')
  })

  it('lets a request be awaited in the middle of another one of the same peer, however long that one is', async () => {
    await using pair = await exchangePair()
    const outer = await chainOf(pair.remote, 12_000, 700)
    let inner = 0
    let count = 0
    for await (const { bytes } of pair.requestor.request(pair.b.peerId, outer[0], everything, { stallTimeout: 5_000 })) {
      ok(bytes.length > 700)
      if (count++ % 3_000 === 0) {
        const entries = await chainOf(pair.remote, 50, 100_000, count)
        const { cids, error } = await fetchAll(pair, entries[0], { stallTimeout: 5_000 })
        equal(error, undefined)
        inner += cids.length
      }
    }
    equal(count, 12_000)
    equal(inner, 200)
  })

  it('serves more requests than it has slots for: the others wait, none is dropped', async () => {
    await using pair = await exchangePair({ responder: { maxInboundRequests: 2 }, requestor: { maxOutboundRequests: 30 }, accept: false })
    let running = 0
    let most = 0
    pair.responder.addValidator(async () => {
      most = Math.max(most, ++running)
      await delay(5)
      running--
      return { accept: true }
    })
    const chains = await Promise.all(Array.from({ length: 40 }, async (_, seed) => await chainOf(pair.remote, 3, 100, seed)))
    const results = await Promise.all(chains.map(async chain => await fetchAll(pair, chain[0])))
    ok(results.every(({ cids, error }) => error == null && cids.length === 3))
    equal(most, 2)
  })

  it('lets no more wait for a peer than it is told, and serves all the same when that is next to nothing', async () => {
    for (const responder of [{ maxPeerBytes: 64 * 1024 }, { maxPeerBytes: 1 }, { maxTotalBytes: 1 }]) {
      await using pair = await exchangePair({ responder })
      const chain = await chainOf(pair.remote, 200, 10_000)
      const { total } = (pair.responder as any).network
      let most = 0
      for await (const { local } of pair.requestor.request(pair.b.peerId, chain[0], everything)) {
        ok(!local)
        most = Math.max(most, total.bytes)
      }
      const { maxPeerBytes = 1 } = responder
      ok(most > 0 && most < maxPeerBytes + 128 * 1024 + 10_000, `${most} bytes waited`) // and one frame
      equal((await fetchAll(pair, chain[0])).cids.length, 200)
    }
  })

  it('ends a wait for a free slot by its signal', async () => {
    await using pair = await exchangePair({ requestor: { maxOutboundRequests: 1 } })
    const chain = await chainOf(pair.remote, 3)
    const first = pair.requestor.request(pair.b.peerId, chain[0], everything)
    await first.next()
    const reason = new Error('no longer')
    const controller = new AbortController()
    const waiting = fetchAll(pair, chain[0], { signal: controller.signal })
    await delay(5)
    controller.abort(reason)
    equal((await waiting).error, reason)
    await first.return()
    equal((await fetchAll(pair, chain[0])).error, undefined)
  })

  it('keeps the stores of requests apart that run at the same time', async () => {
    await using pair = await exchangePair()
    const chain = await chainOf(pair.remote, 200)
    const stores = [createLinkSystem(), createLinkSystem(), createLinkSystem()]
    const results = await Promise.all(stores.map(async linkSystem => await fetchAll(pair, chain[0], { linkSystem })))
    for (const [i, { cids, error }] of results.entries()) {
      equal(error, undefined)
      deepEqual(cids, texts(chain))
      for (const cid of chain) { ok(await stores[i].has(cid)) }
    }
  })

  it('serves both ways on one stream each', async () => {
    await using pair = await exchangePair()
    pair.requestor.addValidator(() => ({ accept: true }))
    const there = await chainOf(pair.remote, 300, 500)
    const here = await chainOf(pair.local, 300, 500, 9)
    const [one, two] = await Promise.all([
      fetchAll(pair, there[0]),
      outcome(pair.responder.request(pair.a.peerId, here[0], everything))
    ])
    deepEqual(one.cids, texts(there))
    deepEqual(two.cids, texts(here))
    const streams = pair.a.getConnections().flatMap(({ streams }) => streams).filter(({ protocol }) => protocol.includes('graphsync'))
    equal(streams.length, 2)
  })

  it('serves both ways though each side has more asked than the other lets wait', async () => {
    await using pair = await exchangePair()
    pair.requestor.addValidator(() => ({ accept: true }))
    const there = await chainOf(pair.remote, 5, 100_000)
    const here = await chainOf(pair.local, 5, 100_000, 9)
    const options = { extensions: { big: new Uint8Array(64 * 1024) }, stallTimeout: 15_000 }
    const results = Array.from({ length: 100 }, () => [
      outcome(pair.requestor.request(pair.b.peerId, there[0], everything, { ...options, linkSystem: createLinkSystem() })),
      outcome(pair.responder.request(pair.a.peerId, here[0], everything, { ...options, linkSystem: createLinkSystem() }))
    ]).flat()
    for (const { error, cids } of await Promise.all(results)) {
      equal(error, undefined)
      equal(cids.length, 5)
    }
  })

  it('fails what runs when it is stopped or the peer goes, and can be started again', async () => {
    await using pair = await exchangePair()
    const chain = await chainOf(pair.remote, 5_000, 500)
    const request = pair.requestor.request(pair.b.peerId, chain[0], everything)
    await request.next()
    await pair.requestor.stop()
    await rejects(outcome(request).then(({ error }) => { throw error }), { name: 'TransferFailedError', message: /stopped/ })
    equal((await fetchAll(pair, chain[0])).error.name, 'TransferFailedError')
    await pair.requestor.start()
    equal((await fetchAll(pair, chain[0])).cids.length, 5_000)
    const more = await chainOf(pair.remote, 5_000, 500, 4)
    const gone = pair.requestor.request(pair.b.peerId, more[0], everything)
    await gone.next()
    await pair.b.stop()
    equal((await outcome(gone)).error.name, 'TransferFailedError')
  })

  it('fails at once when the responder is stopped in the middle: its stream is reset, after a mere end one would wait', async () => {
    await using pair = await exchangePair()
    const chain = await chainOf(pair.remote, 5)
    const held = gate(pair.remote, chain[2])
    const request = pair.requestor.request(pair.b.peerId, chain[0], everything, { stallTimeout: 5_000 })
    for (const cid of chain.slice(0, 2)) { equal(String((await request.next()).value?.cid), String(cid)) }
    await held.reached
    await pair.responder.stop()
    held.open()
    await rejects(request.next(), { name: 'TransferFailedError', message: /lost the connection/ })
  })

  it('waits on after a lost stream when onNetworkError is given: a responder may go on over another one', async () => {
    await using pair = await exchangePair()
    const chain = await chainOf(pair.remote, 3)
    await pair.responder.stop()
    const peer = new RawPeer(pair.b, pair.a.peerId)
    await peer.start()
    const blocks = await Promise.all(chain.map(async cid => ({
      prefix: Uint8Array.from([1, 0x71, 0x12, 0x20]), data: await readBlock(pair.remote.blockstore, cid)
    })))
    const errors: Error[] = []
    const { promise, resolve } = Promise.withResolvers<void>()
    const ended = fetchAll(pair, chain[0], { onNetworkError: error => { errors.push(error); resolve() } })
    const { requests: [{ id: requestId }] } = await peer.message(0)
    await peer.send({ responses: [{ requestId, status: 14, metadata: [[chain[0], 'present']] }], blocks: blocks.slice(0, 1) }, 1)
    while (!await pair.local.has(chain[0])) { await delay(5) }
    ;(await peer.stream(1)).abort(new Error('reset'))
    await promise
    await peer.send({
      responses: [{ requestId, status: 20, metadata: [[chain[1], 'present'], [chain[2], 'present']] }], blocks: blocks.slice(1)
    }, 2)
    const { cids, error } = await ended
    equal(error, undefined)
    deepEqual(cids, texts(chain))
    equal(errors.length, 1)
  })

  it('hands an update to the acceptance of its request', async () => {
    await using pair = await exchangePair({ accept: false })
    await pair.requestor.stop()
    const [root] = await chainOf(pair.remote, 2)
    const { promise: updated, resolve } = Promise.withResolvers<GraphsyncRequest>()
    const { promise: gate, resolve: open } = Promise.withResolvers<void>()
    const { blockstore } = pair.remote
    const get = blockstore.get.bind(blockstore)
    blockstore.get = (async function * (cid: any) {
      await gate
      yield * get(cid)
    }) as any
    pair.responder.addValidator(() => ({ accept: true, onUpdate: resolve }))
    const peer = new RawPeer(pair.a, pair.b.peerId)
    await peer.start()
    const id = crypto.getRandomValues(new Uint8Array(16))
    await peer.send({ requests: [{ id, type: 'new', root, selector: everything }] })
    await delay(20)
    await peer.send({ requests: [{ id, type: 'update', extensions: { more: 1 } }] })
    deepEqual((await updated).extensions, { more: 1 })
    open()
    equal(await peer.terminal(id), 20)
  })

  it('reports an undecodable block and an unknown codec by name', async () => {
    await using pair = await exchangePair()
    const bad = await pair.remote.store(Uint8Array.from([0xff, 0xff]), { codec: { name: 'bad', code: 0x71, encode: (bytes: any) => bytes, decode: (bytes: any) => bytes } as any })
    const root = await pair.remote.store({ bad }, { codec: dagCbor })
    const { cids, error } = await fetchAll(pair, root)
    deepEqual(cids, [String(root)])
    equal(error.name, 'InvalidMessageError')
  })

  it('checks its arguments', async () => {
    await using pair = await createPair()
    throws(() => createGraphsync({ libp2p: pair.a }, { maxInboundRequests: 0 }), { name: 'InvalidOptionError' })
    for (const libp2p of [undefined, Promise.resolve(pair.a)] as any[]) {
      throws(() => createGraphsync({ libp2p }), { name: 'InvalidOptionError', field: 'libp2p' })
    }
    const exchange = createGraphsync({ libp2p: pair.a })
    await exchange.start()
    await exchange.start()
    const linkSystem = createLinkSystem()
    const [root] = await chainOf(createLinkSystem(), 1)
    equal((await outcome(exchange.request(pair.b.peerId, root, everything))).error.name, 'InvalidOptionError')
    const text: any = pair.b.peerId.toString()
    equal((await outcome(exchange.request(text, root, everything, { linkSystem }))).error.field, 'peer')
    equal((await outcome(exchange.request(pair.b.peerId, root, { R: {} }, { linkSystem }))).error.name, 'InvalidSelectorError')
    equal((await outcome(exchange.request(pair.b.peerId, root, everything, { linkSystem }))).error.name, 'TransferFailedError')
    await exchange.stop()
    await exchange.stop()
  })
})
