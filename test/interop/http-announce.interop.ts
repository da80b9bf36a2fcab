import { deepEqual, equal, match } from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { describe, it } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { announceFromJson, decodeAnnounce, httpSender, messageAddrs } from '../../src/announce/index.ts'
import { createPublisher, createSubscriber } from '../../src/index.ts'
import { parsePeers } from '../../src/shared/multiaddrs.ts'
import { chain } from '../../src/testing/index.ts'
import { goVersions } from './go-build.ts'
import { GoPeer } from './go-peer.ts'
import { finishedOf, recorder } from './support.ts'
import type { AnnounceMessage } from '../../src/index.ts'
import type { Subscriber } from '../../src/subscriber/subscriber.ts'
import type { CID } from 'multiformats/cid'
import type { AddressInfo } from 'node:net'

interface Endpoint extends AsyncDisposable { url: string, requests: Array<{ method?: string, path?: string, type?: string }> }

/** An indexer's announce endpoint: what a user of this package would write. */
async function announceEndpoint (subscriber: Subscriber): Promise<Endpoint> {
  const requests: Endpoint['requests'] = []
  const server = createServer((request, response) => {
    const answer = async (): Promise<void> => {
      const body = Buffer.concat(await request.toArray())
      const type = request.headers['content-type']
      requests.push({ method: request.method, path: request.url, type })
      const message: AnnounceMessage = type === 'application/json' ? announceFromJson(body.toString()) : decodeAnnounce(body)
      const [publisher] = parsePeers(messageAddrs(message).map(String))
      await subscriber.announce(message.cid, publisher)
      response.writeHead(204).end()
    }
    answer().catch(error => { response.writeHead(400).end(String(error)) })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose] () {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    }
  }
}

for (const version of goVersions) {
  describe(`HTTP announces with Go ${version}`, () => {
    it('our subscriber hears from a Go publisher, as CBOR and as JSON', async () => {
      await using go = await GoPeer.start(version)
      await go.call('publisher', {})
      const { linkSystem, calls, blockHook } = recorder()
      await using subscriber = await createSubscriber({ linkSystem }, { receiver: {}, blockHook })
      const finished = finishedOf(subscriber)
      await using endpoint = await announceEndpoint(subscriber)

      for (const via of ['http', 'json'] as const) {
        const { head, cids } = await go.call('chain', { count: 3, list: true })
        await go.call('announce', { via, urls: [endpoint.url] })
        const { cid, peerId, count, error } = await finished()
        deepEqual([cid.toString(), peerId.toString(), count, error], [head, go.peerId, 3, undefined])
        deepEqual(calls.slice(-3), cids)
      }
      deepEqual(endpoint.requests, [
        { method: 'PUT', path: '/announce', type: 'application/octet-stream' },
        { method: 'PUT', path: '/announce', type: 'application/json' }
      ])
    })

    it('a Go subscriber hears from our publisher, as CBOR and as JSON', async () => {
      await using go = await GoPeer.start(version)
      await go.call('gossip', { topic: '/unused' }) // Go's receiver panics without a topic
      await go.call('subscriber', { topic: '/unused', receive: true })
      const { url } = await go.call('announceServer', {})
      const privateKey = await generateKeyPair('Ed25519')
      const peerId = peerIdFromPrivateKey(privateKey)
      const { linkSystem } = recorder()

      let previous: CID | undefined
      for (const encoding of ['cbor', 'json'] as const) {
        const senders = [httpSender({ urls: [url], peerId, encoding, extraData: new TextEncoder().encode('extra') })]
        await using publisher = await createPublisher({ linkSystem, privateKey }, { http: { listen: '127.0.0.1:0' }, senders })
        const [head] = await chain(linkSystem, 3, { previous })
        await publisher.updateRoot(head)

        const announced = await go.event('announced')
        equal(announced.cid, head.toString())
        deepEqual(announced.addrs, publisher.addrs().map(addr => `${addr}/p2p/${peerId}`))
        equal(Buffer.from(announced.extraData ?? '', 'base64').toString(), 'extra')
        match(announced.contentType, encoding === 'json' ? /json/ : /octet-stream/)
        const event = await go.event('syncFinished')
        deepEqual([event.cid, event.peerId, event.count, event.error], [head.toString(), peerId.toString(), 3, undefined])
        previous = head
      }
    })
  })
}
