import { deepEqual } from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Libp2p, Stream } from '@libp2p/interface'
import { TransferFailedError } from '../../src/shared/errors.ts'
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
