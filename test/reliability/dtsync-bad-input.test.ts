// Whatever comes in over dtsync, only the sync that it belongs to fails: nothing false is stored, latest stays, the others go on.
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as dagJson from '@ipld/dag-json'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Libp2p, PeerInfo } from '@libp2p/interface'
import { CID } from 'multiformats/cid'
import { create as digestOf } from 'multiformats/hashes/digest'
import { from } from 'multiformats/hashes/hasher'
import type { LinkSystem } from '../../src/shared/types.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import type { Subscriber } from '../../src/subscriber/subscriber.ts'
import { headProtocol, LEGS_VOUCHER_TYPE } from '../../src/syncers/dtsync/index.ts'
import { chain, TestNet } from '../../src/testing/index.ts'
import type { TestPublisher } from '../../src/testing/index.ts'
import { DATA_TRANSFER_EXTENSION } from '../../src/wire/data-transfer/constants.ts'
import { messageToNode } from '../../src/wire/data-transfer/message.ts'
import { inTime, next, randomCid, recorder, TOPIC } from '../support/hall.ts'
import { transports } from '../support/transports.ts'
import { RawTransferPeer, requestOf, responseOf } from '../wire/data-transfer/raw-peer.ts'
import { everything } from '../wire/graphsync/kit.ts'
import { RawServer, response } from '../wire/http-kit.ts'
import type { RawStream } from '../wire/http-kit.ts'

const dtsync = transports.find(({ name }) => name === 'dtsync') as typeof transports[number]
const WHOLE = 5

/** A good publisher, and two subscribers; one of them is about to meet a bad one. */
interface Company {
  good: TestPublisher
  node: Libp2p
  subscriber: Subscriber
  linkSystem: LinkSystem

  /** What its hook saw, but for blocks of the good publisher. */
  seen: () => string[]
  other: Subscriber
}

async function company (net: TestNet, init: { httpTimeout?: number, otherLinkSystem?: LinkSystem } = {}): Promise<Company> {
  const { otherLinkSystem, ...limits } = init
  const good = await dtsync.publisher(net, { chain: WHOLE })
  const seen = recorder()
  const node = await net.node()
  const { subscriber, linkSystem } = await dtsync.subscriber(net, {
    receiver: {}, blockHook: seen.hook, ...limits, components: { libp2p: node }
  })
  const { subscriber: other } = await dtsync.subscriber(net, otherLinkSystem == null ? {} : { components: { linkSystem: otherLinkSystem } })
  return { good, node, subscriber, linkSystem, seen: () => seen.texts(), other }
}

/** While work fails by this name, the same subscriber syncs another publisher, and another subscriber as well. */
async function failsAlone (
  { good, subscriber, other }: Company, work: () => Promise<unknown>, { name, cause }: Expected
): Promise<void> {
  const blockHook = (): void => {}
  const [failed, ...synced] = await inTime(Promise.allSettled([
    work(), subscriber.sync(good.info, { blockHook }), other.sync(good.info, { blockHook })
  ]))
  await rejects(async () => { if (failed.status === 'rejected') { throw failed.reason } }, (error: any) => {
    equal(error.name, name, error.stack)
    if (cause != null) { equal(error.cause?.name, cause, error.cause?.stack) }
    return true
  })
  deepEqual(synced.map(one => one.status === 'fulfilled' ? String(one.value) : one.reason), [String(good.cids[0]), String(good.cids[0])])
}

interface Expected { name: string, cause?: string }

/** A publisher whose chain is served as it should be, and whose head is what a test makes of it. */
async function withHeadByHand (net: TestNet): Promise<TestPublisher & { node: Libp2p, heads: RawServer, say: (text: string) => void }> {
  const privateKey = await generateKeyPair('Ed25519')
  const node = await net.node({ privateKey })
  const publisher = await dtsync.publisher(net, { chain: WHOLE, components: { libp2p: node, privateKey } })
  await node.unhandle(headProtocol(TOPIC))
  const heads = await RawServer.start(node, headProtocol(TOPIC), stream => { stream.write(response(String(publisher.cids[0]))) })
  const say = (text: string): void => { heads.answer = stream => { stream.write(response(text)) } }
  return Object.defineProperties({ node, heads, say }, Object.getOwnPropertyDescriptors(publisher)) as any
}

/** Writes until nobody listens any more. */
async function endless (stream: RawStream, piece: string): Promise<void> {
  while (stream.stream.status === 'open') {
    stream.write(piece)
    await new Promise(resolve => setTimeout(resolve, 1))
  }
}

