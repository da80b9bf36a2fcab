// Cases of go-libipni v0.7.8 and v0.4.0: dagsync/ipnisync/publisher_test.go, dagsync/ipnisync/head/signedhead_test.go
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, describe, it } from 'node:test'
import { generateKeyPair, publicKeyToProtobuf } from '@libp2p/crypto/keys'
import * as dagJson from '@ipld/dag-json'
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr'
import type { CID } from 'multiformats/cid'
import { sendAnnounce } from '../../src/announce/index.ts'
import { createPublisher, type Publisher } from '../../src/index.ts'
import { parseMultiaddrs } from '../../src/shared/multiaddrs.ts'
import type { AnnounceMessage, HttpPublisherInit, LinkSystem } from '../../src/shared/types.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { encodeSignedHead, openSignedHead } from '../../src/syncers/httpsync/signed-head.ts'
import { createHttpSyncer } from '../../src/syncers/index.ts'
import { matcher } from '../../src/traversal/index.ts'

const FISH = { fish: 'lobster', fish1: 'lobster1', fish2: 'lobster2', fish0: 'lobster0' }
const stops: Array<() => Promise<unknown>> = []
after(async () => { for (const stop of stops) { await stop() } })

async function publish (http: HttpPublisherInit): Promise<{ publisher: Publisher, linkSystem: LinkSystem, cid: CID }> {
  const linkSystem = createLinkSystem()
  const publisher = await createPublisher({ linkSystem, privateKey: await generateKeyPair('Ed25519') }, { http })
  stops.push(async () => publisher.stop())
  const cid = await linkSystem.store(FISH)
  await publisher.setRoot(cid)
  return { publisher, linkSystem, cid }
}

/** The client's half of these cases: asks for the head, syncs it, loads it. */
async function syncFrom (publisher: Publisher, addrs: Multiaddr[]): Promise<CID | undefined> {
  const linkSystem = createLinkSystem()
  const syncer = createHttpSyncer({ linkSystem }, { peerId: publisher.id, addrs })
  const head = await syncer.head()
  if (head == null) { return head }
  await syncer.sync(head, matcher())
  const node = await linkSystem.load(head)
  deepEqual(node, FISH)
  ok((await linkSystem.store(node)).equals(head))
  return head
}

describe('ipnisync publisher_test.go', () => {
  it('TestPublisherWithLibp2pHTTP: HTTP transport', async () => { // the stream transport comes with ipnisync
    const { publisher, cid } = await publish({ listen: '127.0.0.1:0' })
    const [addr, ...others] = publisher.addrs()
    deepEqual(others, [])
    ok(addr.toString().includes('/http'))
    ok((await syncFrom(publisher, [addr]))?.equals(cid))
  })

  it('TestExistingServerWithPublisher', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    stops.push(async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    })
    const addr = multiaddr(`/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}/http`)
    const { publisher, cid } = await publish({ addrs: [addr] })
    server.on('request', ({ url, method }, response) => {
      publisher.handleRequest(new Request(`http://localhost${url}`, { method })).then(async answer => {
        response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.bytes())
      }, () => { response.destroy() })
    })
    deepEqual(publisher.addrs().map(String), [addr.toString()])
    ok((await syncFrom(publisher, publisher.addrs()))?.equals(cid))
  })

  for (const handlerPath of ['', '/', 'boop/bop', '/boop/bop']) {
    it(`TestNewPublisherForListener: with path ${handlerPath}`, async () => {
      const linkSystem = createLinkSystem()
      const root = await linkSystem.store('borp')
      const privateKey = await generateKeyPair('RSA', 2048)
      const sent: AnnounceMessage[] = []
      const sender = {
        send: async (message: AnnounceMessage) => {
          sent.push(message)
          return {}
        }
      }
      const publisher = await createPublisher({ linkSystem, privateKey }, {
        root, http: { addrs: [multiaddr('/ip4/192.168.200.1/tcp/8080/http')], handlerPath }
      })
      stops.push(async () => publisher.stop())
      await sendAnnounce(root, publisher.addrs(), [sender])
      equal(sent.length, 1)
      ok(sent[0].cid.equals(root))
      // Go gives one address, in its version's spelling; here a path comes in both
      const path = encodeURIComponent(handlerPath.replace(/^\//, ''))
      const base = '/ip4/192.168.200.1/tcp/8080/http'
      const expected = path === '' ? [base] : [`${base}/http-path/${path}`, `${base}/httpath/${path}`]
      deepEqual(sent[0].addrs, parseMultiaddrs(expected).map(({ bytes }) => bytes))

      const asked = `/${handlerPath}/ipni/v1/ad/head`.replace(/\/+/g, '/')
      const response = await publisher.handleRequest(new Request(`http://192.168.200.1:8080${asked}`))
      equal(response.status, 200)
      const node = dagJson.decode<any>(await response.bytes())
      ok(node.head.equals(root))
      deepEqual(node.pubkey, publicKeyToProtobuf(privateKey.publicKey))
      deepEqual(node.sig, new Uint8Array(await privateKey.sign(root.bytes)))
      deepEqual(Object.keys(node), ['head', 'pubkey', 'sig'])
    })
  }

  describe('TestHandlerPath', () => {
    for (const [name, path, fails] of [
      ['badPath1', '', true], ['badPath2', '/', true], ['badPath3', 'boop/bop', true], ['badPath4', '/boop/bop', true],
      ['goodPath1 no leading slash', 'boop/bop/beep', false], ['goodPath2 leading slash', '/boop/bop/beep', false],
      ['goodPath3 trailing slash', 'boop/bop/beep/', false]
    ] as const) {
      it(name, async () => {
        const { publisher, cid } = await publish({ listen: '127.0.0.1:0', handlerPath: '/boop/bop/beep' })
        const server = publisher.addrs()[0].toString().replace(/\/http-path.*/, '')
        const trimmed = path.replace(/^\//, '')
        const addrs = parseMultiaddrs([trimmed === '' ? server : `${server}/httpath/${encodeURIComponent(trimmed)}`])
        if (fails) {
          await rejects(syncFrom(publisher, addrs))
        } else {
          ok((await syncFrom(publisher, addrs))?.equals(cid))
        }
      })
    }
  })
})

describe('head signedhead_test.go', () => {
  it('TestSignedHeadWrapUnwrap, TestSignedHeadEncodeDecode', async () => { // wrapping is of Go
    const { cid } = await publish({})
    const key = await generateKeyPair('Ed25519')
    const opened = await openSignedHead(await encodeSignedHead(cid, key, '/test/topic'))
    ok(opened.head.equals(cid))
    equal(opened.topic, '/test/topic')
  })

  it('TestSignedHeadValidation', async () => {
    const { cid } = await publish({})
    const bytes = await encodeSignedHead(cid, await generateKeyPair('Ed25519'), '/test/topic')
    notEmpty((await openSignedHead(bytes)).signer.toString())
    const other = dagJson.decode<any>(await encodeSignedHead(cid, await generateKeyPair('Ed25519'), '/test/topic'))
    const node = dagJson.decode<any>(bytes)
    for (const [changed, message] of [
      [{ ...node, pubkey: new Uint8Array() }, /pubkey is empty/],
      [{ ...node, sig: new Uint8Array() }, /sig is empty/],
      [{ ...node, pubkey: other.pubkey }, /signature is wrong/]
    ] as const) {
      await rejects(openSignedHead(dagJson.encode(changed)), { name: 'InvalidSignedHeadError', message })
    }
  })
})

function notEmpty (text: string): void { ok(text.length > 0) }
