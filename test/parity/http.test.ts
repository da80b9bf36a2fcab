// Cases of dagsync/http_test.go (go-libipni v0.7.8): HTTP alone, no libp2p node on either side.
import { describe, it } from 'node:test'
import { equal, ok, rejects } from 'node:assert/strict'
import { TestNet } from '../../src/testing/index.ts'
import { next, randomCid, randomPeer, recorder } from '../support/hall.ts'
import { LOADS, mkChain } from '../support/mk-chain.ts'

describe('subscriber with plain HTTP only', () => {
  it('TestManualSync: syncs the head and calls the hook', async () => {
    await using net = new TestNet()
    const { publisher, linkSystem: source, info } = await net.publisher()
    const seen = recorder()
    const { subscriber } = await net.subscriber({ blockHook: seen.hook })
    const root = await source.store('hello world')
    await publisher.setRoot(root)
    ok((await subscriber.sync(info))?.equals(root))
    ok(seen.cids[0].equals(root))
    equal(seen.cids.length, 1)
  })

  it('a publisher without a head gives undefined and no event', async () => {
    await using net = new TestNet()
    const { info, id } = await net.publisher()
    const { subscriber } = await net.subscriber()
    equal(await subscriber.sync(info), undefined)
    equal(await subscriber.getLatestSync(id), undefined)
  })

  it('TestSyncHttpFailsUnexpectedPeer: a head that another peer has signed is refused', async () => {
    await using net = new TestNet()
    const { info, cids, id } = await net.publisher({ chain: 1 })
    const { subscriber, linkSystem } = await net.subscriber()
    const expected = await randomPeer()
    await rejects(subscriber.sync({ id: expected, multiaddrs: info.multiaddrs }), error => {
      const { name, signer } = error as any
      return name === 'UnexpectedSignerError' && signer.equals(id)
    })
    equal(await linkSystem.has(cids[0]), false)
    equal(await subscriber.getLatestSync(expected), undefined)
  })

  it('TestSyncFnHttp: an explicit CID leaves latest, the head moves it', async () => {
    await using net = new TestNet()
    const { publisher, linkSystem: source, info, id } = await net.publisher()
    const seen = recorder()
    const { subscriber, linkSystem } = await net.subscriber({ blockHook: seen.hook })
    const events = subscriber.onSyncFinished()
    const [head, ch3] = await mkChain(source)
    await rejects(subscriber.sync(info, { cid: await randomCid() }), { name: 'ContentNotFoundError' })

    await publisher.setRoot(head)
    equal(await subscriber.getLatestSync(id), undefined)
    ok((await subscriber.sync(info, { cid: ch3 }))?.equals(ch3))
    ok(await linkSystem.has(ch3))
    ok(seen.cids[0].equals(ch3))
    equal(seen.cids.length, LOADS.ch3)
    equal(await subscriber.getLatestSync(id), undefined)

    ok((await subscriber.sync(info))?.equals(head))
    ok(await linkSystem.has(head))
    const { cid, count } = await next(events)
    ok(cid.equals(head))
    equal(count, LOADS.head)
    ok((await subscriber.getLatestSync(id))?.equals(head))
  })
})