describe('heads over dtsync that are no heads', () => {
  for (const [what, answer, cause] of [
    ['no HTTP', stream => { stream.write('X'.repeat(20_000)) }, 'InvalidMessageError'],
    ['not a CID', stream => { stream.write(response('tomorrow')) }, 'InvalidMessageError'],
    ['the text of Go\'s 404', stream => { stream.write('HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\n\n') }, 'InvalidMessageError'],
    ['huge, as it says', stream => { stream.write('HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n') }, 'BlockTooLargeError'],
    ['an endless body', async stream => {
      stream.write('HTTP/1.1 200 OK\r\n\r\n')
      await endless(stream, 'b'.repeat(10_000))
    }, 'BlockTooLargeError'],
    ['endless headers', async stream => {
      stream.write('HTTP/1.1 200 OK\r\n')
      await endless(stream, 'X-More: of the same\r\n'.repeat(100))
    }, 'InvalidMessageError'],
    ['silence', () => {}, 'TimeoutError'],
    ['a byte now and then', async stream => { await endless(stream, 'H') }, 'TimeoutError'],
    ['half an answer, and silence', stream => { stream.write('HTTP/1.1 200 OK\r\nContent-Length: 61\r\n\r\nbaguq') }, 'TimeoutError'],
    ['half an answer, and the end', async stream => {
      stream.write('HTTP/1.1 200 OK\r\nContent-Length: 61\r\n\r\nbaguq')
      await stream.stream.close()
    }, 'InvalidMessageError'],
    ['a reset', stream => { stream.stream.abort(new Error('test')) }, 'TransferFailedError']
  ] as Array<[string, RawServer['answer'], string]>) {
    it(`${what}: HeadQueryError, ${cause}`, async () => {
      await using net = new TestNet()
      const others = await company(net, cause === 'TimeoutError' ? { httpTimeout: 300 } : {})
      const { subscriber, linkSystem, seen } = others
      const bad = await withHeadByHand(net)
      const right = bad.heads.answer
      const before = await subscriber.sync(bad.info)
      await bad.extend(2)

      bad.heads.answer = answer
      await failsAlone(others, async () => subscriber.sync(bad.info), { name: 'HeadQueryError', cause })
      equal(String(await subscriber.getLatestSync(bad.id)), String(before))
      equal(await linkSystem.has(bad.cids[0]), false)
      equal(seen().length, WHOLE)

      bad.heads.answer = right
      equal(String(await subscriber.sync(bad.info)), String(bad.cids[0]))
      deepEqual(seen().slice(WHOLE), bad.cids.slice(0, 2).map(String))
    })
  }
})

describe('a publisher that answers with another head than it has', () => {
  for (const [what, head, name] of [
    ['one that nobody has', randomCid, 'ContentNotFoundError'],
    ['one of an unknown codec', async () => CID.createV1(0x30_0000, (await randomCid()).multihash), 'UnknownCodecError'],
    ['one of an unknown hash', async () => CID.createV1(dagJson.code, digestOf(0x30_0000, new Uint8Array(32))), 'ContentNotFoundError']
  ] as Array<[string, () => Promise<CID>, string]>) {
    it(`${what}: ${name}`, async () => {
      await using net = new TestNet()
      const others = await company(net)
      const { subscriber, seen } = others
      const bad = await withHeadByHand(net)
      const right = bad.heads.answer
      const before = await subscriber.sync(bad.info)
      bad.say(String(await head()))
      await failsAlone(others, async () => subscriber.sync(bad.info), { name })
      equal(String(await subscriber.getLatestSync(bad.id)), String(before))
      bad.heads.answer = right
      await bad.extend(1)
      equal(String(await subscriber.sync(bad.info)), String(bad.cids[0]))
      deepEqual(seen(), [...bad.cids.slice(1), bad.cids[0]].map(String))
    })
  }

  it('the one of another publisher: not found with this one, and the other one is synced as before', async () => {
    await using net = new TestNet()
    const others = await company(net)
    const { subscriber, good } = others
    const bad = await withHeadByHand(net)
    bad.say(String(await good.extend(3).then(([newest]) => newest)))
    const { subscriber: third } = await dtsync.subscriber(net)
    await failsAlone(others, async () => third.sync(bad.info), { name: 'ContentNotFoundError' })
    equal(await third.getLatestSync(bad.id), undefined)
    equal(await subscriber.getLatestSync(bad.id), undefined)
  })

  it('none: nothing to sync, latest stays', async () => {
    await using net = new TestNet()
    const { subscriber } = await company(net)
    const bad = await withHeadByHand(net)
    const before = await subscriber.sync(bad.info)
    bad.say('')
    equal(await subscriber.sync(bad.info), undefined)
    equal(String(await subscriber.getLatestSync(bad.id)), String(before))
  })
})

const legs = (value: unknown): Record<string, any> => ({ voucherType: LEGS_VOUCHER_TYPE, voucher: value })

