import { it } from 'node:test'
import { rejects } from 'node:assert/strict'
import type { Libp2p } from '@libp2p/interface'
import { makeReachable } from '../../src/shared/reachable.ts'
import { inTime, randomPeer } from '../support/hall.ts'

it('makeReachable() ends with its signal, also where a peer routing does not look at it', async () => {
  const controller = new AbortController()
  const reason = new Error('enough')
  const libp2p = {
    getConnections: () => [],
    peerStore: { get: async () => { throw Object.assign(new Error('not known'), { name: 'NotFoundError' }) } },
    peerRouting: {
      findPeer: async () => {
        setImmediate(() => { controller.abort(reason) })
        return Promise.withResolvers<never>().promise
      }
    }
  } as unknown as Libp2p
  const reached = makeReachable(libp2p, await randomPeer(), [], 'dtsync', { signal: controller.signal })
  await rejects(inTime(Promise.resolve(reached), 5_000), error => error === reason)
})
