// Whatever a publisher answers: the sync fails with its cause, nothing false is stored, latest stays, the subscriber goes on.
import { describe, it } from 'node:test'
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import * as dagCbor from '@ipld/dag-cbor'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { CID } from 'multiformats/cid'
import { sha256 } from 'multiformats/hashes/sha2'
import { encodeSignedHead } from '../../src/syncers/httpsync/signed-head.ts'
import type { Subscriber } from '../../src/subscriber/subscriber.ts'
import { TestNet, type Fault, type FaultScript, type FaultyPublisher } from '../../src/testing/index.ts'
import { inTime, next, random, randomCid, recorder } from '../support/hall.ts'
import { faultyTransports } from '../support/transports.ts'

const WHOLE = 5

interface Expected { name: string, cause?: string }

/** What goes wrong with a block, and with the head. */
const faults: Array<[string, Fault, Expected, Expected]> = [
  ['wrong bytes', 'wrong-bytes', { name: 'HashMismatchError' }, { name: 'InvalidSignedHeadError' }],
  ['an endless body', 'endless', { name: 'BlockTooLargeError' }, { name: 'HeadQueryError', cause: 'BlockTooLargeError' }],
  ['a truncated body', 'truncate', { name: 'TransferFailedError' }, { name: 'HeadQueryError', cause: 'TransferFailedError' }],
  ['a reset', 'reset', { name: 'TransferFailedError' }, { name: 'HeadQueryError', cause: 'TransferFailedError' }],
  ['silence', 'silence', { name: 'TimeoutError' }, { name: 'HeadQueryError', cause: 'TimeoutError' }],
  ['a drip', 'drip', { name: 'TimeoutError' }, { name: 'HeadQueryError', cause: 'TimeoutError' }],
  ['status 500', { status: 500 }, { name: 'HttpStatusError' }, { name: 'HeadQueryError', cause: 'HttpStatusError' }],
  ['status 403', { status: 403 }, { name: 'HttpStatusError' }, { name: 'HeadQueryError', cause: 'HttpStatusError' }],
  ['status 404', { status: 404 }, { name: 'ContentNotFoundError' }, { name: 'HeadQueryError', cause: 'HttpStatusError' }],
  ['status 200 with another body', { status: 200, body: '{"not":"it"}' }, { name: 'HashMismatchError' }, { name: 'InvalidSignedHeadError' }],
  ['status 200 without a body', { status: 200 }, { name: 'HashMismatchError' }, { name: 'InvalidSignedHeadError' }],
  ['a redirect to itself', { status: 302, headers: { location: '?again' } },
    { name: 'TransferFailedError' }, { name: 'HeadQueryError', cause: 'TransferFailedError' }],
  ['a redirect to a file', { status: 302, headers: { location: 'file:///etc/passwd' } },
    { name: 'TransferFailedError' }, { name: 'HeadQueryError', cause: 'TransferFailedError' }]
]

function expect ({ name, cause }: Expected): (error: unknown) => true {
  return error => {
    const { name: got, cause: why } = error as Error & { cause?: Error }
    equal(got, name, `${error}`)
    if (cause != null) { equal(why?.name, cause, `${why}`) }
    return true
  }
}

