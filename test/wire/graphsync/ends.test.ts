import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Stream } from '@libp2p/interface'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import type { ResponseEnd } from '../../../src/shared/types/graphsync.ts'
import { createLinkSystem } from '../../../src/store/link-system.ts'
import { readBlock } from '../../../src/store/read.ts'
import { DEDUP_BY_KEY, DO_NOT_SEND_FIRST_BLOCKS, GRAPHSYNC_PROTOCOL, MAX_WAITING_REQUESTS } from '../../../src/wire/graphsync/constants.ts'
import { Exchange } from '../../../src/wire/graphsync/exchange.ts'
import type { OutgoingRequest } from '../../../src/wire/graphsync/request.ts'
import { peersOf, until, untilHeldBack } from '../../memory/kit.ts'
import { inTime } from '../../support/hall.ts'
import { gate } from '../data-transfer/kit.ts'
import { createNode, createPair } from '../nodes.ts'
import { chainOf, copy, everything, exchangePair, fetchAll, outcome } from './kit.ts'
import type { ExchangePair } from './kit.ts'
import { RawPeer } from './raw-peer.ts'

const absent = async (): Promise<CID> => (await chainOf(createLinkSystem(), 1, 100, 7))[0]

const digestOf = (number: number): ReturnType<typeof create> => create(0x12, new Uint8Array(new Uint32Array(8).fill(number).buffer))

describe('graphsync: a response whose stream is reset while it waits for its store', () => {
  it('ends: what comes behind the gap is of no use', async () => {
    await using pair = await createPair()
    const remote = createLinkSystem()
    const chain = await chainOf(remote, 5)
    const held = gate(remote, chain[2])
    const ended = Promise.withResolvers<ResponseEnd>()
    await using responder = new Exchange({ libp2p: pair.b, linkSystem: remote })
    responder.addValidator(() => ({ accept: true, onEnd: ended.resolve }))
    await responder.start()
    const peer = new RawPeer(pair.a, pair.b.peerId)
    await peer.start()
    const blocks = (): number => peer.received.reduce((sum, { message }) => sum + message.blocks.length, 0)
    const id = crypto.getRandomValues(new Uint8Array(16))
    await peer.send({ requests: [{ id, type: 'new', root: chain[0], selector: everything }] })
    await held.reached
    await peer.until(() => blocks() === 2)
    peer.inbound[0].abort(new Error('played'))
    equal((await ended.promise).error?.name, 'TransferFailedError')
    held.open()
    await peer.send({ requests: [{ id: crypto.getRandomValues(new Uint8Array(16)), type: 'new', root: chain[4], selector: everything }] })
    await peer.until(() => peer.responses.some(({ status }) => status === 20))
    equal(blocks(), 3)
  })
})

describe('graphsync: a request that is closed while it looks into its own store', () => {
  it('is not made, and leaves nothing behind', async () => {
    await using pair = await exchangePair({ accept: false })
    let asked = 0
    pair.responder.addValidator(() => {
      asked++
      return { accept: true }
    })
    const [root, other] = await chainOf(pair.remote, 2)
    const request = await pair.requestor.open(pair.b.peerId, root, everything)
    const step = request.next() // the store has answered, and the request goes out in the next turn
    request.close()
    await rejects(Promise.resolve(step), { name: 'TransferFailedError', message: /over/ })
    equal(peersOf(pair.requestor).size, 0)
    equal((await fetchAll(pair, other)).cids.length, 1) // by the same stream, which is read in order
    equal(asked, 1)
  })
})

describe('graphsync: a request that its own onAsk ends', () => {
  const ends: Record<string, (controller: AbortController) => void> = {
    aborts: controller => { controller.abort(new Error('played')) },
    throws: () => { throw new Error('played') }
  }
  for (const [how, end] of Object.entries(ends)) {
    it(`does not go out, nor its cancel: it ${how}`, async () => {
      await using pair = await createPair()
      const linkSystem = createLinkSystem()
      await using requestor = new Exchange({ libp2p: pair.a, linkSystem })
      await requestor.start()
      const peer = new RawPeer(pair.b, pair.a.peerId)
      await peer.start()
      const controller = new AbortController()
      const onAsk = (): void => { end(controller) }
      const root = await absent()
      const { error } = await outcome(requestor.request(pair.b.peerId, root, everything, { signal: controller.signal, onAsk }))
      equal(error?.message, 'played')
      const next = outcome(requestor.request(pair.b.peerId, root, everything))
      await peer.until(() => peer.requests.some(({ type }) => type === 'new'))
      deepEqual(peer.requests.map(({ type }) => type), ['new'])
      equal(peer.requests[0].extensions?.[DEDUP_BY_KEY], undefined) // nothing of before is taken to be under way
      await requestor.stop()
      await next
    })
  }
})

