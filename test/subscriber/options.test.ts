import { describe, it } from 'node:test'
import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict'
import { MemoryBlockstore } from 'blockstore-core'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { checkSyncOptions, subscriberConfig } from '../../src/subscriber/options.ts'
import { Subscriber } from '../../src/subscriber/subscriber.ts'
import { exploreAll, exploreRecursiveEdge, matcher } from '../../src/traversal/index.ts'
import { randomCid, randomPeer } from '../support/hall.ts'

const linkSystem = createLinkSystem()

describe('options of a subscriber', () => {
  const number = [0, -1, 1.5, NaN, Infinity, '1', null, {}]
  const timer = [...number, 2 ** 31]
  const fn = ['text', 1, {}, true]
  const bad: Record<string, unknown[]> = {
    topic: ['', 1, {}, true],
    receiver: [1, 'on', true],
    addrTTL: number,
    idleHandlerTTL: number,
    blockHook: fn,
    segmentDepthLimit: [...number, true],
    syncRecursionLimit: [{}, 1, 'none', { depth: 'one' }, { depth: 1.5 }, { depth: -1 }, { none: {}, depth: 1 }, null],
    defaultSelectorSequence: [{}, 1, 'all', [], { '.': {} }, matcher(), exploreAll(matcher())],
    strictAdsSelector: [1, 'yes', null, {}],
    adsDepthLimit: [...number, true],
    firstSyncDepth: [...number, true],
    entriesDepthLimit: [...number, true],
    prefetch: [true, 1, 'often', null],
    lastKnownSync: fn,
    fetch: fn,
    httpTimeout: timer,
    httpRetry: [true, 1, 'often', null],
    maxBlockSize: number,
    maxAsyncSyncs: number,
    stallTimeout: timer
  }

  for (const [field, values] of Object.entries(bad)) {
    for (const value of values) {
      it(`${field}: ${typeof value === 'object' ? JSON.stringify(value) : `${typeof value} ${String(value)}`} is refused at construction`, () => {
        throws(() => new Subscriber({ linkSystem }, { [field]: value }), error => {
          const { name, field: named, message } = error as any
          equal(name, 'InvalidOptionError')
          equal(named, field)
          return message.startsWith(field)
        })
      })
    }
  }

  for (const [field, values] of Object.entries({
    'httpRetry.retries': [{}, { retries: -1, minDelay: 1, maxDelay: 1 }, { retries: 0.5, minDelay: 1, maxDelay: 1 }],
    'httpRetry.minDelay': [{ retries: 1, minDelay: -1, maxDelay: 1 }, { retries: 1, maxDelay: 1 }],
    'httpRetry.maxDelay': [{ retries: 1, minDelay: 1 }, { retries: 1, minDelay: 1, maxDelay: 2 ** 31 }],
    'prefetch.requests': [{}, { requests: 0, bytes: 1 }, { requests: 1.5, bytes: 1 }],
    'prefetch.bytes': [{ requests: 1 }, { requests: 1, bytes: -1 }, { requests: 1, bytes: Infinity }],
    'receiver.allowPeer': [{ allowPeer: 1 }],
    'receiver.filterIPs': [{ filterIPs: 'yes' }],
    'receiver.resend': [{ resend: 1 }],
    'receiver.trustedRelays': [{ trustedRelays: 'all' }, { trustedRelays: ['12D3KooW'] }]
  })) {
    for (const value of values) {
      it(`${field}: ${JSON.stringify(value)} is refused at construction`, () => {
        const [option] = field.split('.')
        throws(() => new Subscriber({ linkSystem }, { [option]: value }), error => {
          const { name, field: named } = error as any
          equal(name, 'InvalidOptionError')
          ok(field === named || field.endsWith(`.${named}`), `names ${named}`)
          return true
        })
      })
    }
  }

  it('strictAdsSelector is refused beside a sequence of the caller', () => {
    const init = { strictAdsSelector: true, defaultSelectorSequence: exploreAll(exploreRecursiveEdge()) }
    throws(() => new Subscriber({ linkSystem }, init), { name: 'InvalidOptionError', field: 'strictAdsSelector' })
    ok(new Subscriber({ linkSystem }, { ...init, strictAdsSelector: false }))
  })

  it('a link system is needed, and what is passed in must be what it is said to be', () => {
    throws(() => new Subscriber({} as any), { name: 'InvalidOptionError', field: 'linkSystem' })
    throws(() => new Subscriber(undefined as any), { name: 'InvalidOptionError', field: 'linkSystem' })
    const wrong = { linkSystem: new MemoryBlockstore(), libp2p: Promise.resolve(), datastore: new Map() }
    for (const [field, component] of Object.entries(wrong)) {
      throws(() => new Subscriber({ linkSystem, [field]: component } as any), { name: 'InvalidOptionError', field })
    }
  })

  it('undefined is absent; what is passed in is not changed', () => {
    const init = { addrTTL: undefined, maxAsyncSyncs: 2, httpRetry: false as const }
    const config = subscriberConfig(init)
    equal(config.addrTTL, 172_800_000)
    equal(config.maxAsyncSyncs, 2)
    equal(config.httpRetry, false)
    deepEqual(init, { addrTTL: undefined, maxAsyncSyncs: 2, httpRetry: false })
    ok(Object.isFrozen(config))
  })

  it('good values are taken', () => {
    ok(new Subscriber({ linkSystem }, {
      topic: '/indexer/ingest/mainnet',
      receiver: { allowPeer: () => true, filterIPs: true, resend: false, trustedRelays: [] },
      addrTTL: 1,
      idleHandlerTTL: 2 ** 40,
      blockHook: () => {},
      segmentDepthLimit: 1,
      syncRecursionLimit: { depth: 5 },
      defaultSelectorSequence: exploreAll(exploreRecursiveEdge()),
      strictAdsSelector: false,
      adsDepthLimit: 1,
      firstSyncDepth: 2,
      entriesDepthLimit: false,
      prefetch: { requests: 1, bytes: 1 },
      lastKnownSync: () => undefined,
      fetch: globalThis.fetch,
      httpTimeout: 2 ** 31 - 1,
      httpRetry: { retries: 0, minDelay: 0, maxDelay: 0 },
      maxBlockSize: 1,
      maxAsyncSyncs: 1,
      stallTimeout: 1
    }))
  })
})