describe('vouchers that do not decode, from a subscriber', () => {
  for (const [what, init] of [
    ['no map', legs('Head')],
    ['bytes', legs(Uint8Array.of(1, 2, 3))],
    ['an empty map', legs({})],
    ['a head that is no link', legs({ Head: 'baguqeera' })],
    ['no head', legs({ Head: null })],
    ['a field too many', legs({ Head: CID.parse('QmPNHBy5h7f19yJDt7ip9TvmMRbqmYsa6aetkrsc1ghjLB'), More: 1 })],
    ['none', { voucherType: LEGS_VOUCHER_TYPE }],
    ['another type', { voucherType: 'Ticket', voucher: { Seat: 7 } }]
  ] as Array<[string, Record<string, any>]>) {
    it(`${what}: refused as by Go, and told in the terms of data transfer; a good one is served`, async () => {
      await using net = new TestNet()
      const { good, other } = await company(net)
      const [root] = good.cids
      const raw = await rawPeer(net, good.info)
      const refused = raw.ask({ transferId: 1n, ...init }, root, everything)
      const synced = other.sync(good.info)
      equal(await inTime(raw.terminal(await refused)), 32)
      deepEqual(raw.transfers(await refused), [responseOf({ accepted: false, transferId: 1n }).response])
      equal(String(await synced), String(root))
      equal(raw.received.flatMap(({ message }) => message.blocks).length, 0)

      const served = await raw.ask({ transferId: 2n, ...legs({ Head: root }) }, root, everything)
      equal(await inTime(raw.terminal(served)), 20)
      equal(raw.received.flatMap(({ message }) => message.blocks).length, WHOLE)
    })
  }

  for (const [what, node] of [
    ['no map', 'pull'],
    ['a response', messageToNode(responseOf({ transferId: 1n }))],
    ['a field too few', { IsRq: true, Request: null }]
  ] as Array<[string, unknown]>) {
    it(`in what is no request of data transfer, ${what}: refused, and others are served`, async () => {
      await using net = new TestNet()
      const { good, other } = await company(net)
      const [root] = good.cids
      const raw = await rawPeer(net, good.info)
      const id = crypto.getRandomValues(new Uint8Array(16))
      await raw.send({ requests: [{ id, type: 'new', root, selector: everything, extensions: { [DATA_TRANSFER_EXTENSION]: node } }] })
      const synced = other.sync(good.info)
      ok(await inTime(raw.terminal(id)) >= 30)
      equal(String(await synced), String(root))
      equal(raw.received.flatMap(({ message }) => message.blocks).length, 0)
    })
  }
})

async function rawPeer (net: TestNet, { id, multiaddrs }: PeerInfo): Promise<RawTransferPeer> {
  const node = await net.node()
  await node.dial(multiaddrs)
  const raw = new RawTransferPeer(node, id)
  await raw.start()
  return raw
}

describe('what a publisher says of a pull', () => {
  interface Turn { raw: RawTransferPeer, id: Uint8Array, transferId: bigint, cids: CID[], store: LinkSystem }
  const say = async ({ raw, id }: Turn, status: number, node: unknown): Promise<void> => {
    await raw.send({ responses: [{ requestId: id, status, extensions: { [DATA_TRANSFER_EXTENSION]: node } }] })
  }
  const accept = async ({ raw, id, transferId, store, cids }: Turn, status: number, count: number): Promise<void> => {
    await raw.answer(id, status, { transfer: responseOf({ transferId }), store, cids: cids.slice(0, count) })
  }
  for (const [what, answer, expected, stored] of [
    ['what is no message', async turn => { await say(turn, 14, { IsRq: 'no' }) }, { name: 'TransferFailedError', cause: 'InvalidMessageError' }, 0],
    ['a request in place of an answer', async turn => {
      await say(turn, 32, messageToNode(requestOf({ transferId: turn.transferId })))
    }, { name: 'TransferFailedError' }, 0],
    ['an answer for another transfer', async turn => {
      await say(turn, 14, messageToNode(responseOf({ transferId: turn.transferId + 1n })))
    }, { name: 'TransferFailedError' }, 0],
    ['that it denies the root, as data transfer does', async turn => {
      await say(turn, 32, messageToNode(responseOf({ transferId: turn.transferId, accepted: false })))
    }, { name: 'TransferRejectedError' }, 0],
    ['that it denies the root, as graphsync does', async ({ raw, id }) => {
      await raw.send({ responses: [{ requestId: id, status: 30 }] })
    }, { name: 'TransferRejectedError' }, 0],
    ['that it does not have the root', async turn => {
      await turn.raw.send({ responses: [{ requestId: turn.id, status: 34, metadata: [[turn.cids[0], 'missing']] }] })
    }, { name: 'ContentNotFoundError' }, 0],
    ['that it wants no more, after three blocks', async turn => {
      await accept(turn, 14, 3)
      await turn.raw.say(responseOf({ type: 2, transferId: turn.transferId }))
    }, { name: 'TransferFailedError' }, 3],
    ['that it has failed, after three blocks', async turn => { await accept(turn, 32, 3) }, { name: 'TransferFailedError' }, 3],
    ['that all was sent, after three blocks', async turn => { await accept(turn, 20, 3) }, { name: 'ContentNotFoundError' }, 3]
  ] as Array<[string, (turn: Turn) => Promise<void>, Expected, number]>) {
    it(`${what}: ${expected.name}, ${stored === 0 ? 'nothing' : 'what came before'} is stored`, async () => {
      await using net = new TestNet()
      const others = await company(net)
      const { subscriber, linkSystem, seen } = others
      const store = createLinkSystem()
      const cids = await chain(store, WHOLE)
      const node = await net.node()
      const raw = new RawTransferPeer(node, others.node.peerId)
      await raw.start()
      await RawServer.start(node, headProtocol(TOPIC), stream => { stream.write(response(String(cids[0]))) })
      const info = { id: node.peerId, multiaddrs: node.getMultiaddrs() }
      const failing = failsAlone(others, async () => subscriber.sync(info), expected)
      const { id, transfer: { transferId } } = await inTime(raw.pullRequest())
      await answer({ raw, id, transferId, cids, store })
      await failing
      equal(await subscriber.getLatestSync(node.peerId), undefined)
      deepEqual(await Promise.all(cids.map(async cid => linkSystem.has(cid))), cids.map((_, i) => i < stored))
      deepEqual(seen(), cids.slice(0, stored).map(String))
    })
  }
})