describe('graphsync: a request that still walks its own store when its exchange is stopped', () => {
  const later: Record<string, (stopped: Promise<void>) => Promise<unknown>> = {
    'answers when that is done': async stopped => stopped,
    'never answers': async () => Promise.withResolvers<never>().promise
  }
  for (const [what, waits] of Object.entries(later)) {
    it(`ends: by its store, which stops it, and then ${what}`, async () => {
      await using pair = await exchangePair()
      const chain = await chainOf(pair.remote, 3)
      await copy(pair.remote, pair.local, chain.slice(0, 2))
      const { blockstore } = pair.local
      const get = blockstore.get.bind(blockstore)
      blockstore.get = (async function * (...args: Parameters<typeof get>) {
        await waits(pair.requestor.stop())
        yield * get(...args) as any
      }) as any
      const { error } = await inTime(fetchAll(pair, chain[0]))
      equal(error?.name, 'TransferFailedError')
      match(error?.message, /stopped/)
      equal(peersOf(pair.requestor).size, 0)
      blockstore.get = get
      await pair.requestor.start()
      equal((await fetchAll(pair, chain[0])).cids.length, 3)
    })
  }
})

describe('graphsync: a request whose stream is reset', () => {
  it('before any answer fails at once: it may not have been read', async () => {
    await using pair = await exchangePair({ accept: false })
    const asked = Promise.withResolvers<void>()
    pair.responder.addValidator(async () => {
      asked.resolve()
      return await new Promise(() => {})
    })
    const [root] = await chainOf(pair.remote, 2)
    const request = outcome(pair.requestor.request(pair.b.peerId, root, everything, { stallTimeout: 5_000 }))
    await asked.promise
    await pair.responder.stop()
    const { error } = await request
    equal(error?.name, 'TransferFailedError')
  })

  it('before any answer fails at once also while a response is written to it', async () => {
    await using pair = await createPair()
    const inbound: Stream[] = []
    await pair.a.handle(GRAPHSYNC_PROTOCOL, stream => {
      stream.pause()
      inbound.push(stream)
    })
    const remote = createLinkSystem()
    const chain = await chainOf(remote, 600, 20_000)
    await using exchange = new Exchange({ libp2p: pair.b, linkSystem: remote })
    exchange.addValidator(() => ({ accept: true }))
    await exchange.start()
    const lost = outcome(exchange.request(pair.a.peerId, await absent(), everything, { stallTimeout: 10_000 }))
    const raw = new RawPeer(pair.a, pair.b.peerId)
    await until(() => inbound.length === 1)
    await raw.send({ requests: [{ id: crypto.getRandomValues(new Uint8Array(16)), type: 'new', root: chain[0], selector: everything }] })
    await untilHeldBack(exchange)
    inbound[0].abort(new Error('played'))
    equal((await lost).error?.name, 'TransferFailedError')
    equal(inbound.length, 1)
  })

  it('with a response goes on when it was not written yet', async () => {
    await using pair = await createPair()
    const remote = createLinkSystem()
    const chain = await chainOf(remote, 600, 20_000)
    await using exchange = new Exchange({ libp2p: pair.b, linkSystem: remote })
    exchange.addValidator(() => ({ accept: true }))
    await exchange.start()
    const inbound: Stream[] = []
    await pair.a.handle(GRAPHSYNC_PROTOCOL, stream => {
      stream.pause()
      inbound.push(stream)
    })
    const raw = new RawPeer(pair.a, pair.b.peerId)
    await raw.send({ requests: [{ id: crypto.getRandomValues(new Uint8Array(16)), type: 'new', root: chain[0], selector: everything }] })
    await untilHeldBack(exchange)
    const root = await absent()
    const request = outcome(exchange.request(pair.a.peerId, root, everything, { stallTimeout: 10_000 }))
    await until(() => peersOf(exchange).get(String(pair.a.peerId)).requests.size === 1)
    await pair.a.unhandle(GRAPHSYNC_PROTOCOL)
    await raw.start()
    inbound[0].abort(new Error('played'))
    await raw.until(() => raw.requests.length === 1)
    await raw.send({ responses: [{ requestId: raw.requests[0].id, status: 34 }] })
    equal((await request).error?.name, 'ContentNotFoundError')
  })

  it('after one goes on: it was read', async () => {
    await using pair = await exchangePair()
    const chain = await chainOf(pair.remote, 5)
    const held = gate(pair.remote, chain[2])
    const request = pair.requestor.request(pair.b.peerId, chain[0], everything)
    for (const cid of chain.slice(0, 2)) { equal(String((await request.next()).value?.cid), String(cid)) }
    await held.reached
    const [stream] = pair.b.getConnections()[0].streams.filter(({ protocol, direction }) => protocol === GRAPHSYNC_PROTOCOL && direction === 'inbound')
    const closed = new Promise(resolve => {
      const [near] = pair.a.getConnections()[0].streams.filter(({ protocol, direction }) => protocol === GRAPHSYNC_PROTOCOL && direction === 'outbound')
      near.addEventListener('close', resolve)
    })
    stream.abort(new Error('played'))
    await closed
    held.open()
    const { cids, error } = await outcome(request)
    equal(error, undefined)
    deepEqual(cids, chain.slice(2).map(String))
  })
})