describe('options of one sync', () => {
  for (const [field, value] of [
    ['cid', 'baguqeera'], ['cid', {}], ['blockHook', 1], ['segmentDepthLimit', 0], ['segmentDepthLimit', -1], ['segmentDepthLimit', true],
    ['stopAt', 'baguqeera'], ['depthLimit', 0], ['depthLimit', -1], ['depthLimit', true], ['repeatLimit', NaN], ['repeatLimit', '1'],
    ['resync', 'yes'], ['resync', 1], ['resync', null], ['forceUpdateLatest', 'no'], ['forceUpdateLatest', 1], ['forceUpdateLatest', null],
    ['onProgress', 1]
  ] as const) {
    it(`${field}: ${JSON.stringify(value)} is refused`, () => {
      throws(() => checkSyncOptions({ [field]: value } as any), { name: 'InvalidOptionError', field })
    })
  }

  it('what a selector of the caller cannot take is refused beside it', async () => {
    for (const options of [{ stopAt: await randomCid() }, { resync: true }, { depthLimit: 1 }]) {
      const [field] = Object.keys(options)
      throws(() => checkSyncOptions({ ...options, selector: matcher() }), { name: 'InvalidOptionError', field })
    }
    ok(checkSyncOptions({ selector: matcher(), resync: false }))
    throws(() => checkSyncOptions({ resync: true, forceUpdateLatest: true }), { name: 'InvalidOptionError', field: 'forceUpdateLatest' })
  })

  it('a selector that does not compile is refused', () => {
    throws(() => checkSyncOptions({ selector: { nonsense: {} } }), { name: 'InvalidSelectorError' })
  })

  it('a signal that has fired is thrown as it came', () => {
    const reason = { any: 'value' }
    throws(() => checkSyncOptions({ signal: AbortSignal.abort(reason) }), error => error === reason)
  })
})