/** They say what they are by numbers that only those know who have them. */
const STRANGE_CODEC = { ...dagJson, name: 'strange-codec', code: 0x30_0001 }
const STRANGE_HASHER = from({ name: 'strange-hash', code: 0x30_0002, encode: bytes => new Uint8Array(64).fill(bytes.length) })
const STRANGE = { codecs: [STRANGE_CODEC], hashers: [STRANGE_HASHER] }

describe('blocks over dtsync', () => {
  for (const [what, options, name] of [
    ['of an unknown codec', { codec: STRANGE_CODEC }, 'UnknownCodecError'],
    ['of an unknown hash', { hasher: STRANGE_HASHER }, 'UnknownHasherError']
  ] as const) {
    for (const [where, at] of [['as the root', 0], ['in the middle', 2], ['at the end', WHOLE - 1]] as const) {
      it(`${what}, ${where}: ${name}; what is before it is stored`, async () => {
        await using net = new TestNet()
        const others = await company(net, { otherLinkSystem: createLinkSystem(STRANGE) })
        const { subscriber, linkSystem, seen, other } = others
        const store = createLinkSystem(STRANGE)
        const cids: CID[] = []
        for (let i = WHOLE - 1; i >= 0; i--) {
          const node = { Index: i, ...(cids.length > 0 ? { PreviousID: cids[0] } : {}) }
          cids.unshift(await store.store(node, i === at ? options : {}))
        }
        const publisher = await dtsync.publisher(net, { root: cids[0], components: { linkSystem: store } })
        const events = subscriber.onSyncFinished()
        const [plain] = await chain(store, WHOLE)
        const beside = subscriber.sync(publisher.info, { cid: plain, blockHook: () => {} })
        await failsAlone(others, async () => subscriber.sync(publisher.info), { name })
        equal(String(await beside), String(plain))
        ok((await next(events)).peerId.equals(others.good.id))
        deepEqual(await Promise.all(cids.map(async cid => linkSystem.has(cid))), cids.map((_, i) => i < at))
        deepEqual(seen(), cids.slice(0, at).map(String))

        for (let i = 0; i < 2; i++) { // the same announcement is heard again
          await subscriber.announce(cids[0], publisher.info)
          const { cid, error } = await next(events)
          deepEqual([String(cid), error?.name], [String(cids[0]), name])
        }
        equal(await subscriber.getLatestSync(publisher.id), undefined)
        equal(String(await other.sync(publisher.info)), String(cids[0]))
      })
    }
  }

  it('of a codec that the publisher does not know either: UnknownCodecError', async () => {
    await using net = new TestNet()
    const others = await company(net)
    const store = createLinkSystem()
    const bottom = await store.store({ Index: 1 }, { codec: STRANGE_CODEC })
    const root = await store.store({ Index: 0, PreviousID: bottom })
    const publisher = await dtsync.publisher(net, { root, components: { linkSystem: store } })
    await failsAlone(others, async () => others.subscriber.sync(publisher.info), { name: 'UnknownCodecError' })
    deepEqual(others.seen(), [String(root)])
  })
})