describe('graphsync: a response that is stopped by its signal', () => {
  it('fails at the peer, also while it waits for its store; nothing hangs on the signal afterwards', async () => {
    await using pair = await exchangePair({ accept: false })
    const chain = await chainOf(pair.remote, 5)
    const held = gate(pair.remote, chain[2])
    const controller = new AbortController()
    const ends: ResponseEnd[] = []
    pair.responder.addValidator(() => ({ accept: true, signal: controller.signal, onEnd: end => { ends.push(end) } }))
    equal((await outcome(pair.requestor.request(pair.b.peerId, chain[3], everything, { linkSystem: createLinkSystem() }))).error, undefined)
    await until(() => getEventListeners(controller.signal, 'abort').length === 0)
    const request = pair.requestor.request(pair.b.peerId, chain[0], everything)
    await request.next()
    await held.reached
    controller.abort()
    await rejects(outcome(request).then(({ error }) => { throw error }), { name: 'TransferFailedError', message: /request failed/ })
    held.open()
    await until(() => getEventListeners(controller.signal, 'abort').length === 0)
    deepEqual(ends.map(({ status }) => status), [20, 32])
    const late = pair.requestor.request(pair.b.peerId, chain[0], everything, { linkSystem: createLinkSystem() })
    equal((await outcome(late)).error?.name, 'TransferFailedError')
  })

  it('is over at once though its peer takes nothing', async () => {
    await using pair = await createPair()
    const remote = createLinkSystem()
    const chain = await chainOf(remote, 600, 20_000)
    const controller = new AbortController()
    await using responder = new Exchange({ libp2p: pair.b, linkSystem: remote })
    responder.addValidator(() => ({ accept: true, signal: controller.signal }))
    await responder.start()
    const peer = new RawPeer(pair.a, pair.b.peerId)
    await pair.a.handle(GRAPHSYNC_PROTOCOL, stream => { stream.pause() })
    await peer.send({ requests: [{ id: crypto.getRandomValues(new Uint8Array(16)), type: 'new', root: chain[0], selector: everything }] })
    await untilHeldBack(responder)
    controller.abort()
    equal((responder as any).network.peers.get(String(pair.a.peerId)).responses.size, 0)
    await until(() => (responder as any).network.peers.get(String(pair.a.peerId)).heldBytes === 0)
  })
})

describe('graphsync: a response whose peer takes nothing', () => {
  it('leaves its slot to others, and takes one again when it goes on', { timeout: 20_000 }, async () => {
    await using pair = await exchangePair({ responder: { maxInboundRequests: 1 } })
    const chain = await chainOf(pair.remote, 600, 20_000)
    const node = await createNode()
    try {
      await node.dial(pair.b.getMultiaddrs())
      let stream: Stream | undefined
      await node.handle(GRAPHSYNC_PROTOCOL, inbound => {
        inbound.pause()
        stream = inbound
      })
      const raw = new RawPeer(node, pair.b.peerId)
      await raw.send({ requests: [{ id: crypto.getRandomValues(new Uint8Array(16)), type: 'new', root: chain[0], selector: everything }] })
      await untilHeldBack(pair.responder)
      equal((await fetchAll(pair, chain[599])).error, undefined)
      stream?.addEventListener('message', () => {})
      stream?.resume()
      await until(() => peersOf(pair.responder).get(String(node.peerId)).responses.size === 0)
      equal((await fetchAll(pair, chain[598])).error, undefined)
      await until(() => (pair.responder as any).inbound.free === 1)
    } finally {
      await node.stop()
    }
  })
})

