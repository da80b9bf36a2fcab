import { deepEqual, equal, rejects } from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Libp2p, Stream } from '@libp2p/interface'
import { HeadQueryError, TransferFailedError } from '../../src/shared/errors.ts'
import { ChosenSyncer, type Candidate } from '../../src/subscriber/chosen-syncer.ts'
import { matcher } from '../../src/traversal/index.ts'
import { randomCid, randomPeer } from '../support/hall.ts'

describe('a transport that the peer does not speak any more', () => {
  for (const depth of [1, 2, 3]) {
    it(`is known for that however deep its failure has the reason: ${depth}`, async () => {
      const peerId = await randomPeer()
      let spoken = '/a'
      const libp2p = {
        getConnections: () => [{}],
        dialProtocol: async () => ({ protocol: spoken }) as unknown as Stream,
        addEventListener: () => {},
        removeEventListener: () => {},
        peerStore: { get: async () => ({ protocols: ['/a', '/b'], metadata: new Map([['AgentVersion', new Uint8Array()]]) }) }
      } as unknown as Libp2p
      const failure = Array.from({ length: depth }).reduce<Error>(
        cause => new TransferFailedError('failed', { cause }), Object.assign(new Error('no'), { name: 'UnsupportedProtocolError' })
      )
      const candidate = (protocol: string, sync: () => Promise<void>): Candidate => ({
        transport: protocol === '/a' ? 'dtsync' : 'ipnisync', protocols: [protocol], adopt: () => {}, make: () => ({ head: async () => undefined, sync })
      })
      const told: string[][] = []
      const syncer = new ChosenSyncer(libp2p, {
        peerId,
        addrs: [],
        candidates: [
          candidate('/a', async () => { if (spoken !== '/a') { throw failure } }),
          { ...candidate('/b', async () => {}), signsAgainst: protocols => { told.push(protocols); return [] } }
        ],
        lacking: [],
        timeout: 1_000
      })
      const cid = await randomCid()
      await syncer.sync(cid, matcher())
      spoken = '/b'
      await syncer.sync(cid, matcher())
      deepEqual(told, [['/b']])
    })
  }
})

const unsupported = (): Error => Object.assign(new Error('no'), { name: 'UnsupportedProtocolError' })

/** A node whose peer speaks what a test says. */
function played (dial: (signal: AbortSignal) => Promise<string>, connections = [{}], listeners = new Set<unknown>()): Libp2p {
  return {
    getConnections: () => connections,
    dialProtocol: async (...[, , { signal }]: any[]) => ({ protocol: await dial(signal) }),
    addEventListener: (...[, listener]: unknown[]) => { listeners.add(listener) },
    removeEventListener: (...[, listener]: unknown[]) => { listeners.delete(listener) },
    peerStore: { get: async () => ({ protocols: ['/a', '/b'], metadata: new Map([['AgentVersion', new Uint8Array()]]) }) }
  } as unknown as Libp2p
}

function candidateOf (protocol: string | undefined, fails: () => Error | undefined, init: Partial<Candidate> = {}): Candidate {
  const work = async (): Promise<undefined> => {
    const error = fails()
    if (error != null) { throw error }
  }
  return {
    transport: protocol === '/a' ? 'dtsync' : protocol === '/b' ? 'ipnisync' : 'http',
    protocols: protocol == null ? [] : [protocol],
    adopt: () => {},
    make: () => ({ head: work, sync: work }),
    ...init
  }
}

describe('the transport to a peer', () => {
  it('that has failed says why, when the peer cannot be asked for another one', async () => {
    const peerId = await randomPeer()
    let dials = 0
    const libp2p = played(async () => {
      if (dials++ > 0) { throw new Error('no way') }
      return '/a'
    })
    const failure = new HeadQueryError(peerId, { cause: new Error('played') })
    const candidates = [candidateOf('/a', () => failure), candidateOf('/b', () => undefined)]
    await rejects(new ChosenSyncer(libp2p, { peerId, addrs: [], candidates, lacking: [], timeout: 1_000 }).head(), failure)
    equal(dials > 1, true)
  })

  it('is none when the question is aborted, also where one needs no question', async () => {
    const peerId = await randomPeer()
    const controller = new AbortController()
    let given: AbortSignal | undefined
    const libp2p = played(async signal => {
      given = signal
      controller.abort(new Error('enough'))
      return await new Promise<never>(() => {})
    })
    let asked = 0
    const candidates = [candidateOf('/a', () => undefined), candidateOf(undefined, () => { asked++; return undefined })]
    const syncer = new ChosenSyncer(libp2p, { peerId, addrs: [], candidates, lacking: [], timeout: 1_000 })
    await rejects(syncer.sync(await randomCid(), matcher(), controller), /enough/)
    equal(asked, 0)
    equal(given?.aborted, true)
  })

  it('is known again when the peer speaks it again', async () => {
    const peerId = await randomPeer()
    const told: string[][] = []
    let spoken = '/a'
    const failures: Error[] = []
    const candidates = [
      candidateOf('/a', () => failures[0] ?? (spoken === '/a' ? undefined : new TransferFailedError('failed', { cause: unsupported() }))),
      candidateOf('/b', () => spoken === '/b' ? undefined : new TransferFailedError('failed', { cause: unsupported() }), {
        signsAgainst: protocols => { told.push(protocols); return [] }
      })
    ]
    const listeners = new Set()
    const libp2p = played(async () => spoken, [{}], listeners)
    const syncer = new ChosenSyncer(libp2p, { peerId, addrs: [], candidates, lacking: [], timeout: 1_000 })
    const cid = await randomCid()
    for (spoken of ['/a', '/b', '/a']) { await syncer.sync(cid, matcher()) }
    spoken = '/b'
    failures.push(new TransferFailedError('failed'))
    await syncer.sync(cid, matcher())
    deepEqual(told, [['/b'], ['/a', '/b']])
    equal(listeners.size, 0)
  })

  it('is not asked for when the peer is gone: what the sync has failed with is told', async () => {
    const peerId = await randomPeer()
    const connections = [{}]
    const failures: Error[] = []
    const candidates = [candidateOf('/a', () => failures[0]), candidateOf('/b', () => undefined)]
    const libp2p = played(async () => '/a', connections)
    const syncer = new ChosenSyncer(libp2p, { peerId, addrs: [], candidates, lacking: [], timeout: 1_000 })
    const cid = await randomCid()
    await syncer.sync(cid, matcher())
    connections.pop()
    failures.push(new TransferFailedError('cut'))
    await rejects(syncer.sync(cid, matcher()), failures[0])
  })
})