for (const transport of faultyTransports) {
  const httpTimeout = transport.isHttp ? 150 : 1_000 // within it the first request dials
  const LIMITS = { httpTimeout, httpRetry: false as const, maxBlockSize: 16 * 1024 }

  async function pair (net: TestNet, init = {}): Promise<{
    publisher: FaultyPublisher, cids: CID[], subscriber: Subscriber, has (cid: CID): Promise<boolean>, seen: string[]
  }> {
    const { publisher, cids } = await transport.faulty(net, { chain: WHOLE, payload: 300 })
    const { hook, cids: seen } = recorder()
    const { subscriber, linkSystem } = await transport.subscriber(net, { ...LIMITS, receiver: {}, blockHook: hook, ...init })
    return { publisher, cids, subscriber, has: async cid => linkSystem.has(cid), get seen () { return seen.map(String) } }
  }

  describe(`a publisher over ${transport.name} that answers badly`, () => {
    for (const [what, fault, block, head] of faults) {
      it(`${what} for a block: ${block.name}`, async () => {
        await using net = new TestNet()
        const made = await pair(net)
        const { publisher, cids, subscriber, has } = made
        publisher.script = ({ resource }) => resource.startsWith(`${cids[2]}`) ? fault : undefined

        await rejects(inTime(subscriber.sync(publisher.info)), expect(block))
        deepEqual(made.seen, cids.slice(0, 2).map(String))
        equal(await subscriber.getLatestSync(publisher.id), undefined)
        deepEqual(await Promise.all(cids.map(has)), [true, true, false, false, false])

        publisher.script = undefined
        ok((await subscriber.sync(publisher.info))?.equals(cids[0]))
        deepEqual(made.seen, [...cids.slice(0, 2), ...cids].map(String))
      })

      it(`${what} for the head: ${head.name}`, async () => {
        await using net = new TestNet()
        const made = await pair(net)
        const { publisher, cids, subscriber, has } = made
        publisher.script = ({ resource }) => resource.startsWith('head') ? fault : undefined

        await rejects(inTime(subscriber.sync(publisher.info)), expect(head))
        equal(made.seen.length, 0)
        equal(await has(cids[0]), false)

        publisher.script = undefined
        ok((await subscriber.sync(publisher.info))?.equals(cids[0]))
      })

      it(`${what} in an announced sync: one event with the error, and the same announce is heard again`, async () => {
        await using net = new TestNet()
        const { publisher, cids, subscriber } = await pair(net)
        const events = subscriber.onSyncFinished()
        publisher.script = ({ resource }) => resource.startsWith(`${cids[0]}`) ? fault : undefined
        await subscriber.announce(cids[0], publisher.info)
        const { cid, count, error } = await next(events)
        expect(block)(error)
        ok(cid.equals(cids[0]))
        equal(count, 0)
        equal(await subscriber.getLatestSync(publisher.id), undefined)

        publisher.script = undefined
        await subscriber.announce(cids[0], publisher.info)
        const again = await next(events)
        equal(again.error, undefined)
        equal(again.count, WHOLE)
      })
    }

    it('a head of another signer: UnexpectedSignerError, with both peers', async () => {
      await using net = new TestNet()
      const { publisher, cids, subscriber } = await pair(net)
      const body = await encodeSignedHead(cids[0], await generateKeyPair('Ed25519'))
      publisher.script = ({ resource }) => resource === 'head' ? { status: 200, body } : undefined
      await rejects(subscriber.sync(publisher.info), error => {
        const { name, expected, signer } = error as any
        return name === 'UnexpectedSignerError' && expected.equals(publisher.id) && !signer.equals(publisher.id)
      })
      equal(await subscriber.getLatestSync(publisher.id), undefined)
    })

    it('a silent publisher: StalledError when only the watchdog is left', async () => {
      await using net = new TestNet()
      const { publisher, cids, subscriber } = await pair(net, { httpTimeout: 60_000, stallTimeout: 100 })
      publisher.script = ({ resource }) => resource === cids[1].toString() ? 'silence' : undefined
      await rejects(inTime(subscriber.sync(publisher.info)), { name: 'StalledError', limit: 'stallTimeout' })
      publisher.script = ({ resource }) => resource === 'head' ? 'silence' : undefined
      await rejects(inTime(subscriber.sync(publisher.info)), { name: 'StalledError' })
      publisher.script = undefined
      await subscriber.sync(publisher.info)
    })

    it('a slow publisher is no stall while blocks come', async () => {
      await using net = new TestNet()
      const { publisher, cids, subscriber } = await pair(net, { httpTimeout: 60_000, stallTimeout: 400 })
      publisher.script = async () => new Promise(resolve => setTimeout(resolve, 100))
      ok((await inTime(subscriber.sync(publisher.info)))?.equals(cids[0]))
    })

    it('endless retries are a stall as well', async () => {
      await using net = new TestNet()
      const { publisher, subscriber } = await pair(net, { httpRetry: { retries: 1000, minDelay: 20, maxDelay: 20 }, stallTimeout: 150 })
      publisher.script = () => ({ status: 503 })
      await rejects(inTime(subscriber.sync(publisher.info)), { name: 'StalledError' })
    })

    it('nobody listens there: by name', async () => {
      await using net = new TestNet()
      const { publisher, subscriber } = await pair(net)
      const { info } = publisher
      await publisher.stop()
      await rejects(inTime(subscriber.sync(info)), { name: transport.isHttp ? 'HeadQueryError' : 'TransportUnavailableError' })
    })

    it('blocks of an unknown codec: UnknownCodecError, and the hook does not see the block', async () => {
      await using net = new TestNet()
      const { publisher, cids, subscriber, seen } = await pair(net)
      const bytes = new TextEncoder().encode('who can read this?')
      const cid = CID.createV1(0x30_0000, await sha256.digest(bytes))
      publisher.script = ({ resource }) => resource === cid.toString() ? { status: 200, body: bytes } : undefined
      await rejects(subscriber.sync(publisher.info, { cid }), { name: 'UnknownCodecError' })
      deepEqual(seen, [])
      ok((await subscriber.sync(publisher.info))?.equals(cids[0]))
    })

    it('blocks that do not decode: InvalidMessageError, the block is counted by nobody', async () => {
      await using net = new TestNet()
      const made = await pair(net)
      const { publisher, subscriber } = made
      for (const [code, bytes] of [[0x0129, '{"cut": '], [0x0129, '{} and more'], [dagCbor.code, '\xff\xff']] as const) {
        const body = Buffer.from(bytes, 'latin1')
        const cid = CID.createV1(code, await sha256.digest(body))
        publisher.script = ({ resource }) => resource === cid.toString() ? { status: 200, body } : undefined
        await rejects(subscriber.sync(publisher.info, { cid, forceUpdateLatest: true }), { name: 'InvalidMessageError' })
      }
      deepEqual(made.seen, [])
      equal(await subscriber.getLatestSync(publisher.id), undefined)
    })

    it('a hash function that nobody knows: UnknownHasherError', async () => {
      await using net = new TestNet()
      const { publisher, subscriber } = await pair(net)
      const { code, multihash: { digest, bytes } } = await randomCid()
      const unknown = Uint8Array.from(bytes)
      unknown[0] = 0x7e // no multihash code
      const cid = CID.createV1(code, { code: 0x7e, size: digest.length, digest, bytes: unknown })
      publisher.script = ({ resource }) => resource === cid.toString() ? { status: 200, body: '{}' } : undefined
      await rejects(subscriber.sync(publisher.info, { cid }), { name: 'UnknownHasherError' })
    })
  })

  describe(`a publisher over ${transport.name} with 1 % random trouble`, () => {
    it('10,000 blocks arrive, each told once, over one signal without a warning', async () => {
      await using net = new TestNet()
      const dice = random(7)
      const { publisher, cids } = await transport.faulty(net, { chain: 10_000 })
      const troubles: Fault[] = [{ status: 500 }, { status: 503 }, { status: 429, headers: { 'retry-after': '0' } }, 'reset', 'truncate']
      let trouble = 0
      publisher.script = () => dice() < 0.01 ? troubles[trouble++ % troubles.length] : undefined
      const { subscriber } = await transport.subscriber(net, { httpRetry: { retries: 5, minDelay: 1, maxDelay: 5 } })
      const { signal } = new AbortController()
      let count = 0
      await subscriber.sync(publisher.info, { signal, blockHook: (_peerId, cid) => { ok(cid.equals(cids[count++])) } })
      equal(count, 10_000)
      ok(trouble > 50)
      ok(await publisher.connections() < 10)
    })
  })

  describe(`publishers over ${transport.name} that do everything wrong now and then`, () => {
    for (const seed of [21, 22]) {
      it(`every sync ends, nothing false is stored, and latest is never ahead of the store (seed ${seed})`, async () => {
        await using net = new TestNet()
        const dice = random(seed)
        const pick = <T>(from: readonly T[]): T => from[Math.floor(dice() * from.length)]
        const { subscriber, linkSystem } = await transport.subscriber(net, { ...LIMITS, receiver: {}, httpTimeout: 60, maxAsyncSyncs: 2 })
        const publishers = await Promise.all([0, 1, 2].map(async () => transport.faulty(net, { chain: 12 })))
        for (const { publisher } of publishers) { publisher.script = () => dice() < 0.08 ? pick(faults)[1] : undefined }
        const names = new Set(faults.flatMap(([, , block, head]) => [block.name, head.name]))
        if (!transport.isHttp) { names.add('TransportUnavailableError') } // the well-known resource is '{"not":"it"}'
        const good = new Set(publishers.flatMap(({ cids }) => cids.map(String)))

        for (let round = 0; round < 15; round++) {
          await inTime(Promise.all(publishers.map(async ({ publisher, cids }) => {
            await subscriber.announce(pick(cids), publisher.info)
            await subscriber.sync(publisher.info).catch((error: Error) => {
              ok(names.has(error.name), `${error.stack}`)
            })
          })))
          for (const { publisher, cids } of publishers) {
            const latest = await subscriber.getLatestSync(publisher.id)
            if (latest == null) { continue }
            const at = cids.findIndex(cid => cid.equals(latest))
            ok(at >= 0)
            for (const cid of cids.slice(at)) { ok(await linkSystem.has(cid)) }
          }
        }
        for await (const { cid, bytes } of linkSystem.blockstore.getAll()) {
          const raw = await Array.fromAsync(bytes)
          const { digest } = await sha256.digest(Buffer.concat(raw))
          deepEqual(cid.multihash.digest, digest)
        }
        const stored = (await Promise.all([...good].map(async text => linkSystem.has(CID.parse(text))))).filter(Boolean).length
        equal((await Array.fromAsync(linkSystem.blockstore.getAll())).length, stored)
      })
    }
  })
}

