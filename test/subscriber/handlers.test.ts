import { before, describe, it } from 'node:test'
import { deepEqual, equal, notEqual } from 'node:assert/strict'
import type { PeerId } from '@libp2p/interface'
import type { Announce } from '../../src/shared/types.ts'
import type { Handler } from '../../src/subscriber/handler.ts'
import { Handlers } from '../../src/subscriber/handlers.ts'
import { Slots } from '../../src/subscriber/slots.ts'
import { randomCid, randomPeer, until } from '../support/hall.ts'

describe('Handlers', () => {
  const { signal } = new AbortController()
  let peer: PeerId
  let other: PeerId

  before(async () => {
    peer = await randomPeer()
    other = await randomPeer()
  })

  function handlers (ttl: number, sync = async (_handler: Handler, _announce: Announce): Promise<void> => {}): Handlers {
    return new Handlers(ttl, { slots: new Slots(8), signal, syncAnnounced: sync, dropped: () => {} })
  }

  it('gives one handler per publisher', async () => {
    const all = handlers(10_000)
    const handler = all.get(peer)
    equal(all.get(peer), handler)
    notEqual(all.get(other), handler)
    equal(all.size, 2)
    all.clear()
  })

  it('lets idle ones leave after the time to live, and only these', async () => {
    const all = handlers(30)
    const work = Promise.withResolvers<void>()
    const busy = all.get(peer)
    const working = busy.beside(async () => work.promise)
    await all.get(other).beside(async () => {})
    await until(() => all.size === 1)
    equal(all.get(peer), busy)
    work.resolve()
    await working
    await until(() => all.size === 0)
  })

  it('counts the time to live from the last work', async () => {
    const all = handlers(200)
    const handler = all.get(peer)
    await handler.beside(async () => {})
    for (let i = 0; i < 15; i++) {
      await new Promise(resolve => setTimeout(resolve, 20))
      await handler.beside(async () => {})
      equal(all.get(peer), handler)
    }
    await until(() => all.size === 0)
  })

  it('keeps a handler while any of several works goes on', async () => {
    const all = handlers(10)
    const first = Promise.withResolvers<void>()
    const second = Promise.withResolvers<void>()
    const handler = all.get(peer)
    const works = [handler.beside(async () => first.promise), handler.beside(async () => second.promise)]
    first.resolve()
    await works[0]
    await new Promise(resolve => setTimeout(resolve, 40))
    equal(all.get(peer), handler)
    second.resolve()
    await works[1]
    await until(() => all.size === 0)
  })

  it('frees a handler whose work failed', async () => {
    const all = handlers(10)
    await all.get(peer).beside(async () => { throw new Error('no') }).catch(() => {})
    await until(() => all.size === 0)
  })

  it('removes an idle one at once, and says whether there was one', async () => {
    const all = handlers(10_000)
    await all.get(peer).beside(async () => {})
    equal(all.remove(peer), true)
    equal(all.remove(peer), false)
    equal(all.remove(other), false)
    equal(all.size, 0)
    all.clear()
  })

  it('keeps the order of syncs when a busy one is removed: its publisher stays with it until it is done', async () => {
    const all = handlers(10_000)
    const work = Promise.withResolvers<void>()
    const handler = all.get(peer)
    const order: string[] = []
    const running = handler.inTurn(signal, async () => {
      await work.promise
      order.push('first')
    })
    equal(all.remove(peer), true)
    equal(all.remove(peer), false)
    const next = all.get(peer).inTurn(signal, async () => { order.push('second') })
    equal(all.remove(peer), true)
    work.resolve()
    await Promise.all([running, next])
    deepEqual(order, ['first', 'second'])
    equal(all.size, 0)
    all.clear()
  })

  it('drops the pending announce of one that is removed', async () => {
    const synced: Announce[] = []
    const all = handlers(10_000, async (_handler, announce) => { synced.push(announce) })
    const work = Promise.withResolvers<void>()
    const running = all.get(peer).inTurn(signal, async () => work.promise)
    all.get(peer).offer({ cid: await randomCid(), peerId: peer, addrs: [] })
    equal(all.remove(peer), true)
    work.resolve()
    await running
    await until(() => all.size === 0)
    equal(synced.length, 0)
    all.clear()
  })

  it('leaves no timer after clear()', async () => {
    const timers = (): number => process.getActiveResourcesInfo().filter(name => name === 'Timeout').length
    const before = timers()
    const all = handlers(60_000)
    await all.get(peer).beside(async () => {})
    all.clear()
    equal(timers(), before)
    equal(all.size, 0)
  })

  it('takes a time to live beyond what a timer can wait', async () => {
    const all = handlers(2 ** 40)
    await all.get(peer).beside(async () => {})
    await new Promise(resolve => setTimeout(resolve, 10))
    equal(all.size, 1)
    all.clear()
  })
})