describe('graphsync: a response over a store that answers at once, and slowly', () => {
  it('lets others have their turn, though no block of it goes out', async () => {
    await using pair = await exchangePair()
    await pair.requestor.stop()
    const chain = await chainOf(pair.remote, 60)
    const raw = new RawPeer(pair.a, pair.b.peerId)
    await raw.start()
    let turn = 0
    const turns = new Set<number>()
    const get = pair.remote.blockstore.get.bind(pair.remote.blockstore)
    pair.remote.blockstore.get = (cid, options) => {
      turns.add(turn)
      for (const until = performance.now() + 5; performance.now() < until;) { /* busy */ }
      return get(cid, options)
    }
    const timer = setInterval(() => { turn++ }, 1)
    const id = crypto.getRandomValues(new Uint8Array(16))
    const extensions = { [DO_NOT_SEND_FIRST_BLOCKS]: 60 }
    try {
      await raw.send({ requests: [{ id, type: 'new', root: chain[0], selector: everything, extensions }] })
      equal(await raw.terminal(id), 20)
    } finally {
      clearInterval(timer)
    }
    ok(turns.size > 5, `in ${turns.size} turns of the event loop`)
  })
})

describe('graphsync: a response whose onUpdate throws', () => {
  it('fails at the peer, and leaves its slot though the store does not answer', async () => {
    await using pair = await exchangePair({ accept: false, responder: { maxInboundRequests: 1 } })
    await pair.requestor.stop()
    const chain = await chainOf(pair.remote, 3)
    const held = gate(pair.remote, chain[1], { once: true })
    pair.responder.addValidator(() => ({ accept: true, onUpdate: () => { throw new Error('played') } }))
    const raw = new RawPeer(pair.a, pair.b.peerId)
    await raw.start()
    const [id, next] = [1, 2].map(() => crypto.getRandomValues(new Uint8Array(16)))
    await raw.send({ requests: [{ id, type: 'new', root: chain[0], selector: everything }] })
    await held.reached
    await raw.send({ requests: [{ id, type: 'update', extensions: { more: 1 } }] })
    equal(await raw.terminal(id), 32)
    await raw.send({ requests: [{ id: next, type: 'new', root: chain[0], selector: everything }] })
    equal(await raw.terminal(next), 20)
  })
})

describe('graphsync: a request that is cancelled while a validator is asked', () => {
  for (const accept of [true, false]) {
    it(`${accept ? 'tells' : 'does not tell'} the validator when that ${accept ? 'accepts' : 'refuses'} it`, async () => {
      await using pair = await exchangePair({ accept: false })
      await pair.requestor.stop()
      const asked = Promise.withResolvers<void>()
      const decided = Promise.withResolvers<void>()
      const ends: ResponseEnd[] = []
      pair.responder.addValidator(async () => {
        asked.resolve()
        await decided.promise
        return { accept, onEnd: end => { ends.push(end) } }
      })
      const raw = new RawPeer(pair.a, pair.b.peerId)
      const id = crypto.getRandomValues(new Uint8Array(16))
      await raw.send({ requests: [{ id, type: 'new', root: await absent(), selector: everything }] })
      await asked.promise
      await raw.send({ requests: [{ id, type: 'cancel' }] })
      const peer = peersOf(pair.responder).get(String(pair.a.peerId))
      await until(() => peer.responses.size === 0)
      decided.resolve()
      await until(() => peer.heldBytes === 0)
      equal(ends.length, accept ? 1 : 0)
    })
  }
})

describe('graphsync: an exchange that is stopped while it starts', () => {
  it('leaves no listener at the node', async () => {
    await using pair = await createPair()
    const listeners = new Set<unknown>()
    const { addEventListener, removeEventListener } = pair.a
    pair.a.addEventListener = (type: any, listener: any) => {
      listeners.add(listener)
      addEventListener.call(pair.a, type, listener)
    }
    pair.a.removeEventListener = (type: any, listener: any) => {
      listeners.delete(listener)
      removeEventListener.call(pair.a, type, listener)
    }
    const exchange = new Exchange({ libp2p: pair.a })
    await Promise.all([exchange.start(), exchange.stop()])
    equal(listeners.size, 0)
    ok(!pair.a.getProtocols().includes(GRAPHSYNC_PROTOCOL))
  })
})