describe('the well-known resource of a publisher over libp2p streams', () => {
  const [, streams] = faultyTransports
  const wellKnown = '/.well-known/libp2p/protocols'

  /** Its answer in place of the right one, which is needed: nothing is under the usual path. */
  const elsewhere = (fault?: Fault): FaultScript => ({ path }) => {
    if (path.startsWith('/ipni/')) { return { status: 404 } }
    return path.startsWith(wellKnown) ? fault : undefined
  }

  it('needs the key of the node', async () => {
    await using net = new TestNet()
    const libp2p = await net.node()
    await rejects(net.faultyPublisher({ components: { libp2p } }), { name: 'InvalidOptionError', field: 'privateKey' })
  })

  for (const [what, fault, , { cause = 'InvalidMessageError' }] of faults) {
    if (fault === 'drip') { continue } // it is whole in time
    it(`${what}: the sync ends by name, soon, and the next one finds the publisher`, async () => {
      await using net = new TestNet()
      const { publisher, cids } = await streams.faulty(net, { chain: 3, handlerPath: '/some/where' })
      const { subscriber } = await streams.subscriber(net, { httpTimeout: 1_000, httpRetry: false })
      publisher.script = elsewhere(fault)
      await rejects(inTime(subscriber.sync(publisher.info), 5_000), (error: any) => {
        const reasons = [error, error.cause].map(reason => reason?.name)
        ok(reasons.includes(what === 'status 200 with another body' ? 'TransportUnavailableError' : cause), `${error.stack}`)
        return true
      })
      publisher.script = elsewhere()
      ok((await subscriber.sync(publisher.info))?.equals(cids[0]))
      const asked = publisher.requests.filter(({ path }) => path === wellKnown).length
      await publisher.setRoot(cids[1])
      ok((await subscriber.sync(publisher.info))?.equals(cids[1]))
      equal(publisher.requests.filter(({ path }) => path === wellKnown).length, asked, 'asked for again')
    })
  }
})