describe('arguments of a subscriber', () => {
  it('are checked in every method', async () => {
    const peer = await randomPeer()
    const cid = await randomCid()
    await using subscriber = new Subscriber({ linkSystem }, { receiver: {} })
    await subscriber.start()
    await rejects(subscriber.sync('someone' as any), { name: 'InvalidOptionError', field: 'target' })
    await rejects(subscriber.syncAdChain('someone' as any), { name: 'InvalidOptionError', field: 'target' })
    await rejects(subscriber.syncAdChain(peer, { selector: matcher() } as any), { name: 'InvalidOptionError', field: 'selector' })
    await rejects(subscriber.syncEntries(peer, [cid, 'cid'] as any), { name: 'InvalidOptionError', field: 'entries' })
    await rejects(subscriber.syncEntries(peer, cid, { depthLimit: 0 }), { name: 'InvalidOptionError', field: 'depthLimit' })
    for (const concurrency of [0, 1.5, NaN, Infinity, '2']) {
      await rejects(subscriber.syncEntries(peer, cid, { concurrency } as any), { name: 'InvalidOptionError', field: 'concurrency' })
    }
    await rejects(subscriber.syncEntries(peer, cid, { onProgress: {} as any }), { name: 'InvalidOptionError', field: 'onProgress' })
    await rejects(subscriber.syncEntries(peer, cid, { blockHook: 1 as any }), { name: 'InvalidOptionError', field: 'blockHook' })
    await rejects(subscriber.syncOneEntry(peer, [cid] as any), { name: 'InvalidOptionError', field: 'entry' })
    await rejects(subscriber.syncHamtEntries(peer, undefined as any), { name: 'InvalidOptionError', field: 'root' })
    await rejects(subscriber.announce('cid' as any, { id: peer, multiaddrs: [] }), { name: 'InvalidOptionError', field: 'cid' })
    await rejects(subscriber.announce(cid, {} as any), { name: 'InvalidOptionError', field: 'publisher' })
    await rejects(subscriber.setLatestSync(peer, 'cid' as any), { name: 'InvalidOptionError', field: 'cid' })
    for (const someone of [undefined, 'someone', {}] as any[]) {
      await rejects(subscriber.getLatestSync(someone), { name: 'InvalidOptionError', field: 'publisher' })
      await rejects(subscriber.setLatestSync(someone, cid), { name: 'InvalidOptionError', field: 'publisher' })
      throws(() => subscriber.removeHandler(someone), { name: 'InvalidOptionError', field: 'publisher' })
    }
    for (const maxPending of [0, -1, 0.5, '1']) {
      throws(() => subscriber.onSyncFinished({ maxPending: maxPending as number }), { name: 'InvalidOptionError', field: 'maxPending' })
    }
  })

  it('a signal that has fired is thrown as it came by every method', async () => {
    const peer = await randomPeer()
    const cid = await randomCid()
    const reason = { any: 'value' }
    const signal = AbortSignal.abort(reason)
    for (const init of [{}, { receiver: {} }]) {
      await using subscriber = new Subscriber({ linkSystem }, init)
      await rejects(subscriber.start({ signal }), error => error === reason)
      await rejects(subscriber.sync(peer), { name: 'SubscriberStoppedError' })
    }
    await using subscriber = new Subscriber({ linkSystem }, { receiver: {} })
    await subscriber.start()
    for (const call of [
      subscriber.sync(peer, { signal }), subscriber.syncAdChain(peer, { signal }), subscriber.syncEntries(peer, cid, { signal }),
      subscriber.syncOneEntry(peer, cid, { signal }), subscriber.syncHamtEntries(peer, cid, { signal }),
      subscriber.announce(cid, { id: peer, multiaddrs: [] }, { signal }), subscriber.getLatestSync(peer, { signal }),
      subscriber.setLatestSync(peer, cid, { signal })
    ]) { await rejects(call, error => error === reason) }
    deepEqual(await subscriber.onSyncFinished({ signal }).next(), { done: true, value: undefined })
  })

  it('announce() without a receiver says so', async () => {
    await using subscriber = new Subscriber({ linkSystem })
    await subscriber.start()
    await rejects(subscriber.announce(await randomCid(), { id: await randomPeer(), multiaddrs: [] }), { name: 'NoReceiverError' })
  })

  it('a subscriber that is not started, or stopped, says so', async () => {
    const peer = await randomPeer()
    const cid = await randomCid()
    await using subscriber = new Subscriber({ linkSystem }, { receiver: {} })
    const refuses = async (): Promise<void> => {
      await rejects(subscriber.sync(peer), { name: 'SubscriberStoppedError' })
      await rejects(subscriber.syncAdChain(peer), { name: 'SubscriberStoppedError' })
      await rejects(subscriber.syncEntries(peer, []), { name: 'SubscriberStoppedError' })
      await rejects(subscriber.announce(cid, { id: peer, multiaddrs: [] }), { name: 'SubscriberStoppedError' })
      equal(subscriber.removeHandler(peer), false)
    }
    await refuses()
    await subscriber.start()
    await subscriber.start()
    await subscriber.stop()
    await refuses()
  })
})