describe('graphsync: streams that a peer has opened', () => {
  it('end on both sides, and leave nothing behind', async () => {
    await using pair = await createPair()
    await using responder = new Exchange({ libp2p: pair.b, linkSystem: createLinkSystem() })
    await responder.start()
    const raw = new RawPeer(pair.a, pair.b.peerId)
    await raw.start()
    const [closed, cut] = [await raw.stream(0), await raw.stream(1), await raw.stream(2)] // the last one stays
    const peer = (): any => peersOf(responder).get(String(pair.a.peerId))
    await until(() => peer()?.streams === 3)
    cut.send(Uint8Array.from([0x80, 0x80, 0x80, 0x01])) // of a frame of 2 MiB
    cut.send(new Uint8Array(100_000))
    await until(() => peer().inbound.used > 100_000)
    cut.abort(new Error('played'))
    await closed.close()
    await until(() => closed.status === 'closed')
    await until(() => peer().streams === 1)
    equal(peer().inbound.used, 0)
    equal((responder as any).network.streams.size, 1)
  })

  for (const how of ['is reset', 'is ended by stop()'] as const) {
    it(`give no request any more that waits when one ${how}`, async () => {
      await using pair = await createPair()
      await using responder = new Exchange({ libp2p: pair.b, linkSystem: createLinkSystem() }, { maxInboundRequests: 1 })
      const held = Promise.withResolvers<undefined>()
      responder.addValidator(async () => await held.promise)
      await responder.start()
      const raw = new RawPeer(pair.a, pair.b.peerId)
      await raw.start()
      const root = await absent()
      const requestOf = (n: number): any => ({ id: new Uint8Array(new Uint32Array([n, 0, 0, 0]).buffer), type: 'new', root, selector: everything })
      await raw.send({ requests: Array.from({ length: MAX_WAITING_REQUESTS + 2 }, (_, n) => requestOf(n)) })
      await until(() => peersOf(responder).get(String(pair.a.peerId))?.responses.size === MAX_WAITING_REQUESTS + 2)
      const peer = peersOf(responder).get(String(pair.a.peerId))
      await raw.send({ requests: [requestOf(1 << 20)] })
      await until(() => peer.inbound.used > 0)
      if (how === 'is reset') { (await raw.stream()).abort(new Error('played')) } else { await responder.stop() }
      await until(() => peer.streams === 0)
      equal(peer.inbound.used, 0)
      equal(peer.responses.size, how === 'is reset' ? MAX_WAITING_REQUESTS + 2 : 0)
      held.resolve(undefined)
    })
  }
})

