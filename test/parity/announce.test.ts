// go-libipni v0.4.0 and v0.7.8: announce/receiver_test.go, string_lru_test.go, message/message_test.go, httpsender/sender_test.go
import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict'
import { createServer } from 'node:http'
import { describe, it } from 'node:test'
import { CID } from 'multiformats/cid'
import { announceFromJson, announceToJson, decodeAnnounce, encodeAnnounce, httpSender, messageAddrs, Receiver } from '../../src/announce/index.ts'
import { Seen } from '../../src/announce/seen.ts'
import { parseMultiaddrs, peerIdOf, stripPeerId } from '../../src/shared/multiaddrs.ts'
import { cids, FakePubSub, newPeer } from '../announce/kit.ts'
import type { AnnounceMessage } from '../../src/announce/index.ts'
import type { RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'

const topic = '/announce/testtopic'
const [testCid, testCid2] = await cids(2, 'parity')
const peerInfo = { id: await newPeer(), multiaddrs: parseMultiaddrs(['/ip4/127.0.0.1/tcp/9999']) }

async function newReceiver (): Promise<Receiver> {
  const receiver = new Receiver({ pubsub: new FakePubSub(await newPeer()) }, { topic })
  await receiver.start()
  return receiver
}

describe('announce/receiver_test.go', () => {
  it('TestReceiverBasic', async () => {
    const receiver = await newReceiver()
    await receiver.direct(testCid, peerInfo)
    equal((await receiver.next()).peerId, peerInfo.id)
    await receiver.stop()
  })

  it('TestReceiverCloseWaitingNext', async () => {
    const receiver = await newReceiver()
    const next = receiver.next()
    await Promise.all([rejects(next, { name: 'ReceiverClosedError' }), receiver.stop()])
  })

  // in Go the second call waits for a reader, and is ended; here the newest wins, and none waits
  it('TestReceiverCloseWaitingDirect', async () => {
    const receiver = await newReceiver()
    await receiver.direct(testCid, peerInfo)
    await receiver.direct(testCid2, peerInfo)
    await receiver.stop()
    await rejects(receiver.direct(testCid2, peerInfo), { name: 'ReceiverClosedError' })
  })

  it('TestReceiverCidCache', async () => {
    const receiver = await newReceiver()
    await receiver.direct(testCid, peerInfo)
    equal((await receiver.next()).peerId, peerInfo.id)
    await receiver.direct(testCid, peerInfo)
    await rejects(receiver.next({ signal: AbortSignal.timeout(50) }), { name: 'TimeoutError' })
    await receiver.stop()
  })
})

describe('announce/string_lru_test.go', () => {
  it('TestUpdate', () => {
    const seen = new Seen(1, 3)
    equal(seen.update('', 'hello'), false)
    equal(seen.update('', 'hello'), true)
    for (const key of ['foo', 'bar', 'baz']) { equal(seen.update('', key), false) }
    equal(seen.update('', 'hello'), false)
    equal(seen.update('', 'bar'), true)
    seen.remove('bar')
    equal(seen.update('', 'bar'), false)
  })
})

describe('announce/message/message_test.go', () => {
  const maddrs = parseMultiaddrs(['/ip4/127.0.0.1/tcp/2701', '/dns4/localhost/tcp/7663'])
  const message: AnnounceMessage = {
    cid: CID.parse('QmPNHBy5h7f19yJDt7ip9TvmMRbqmYsa6aetkrsc1ghjLB'),
    addrs: maddrs.map(addr => new Uint8Array(addr.bytes)),
    extraData: new TextEncoder().encode('t01000'),
    origPeer: '12D3KooWBckWLKiYoUX4k3HTrbrSe4DD5SPNTKgP6vKTva1NaRkJ'
  }
  const same = (other: AnnounceMessage): void => {
    ok(other.cid.equals(message.cid))
    deepEqual({ ...other, cid: undefined }, { ...message, cid: undefined })
  }

  it('TestCBOR', () => { same(decodeAnnounce(encodeAnnounce(message))) })

  it('TestJSON', () => { same(announceFromJson(announceToJson(message))) })

  it('TestUnknownProtocol', () => {
    const unknown = Uint8Array.of(54, 9, 108, 111, 99, 97, 108, 104, 111, 115, 116, 145, 2, 4, 210, 143, 78)
    deepEqual(messageAddrs({ ...message, addrs: [maddrs[0].bytes, unknown] }).map(String), [maddrs[0].toString()])
  })
})

describe('announce/httpsender/sender_test.go', () => {
  const message = { cid: testCid, addrs: peerInfo.multiaddrs.map(addr => addr.bytes) }

  async function serve (t: { after (fn: () => void): void }, handler: RequestListener): Promise<string> {
    const server = createServer(handler)
    await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
    t.after(() => {
      server.closeAllConnections()
      server.close()
    })
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/announce`
  }

  function check (decode: (body: Buffer) => AnnounceMessage, count: { n: number }): RequestListener {
    return (req, res) => {
      req.toArray().then(chunks => {
        const addrs = messageAddrs(decode(Buffer.concat(chunks)))
        ok(req.headers['user-agent']?.startsWith('dagsync/'))
        equal(addrs.length, peerInfo.multiaddrs.length)
        ok(addrs.every(addr => peerIdOf(addr)?.equals(peerInfo.id)))
        equal(stripPeerId(addrs[0]).toString(), peerInfo.multiaddrs[0].toString())
        count.n++
        res.end()
      }).catch(() => { res.writeHead(500).end() })
    }
  }

  it('TestSend', async t => {
    throws(() => httpSender({ urls: [], peerId: peerInfo.id }), { name: 'InvalidOptionError' })
    throws(() => httpSender({ urls: ['http://localhost'], peerId: '' as any }), { name: 'InvalidOptionError' })

    const [first, second] = [{ n: 0 }, { n: 0 }]
    const url = await serve(t, check(decodeAnnounce, first))
    await httpSender({ urls: [url], peerId: peerInfo.id, fetch: globalThis.fetch }).send(message)
    equal(first.n, 1)

    await httpSender({ urls: [url, url], peerId: peerInfo.id }).send(message)
    equal(first.n, 2)

    const url2 = await serve(t, (_, res) => { second.n++; res.end() })
    const sender = httpSender({ urls: [url, url2], peerId: peerInfo.id })
    await sender.send(message)
    deepEqual([first.n, second.n], [3, 1])
    await sender.stop?.()
    await sender.stop?.()
  })

  it('TestSendTimeout', async t => {
    const url = await serve(t, () => {})
    await rejects(httpSender({ urls: [url], peerId: peerInfo.id }).send(message, { signal: AbortSignal.timeout(50) }), {
      name: 'TimeoutError', constructor: DOMException // the reason of the signal, as it came
    })
    await rejects(httpSender({ urls: [url], peerId: peerInfo.id, timeout: 50 }).send(message), { name: 'TimeoutError', code: 'ERR_TIMEOUT' })
  })

  it('TestJSONSend', async t => {
    const count = { n: 0 }
    const url = await serve(t, check(body => announceFromJson(body.toString()), count))
    await httpSender({ urls: [url], peerId: peerInfo.id, encoding: 'json' }).send(message)
    equal(count.n, 1)
  })
})