describe('graphsync: a responder that is stopped', () => {
  it('leaves nothing of a peer whose stream it could not open yet', async () => {
    await using pair = await createPair()
    const remote = createLinkSystem()
    const chain = await chainOf(remote, 2)
    const held = gate(remote, chain[1])
    pair.b.dialProtocol = async (...[, , { signal }]: any[]) => {
      const { promise, reject } = Promise.withResolvers<Stream>()
      signal.addEventListener('abort', () => { reject(signal.reason) })
      return await promise
    }
    await using responder = new Exchange({ libp2p: pair.b, linkSystem: remote })
    responder.addValidator(() => ({ accept: true }))
    await responder.start()
    const raw = new RawPeer(pair.a, pair.b.peerId)
    await raw.send({ requests: [{ id: crypto.getRandomValues(new Uint8Array(16)), type: 'new', root: chain[0], selector: everything }] })
    await held.reached
    const { total } = (responder as any).network
    equal(total.peers.size, 1)
    await responder.stop()
    await until(() => total.peers.size === 0)
    equal(total.bytes, 0)
  })

  it('resets a stream that a middleware of the node holds back until after the stop', async () => {
    await using pair = await createPair()
    await using responder = new Exchange({ libp2p: pair.b, linkSystem: createLinkSystem() })
    await responder.start()
    const [held, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    pair.b.use(GRAPHSYNC_PROTOCOL, async (stream, connection, next) => {
      held.resolve()
      await goOn.promise
      next(stream, connection)
    })
    const stream = await pair.a.dialProtocol(pair.b.peerId, GRAPHSYNC_PROTOCOL)
    stream.send(Uint8Array.of(0x80)) // the begin of a frame
    await held.promise
    await responder.stop()
    goOn.resolve()
    await until(() => stream.status !== 'open')
    equal(stream.status, 'reset')
  })

  it('resets a stream whose last word was not taken yet', async () => {
    await using pair = await createPair()
    const remote = createLinkSystem()
    const chain = await chainOf(remote, 30, 100_000)
    await using responder = new Exchange({ libp2p: pair.b, linkSystem: remote }, { maxPeerBytes: 64 * 1024 * 1024 })
    responder.addValidator(() => ({ accept: true }))
    await responder.start()
    const opened = Promise.withResolvers<any>()
    await pair.a.handle(GRAPHSYNC_PROTOCOL, stream => {
      stream.pause()
      opened.resolve(stream)
    })
    const peer = new RawPeer(pair.a, pair.b.peerId)
    await peer.send({ requests: [{ id: crypto.getRandomValues(new Uint8Array(16)), type: 'new', root: chain[0], selector: everything }] })
    const stream = await opened.promise
    const peers = (responder as any).network.peers
    await until(() => peers.get(String(pair.a.peerId))?.responses.size === 0 && !peers.get(String(pair.a.peerId)).outbox.idle)
    await responder.stop()
    stream.resume()
    await until(() => stream.status !== 'open' || stream.remoteWriteStatus !== 'writable')
    equal(stream.status, 'reset')
  })
})

describe('graphsync: a peer that cannot be answered', () => {
  it('leaves nothing behind', async () => {
    await using pair = await createPair()
    const remote = createLinkSystem()
    const chain = await chainOf(remote, 3)
    const held = gate(remote, chain[1])
    const ended = Promise.withResolvers<ResponseEnd>()
    await using responder = new Exchange({ libp2p: pair.b, linkSystem: remote })
    responder.addValidator(() => ({ accept: true, onEnd: ended.resolve }))
    await responder.start()
    const peer = new RawPeer(pair.a, pair.b.peerId) // takes no stream
    const id = crypto.getRandomValues(new Uint8Array(16))
    await peer.send({ requests: [{ id, type: 'new', root: chain[0], selector: everything }] })
    await held.reached
    equal((await ended.promise).error?.name, 'TransferFailedError')
    held.open()
    await (await peer.stream()).close()
    await until(() => peersOf(responder).size === 0)
    equal((responder as any).network.total.peers.size, 0)
  })

  it('ends also the response that is stopped by who hears of the end of another one', async () => {
    await using pair = await createPair()
    const remote = createLinkSystem()
    const chain = await chainOf(remote, 3)
    const held = gate(remote, chain[1])
    const stop = new AbortController()
    let other: ResponseEnd | undefined
    let asked = 0
    await using responder = new Exchange({ libp2p: pair.b, linkSystem: remote })
    responder.addValidator(() => asked++ === 0
      ? { accept: true, onEnd: () => { stop.abort() } }
      : { accept: true, signal: stop.signal, onEnd: end => { other = end } })
    await responder.start()
    const peer = new RawPeer(pair.a, pair.b.peerId) // takes no stream
    const [id, next] = [1, 2].map(() => crypto.getRandomValues(new Uint8Array(16)))
    await peer.send({ requests: [id, next].map(id => ({ id, type: 'new', root: chain[0], selector: everything })) })
    await until(() => other != null)
    equal(other?.error?.name, 'TransferFailedError')
    held.open()
    await (await peer.stream()).close()
    await until(() => peersOf(responder).size === 0)
    equal((responder as any).network.total.bytes, 0)
  })
})

describe('graphsync: a peer that resets our stream while libp2p still opens it', () => {
  it('leaves nothing behind', async () => {
    await using pair = await exchangePair()
    await pair.responder.stop()
    let resets = 0
    await pair.b.handle(GRAPHSYNC_PROTOCOL, stream => {
      stream.abort(new Error('played'))
      resets++
    })
    const { peerStore } = (pair.a as any).components
    const merge = peerStore.merge.bind(peerStore)
    let merges = 0
    peerStore.merge = async (...args: any[]) => {
      merges++
      await until(() => resets >= merges) // as a slow datastore
      await delay(20)
      return merge(...args)
    }
    pair.requestor.connect(pair.b.peerId)
    await until(() => resets > 0 && peersOf(pair.requestor).size === 0)
    const [root] = await chainOf(pair.remote, 1)
    equal((await outcome(pair.requestor.request(pair.b.peerId, root, everything))).error?.name, 'TransferFailedError')
    await until(() => peersOf(pair.requestor).size === 0)
  })
})

describe('graphsync: a request that cannot be made', () => {
  it('leaves nothing of the peer behind', async () => {
    await using pair = await exchangePair()
    const [root] = await chainOf(pair.remote, 1)
    const { error } = await outcome(pair.requestor.request(pair.b.peerId, root, { nothing: {} }))
    equal(error?.name, 'InvalidSelectorError')
    equal(peersOf(pair.requestor).size, 0)
  })
})

describe('graphsync: a request over blocks that are all here at once', () => {
  it('lets others have their turn', async () => {
    await using pair = await exchangePair()
    const get = pair.local.blockstore.get.bind(pair.local.blockstore)
    const chain = await chainOf(pair.local, 60)
    pair.local.blockstore.get = (cid, options) => {
      for (const until = performance.now() + 2; performance.now() < until;) { /* busy */ }
      return get(cid, options)
    }
    const controller = new AbortController()
    const timer = setTimeout(() => { controller.abort(new Error('enough')) }, 1)
    const request = pair.requestor.request(pair.b.peerId, chain[0], everything, { signal: controller.signal })
    const { cids, error } = await outcome(request)
    clearTimeout(timer)
    equal(error?.message, 'enough')
    ok(cids.length < 30, `after ${cids.length} blocks`)
  })
})

describe('graphsync: a walk over blocks that are all missing', () => {
  it('lets others have their turn', async () => {
    await using pair = await exchangePair()
    const root = await pair.remote.store(Array.from({ length: 10_000 }, (_, i) => CID.createV1(0x55, digestOf(i))))
    let reads = 0
    const turns = new Set<number>()
    let turn = 0
    const timer = setInterval(() => { turn++ }, 0)
    const get = pair.remote.blockstore.get.bind(pair.remote.blockstore)
    pair.remote.blockstore.get = (cid, options) => {
      reads++
      turns.add(turn)
      return get(cid, options)
    }
    const { error } = await outcome(pair.requestor.request(pair.b.peerId, root, everything))
    clearInterval(timer)
    equal(error?.name, 'ContentNotFoundError')
    equal(reads, 10_001)
    ok(turns.size > 2, `in ${turns.size} turns of the event loop`)
  })
})

describe('graphsync: an exchange that stops while a request reads again what was walked without its consumer', () => {
  /** The first block is taken, the next ones are walked because another request waits; what is walked last waits for its put. */
  async function walkedAhead (pair: ExchangePair): Promise<{ request: OutgoingRequest, chain: CID[], other: Promise<unknown> }> {
    const chain = await chainOf(pair.remote, 20, 200_000)
    const [root] = await chainOf(pair.remote, 1, 100, 7)
    gate(pair.remote, root)
    const put = pair.local.blockstore.put.bind(pair.local.blockstore)
    pair.local.blockstore.put = (cid, bytes, options) => cid.equals(chain[4]) ? new Promise(() => {}) : put(cid, bytes, options)
    const request = await pair.requestor.open(pair.b.peerId, chain[0], everything)
    ok((await request.next())?.cid.equals(chain[0]))
    const other = outcome(pair.requestor.request(pair.b.peerId, root, everything))
    await until(() => (request as any).ahead.length === 3)
    return { request, chain, other }
  }

  it('ends it, though the store never gives the block', async () => {
    await using pair = await exchangePair()
    const { request, chain, other } = await walkedAhead(pair)
    const held = gate(pair.local, chain[1])
    const next = rejects(async () => await request.next(), { name: 'TransferFailedError', message: /was stopped/ })
    await held.reached
    await pair.requestor.stop()
    await next
    request.close()
    await other
  })

  it('ends it, though the store never puts the block behind those', async () => {
    await using pair = await exchangePair()
    const { request, chain, other } = await walkedAhead(pair)
    gate(pair.local, chain[1]).open() // read by a promise
    for (const cid of chain.slice(1, 4)) { ok((await request.next())?.cid.equals(cid)) }
    const next = rejects(async () => await request.next(), { name: 'TransferFailedError', message: /was stopped/ })
    await pair.requestor.stop()
    await next
    request.close()
    await other
  })
})

describe('graphsync: a response that is cancelled', () => {
  for (const how of ['by its peer', 'by its signal'] as const) {
    it(`${how} does not have its store look for a block any more`, async () => {
      await using pair = await createPair()
      const remote = createLinkSystem()
      const [root] = await chainOf(remote, 1)
      const asked = Promise.withResolvers<AbortSignal>()
      remote.blockstore.get = async function * (...[, { signal }]: any[]) {
        asked.resolve(signal)
        await new Promise(() => {})
      } as any
      const controller = new AbortController()
      await using responder = new Exchange({ libp2p: pair.b, linkSystem: remote })
      responder.addValidator(() => ({ accept: true, signal: controller.signal }))
      await responder.start()
      const peer = new RawPeer(pair.a, pair.b.peerId)
      await peer.start()
      const id = crypto.getRandomValues(new Uint8Array(16))
      await peer.send({ requests: [{ id, type: 'new', root, selector: everything }] })
      const signal = await asked.promise
      equal(signal.aborted, false)
      if (how === 'by its peer') { await peer.send({ requests: [{ id, type: 'cancel' }] }) } else { controller.abort() }
      await until(() => signal.aborted)
    })
  }

  it('while it waits for a slot leaves the slot to others', { timeout: 20_000 }, async () => {
    await using pair = await createPair()
    const remote = createLinkSystem()
    const [root] = await chainOf(remote, 1)
    const held = gate(remote, root, { once: true })
    await using responder = new Exchange({ libp2p: pair.b, linkSystem: remote }, { maxInboundRequests: 1 })
    responder.addValidator(() => ({ accept: true }))
    await responder.start()
    const peer = new RawPeer(pair.a, pair.b.peerId)
    await peer.start()
    const [first, second, third] = Array.from({ length: 3 }, () => crypto.getRandomValues(new Uint8Array(16)))
    await peer.send({ requests: [{ id: first, type: 'new', root, selector: everything }] })
    await held.reached
    await peer.send({ requests: [{ id: second, type: 'new', root, selector: everything }] })
    const responses = (): Map<string, unknown> => peersOf(responder).get(String(pair.a.peerId)).responses
    await until(() => responses().size === 2)
    await peer.send({ requests: [{ id: second, type: 'cancel' }] })
    await until(() => responses().size === 1)
    held.open()
    equal(await peer.terminal(first), 20)
    await peer.send({ requests: [{ id: third, type: 'new', root, selector: everything }] })
    equal(await peer.terminal(third), 20)
  })
})

describe('graphsync: an exchange', () => {
  it('that could not start can be started again', async () => {
    await using pair = await createPair()
    await pair.a.handle(GRAPHSYNC_PROTOCOL, () => {})
    await using exchange = new Exchange({ libp2p: pair.a })
    await rejects(exchange.start(), { name: 'DuplicateProtocolHandlerError' })
    await pair.a.unhandle(GRAPHSYNC_PROTOCOL)
    await exchange.start()
    ok(pair.a.getProtocols().includes(GRAPHSYNC_PROTOCOL))
  })

  it('that is stopped tells its peer, and asks the same one again when it is started, whatever a reader of before does', async () => {
    await using pair = await createPair()
    await using exchange = new Exchange({ libp2p: pair.a, linkSystem: createLinkSystem() })
    await exchange.start()
    const peer = new RawPeer(pair.b, pair.a.peerId)
    await peer.start()
    const remote = createLinkSystem()
    const [root] = await chainOf(remote, 2)
    const request = exchange.request(pair.b.peerId, root, everything)
    const next = request.next()
    await peer.until(() => peer.requests.length === 1)
    const data = await readBlock(remote.blockstore, root)
    await peer.send({ responses: [{ requestId: peer.requests[0].id, status: 14, metadata: [[root, 'present']] }], blocks: [{ prefix: root.bytes.subarray(0, 4), data }] })
    await next
    await exchange.stop()
    await peer.until(() => peer.requests.some(({ type }) => type === 'cancel'))
    await exchange.start()
    const again = outcome(exchange.request(pair.b.peerId, await absent(), everything))
    await peer.until(() => peer.requests.length === 3)
    await peer.send({ responses: [{ requestId: peer.requests[2].id, status: 34 }] }, 1)
    equal((await again).error?.name, 'ContentNotFoundError')
    await rejects(request.next(), { name: 'TransferFailedError' })
  })

  it('asks without a key for what was sent as soon as the peer has ended what was given up', async () => {
    await using pair = await createPair()
    await using exchange = new Exchange({ libp2p: pair.a, linkSystem: createLinkSystem() })
    await exchange.start()
    const peer = new RawPeer(pair.b, pair.a.peerId)
    await peer.start()
    const keyed: boolean[] = []
    for (let n = 0; n < 3; n++) {
      const controller = new AbortController()
      const asked = outcome(exchange.request(pair.b.peerId, await absent(), everything, { signal: controller.signal }))
      const news = (): typeof peer.requests => peer.requests.filter(({ type }) => type === 'new')
      await peer.until(() => news().length === n + 1)
      keyed.push(news()[n].extensions?.[DEDUP_BY_KEY] != null)
      if (n === 0) {
        controller.abort()
      } else {
        for (const { id } of news()) { await peer.send({ responses: [{ requestId: id, status: 34 }] }) }
      }
      await asked
    }
    deepEqual(keyed, [false, true, false])
  })
})
