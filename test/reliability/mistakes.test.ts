// What a caller gets wrong, each time in another way: an error that says which argument, and no TypeError from within.
import { rejects } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { multiaddr } from '@multiformats/multiaddr'
import { announceFromJson, decodeAnnounce, encodeAnnounce, httpSender, Receiver, sendAnnounce } from '../../src/announce/index.ts'
import { createLinkSystem, createPublisher, createSubscriber } from '../../src/index.ts'
import { filterPublic, findHttpAddrs, multiaddrToUrl, parseMultiaddrs, parsePeers, peerIdOf, stripPeerId } from '../../src/shared/multiaddrs.ts'
import { createDtsyncSyncer, createHttpSyncer, createIpnisyncSyncer } from '../../src/syncers/index.ts'
import { dagsyncSelector, recursionLimitNone, walk } from '../../src/traversal/index.ts'
import { randomCid, randomPeer } from '../support/hall.ts'

const any = (value: unknown): any => value
const linkSystem = createLinkSystem()
const cid = await randomCid()
const id = await randomPeer()
const addr = multiaddr('/ip4/127.0.0.1/tcp/9/http')
const publisher = { id, multiaddrs: [addr] }
const privateKey = await generateKeyPair('Ed25519')
const subscriber = await createSubscriber({ linkSystem }, { receiver: {} })
const web = await createPublisher({ linkSystem, privateKey }, { http: { addrs: [addr] } })
const receiver = new Receiver({})
const syncer = createHttpSyncer({ linkSystem }, { peerId: id, addrs: [addr] })
const all = dagsyncSelector(recursionLimitNone)
const text = addr.toString()

const OPTION = 'InvalidOptionError'
const mistakes: Record<string, [name: string, what: string | undefined, mistake: () => unknown]> = {
  'text as a target': [OPTION, 'target', () => subscriber.sync(any(`${text}/p2p/${id}`))],
  'null as options of sync()': [OPTION, 'options', () => subscriber.sync(publisher, any(null))],
  'a CID as options of sync(), as in Go': [OPTION, 'options', () => subscriber.sync(publisher, any(cid))],
  'a hook as options of syncAdChain()': [OPTION, 'options', () => subscriber.syncAdChain(publisher, any(() => {}))],
  'null as options of syncEntries()': [OPTION, 'options', () => subscriber.syncEntries(publisher, cid, any(null))],
  'null as options of syncHamtEntries()': [OPTION, 'options', () => subscriber.syncHamtEntries(publisher, cid, any(null))],
  'a controller as a signal': [OPTION, 'signal', () => subscriber.sync(publisher, { signal: any(new AbortController()) })],
  'a listener for onSyncFinished()': [OPTION, 'options', () => subscriber.onSyncFinished(any(() => {}))],
  'text as an address in the book': [OPTION, 'addrs', () => subscriber.httpPeerStore.add(id, any([text]), 1)],
  'no time to live': [OPTION, 'ttl', () => subscriber.httpPeerStore.add(id, [addr], any(undefined))],
  'NaN as a time to live': [OPTION, 'ttl', () => subscriber.httpPeerStore.add(id, [addr], NaN)],
  'null as what a subscriber is to be': [OPTION, 'init', () => createSubscriber({ linkSystem }, any(null))],
  'a number of graphsync requests': [OPTION, 'maxGraphsyncRequests', () => createSubscriber({ linkSystem }, { maxGraphsyncRequests: any(5) })],
  'null as the limits of graphsync': [OPTION, 'maxGraphsyncRequests', () => createSubscriber({ linkSystem, libp2p: any({ services: {} }) }, { topic: '/t', maxGraphsyncRequests: any(null) })],
  'null as the retries of an HTTP syncer': [OPTION, 'httpRetry', () => createHttpSyncer({ linkSystem }, { peerId: id, addrs: [addr], httpRetry: any(null) })],
  'null as what an HTTP syncer fetches ahead': [OPTION, 'prefetch', () => createHttpSyncer({ linkSystem }, { peerId: id, addrs: [addr], prefetch: any(null) })],
  'no number of tries': [OPTION, 'httpRetry.retries', () => createHttpSyncer({ linkSystem }, { peerId: id, addrs: [addr], httpRetry: { retries: any('3'), minDelay: 1, maxDelay: 1 } })],
  'no node': [OPTION, 'libp2p', () => createSubscriber({ linkSystem, libp2p: any({}) })],
  'no pubsub': [OPTION, 'pubsub', () => createSubscriber({ linkSystem, pubsub: any(() => {}) }, { topic: '/t', receiver: {} })],
  'the console as a logger': [OPTION, 'logger', () => createSubscriber({ linkSystem, logger: any(console) })],
  'no metrics': [OPTION, 'metrics', () => createPublisher({ linkSystem, privateKey, metrics: any({}) }, { http: {} })],
  'null as what a publisher is to be': [OPTION, 'init', () => createPublisher({ linkSystem, privateKey }, any(null))],
  'a request of node:http': [OPTION, 'request', () => web.handleRequest(any({ method: 'GET', url: '/head', headers: {} }))],
  'no request': [OPTION, 'request', () => web.handleRequest(any(undefined))],
  'loading what is not there, as the first PreviousID': [OPTION, 'cid', () => linkSystem.load(any(undefined))],
  'loading text': [OPTION, 'cid', () => linkSystem.load(any(`${cid}`))],
  'asking for text': [OPTION, 'cid', () => linkSystem.has(any(`${cid}`))],
  'bytes before the CID': [OPTION, 'cid', () => linkSystem.put(any(new Uint8Array(1)), any(cid))],
  'the name of a codec': [OPTION, 'codec', () => linkSystem.store({}, { codec: any('dag-cbor') })],
  'the name of a hasher': [OPTION, 'hasher', () => linkSystem.store({}, { hasher: any('sha2-256') })],
  'text as the peer of an HTTP syncer': [OPTION, 'peerId', () => createHttpSyncer({ linkSystem }, { peerId: any(`${id}`), addrs: [addr] })],
  'text as an address of an HTTP syncer': [OPTION, 'addrs', () => createHttpSyncer({ linkSystem }, { peerId: id, addrs: any([text]) })],
  'text as the peer of a syncer over streams': [OPTION, 'peerId', () => createIpnisyncSyncer({ linkSystem, libp2p: any({}) }, { peerId: any(`${id}`) })],
  'text as an address of a dtsync syncer': [OPTION, 'addrs', () => createDtsyncSyncer({ linkSystem, libp2p: any({}) }, { peerId: id, topic: '/t', addrs: any([text]) })],
  'one sender in place of a list': [OPTION, 'senders', () => sendAnnounce(cid, [addr], any(httpSender({ urls: ['http://127.0.0.1:9'], peerId: id })))],
  'a head that is not there': [OPTION, 'root', () => syncer.sync(any(undefined), all)],
  'a head that was not awaited': [OPTION, 'root', () => syncer.sync(any(Promise.resolve(cid)), all)],
  'a walk from text': [OPTION, 'root', () => walk(any(`${cid}`), all, async () => new Uint8Array(1)).next()],
  'nodes for a walk': [OPTION, 'load', () => walk(cid, all, any(async () => ({})), {}).next()],
  'a direct announcement of text': [OPTION, 'cid', () => receiver.direct(any(`${cid}`), publisher)],
  'a direct announcement of nobody': [OPTION, 'publisher', () => receiver.direct(cid, any(undefined))],
  'no pubsub for a receiver': [OPTION, 'pubsub', () => new Receiver({ pubsub: any({}) }, { topic: '/t' })],
  'an announcement of text addresses': ['InvalidMultiaddrError', undefined, () => sendAnnounce(cid, any([text]), [httpSender({ urls: ['http://127.0.0.1:9'], peerId: id })])],
  'a message with addresses that are not binary': ['InvalidMessageError', undefined, () => encodeAnnounce({ cid, addrs: any([addr]) })],
  'text for decodeAnnounce()': ['InvalidMessageError', undefined, () => decodeAnnounce(any('{}'))],
  'nothing for decodeAnnounce()': ['InvalidMessageError', undefined, () => decodeAnnounce(any(undefined))],
  'bytes for announceFromJson()': ['InvalidMessageError', undefined, () => announceFromJson(any(new Uint8Array(1)))],
  'one text for parseMultiaddrs()': ['InvalidMultiaddrError', undefined, () => parseMultiaddrs(any(text))],
  'one text for parsePeers()': ['InvalidMultiaddrError', undefined, () => parsePeers(any(text))],
  'text for multiaddrToUrl()': ['InvalidMultiaddrError', undefined, () => multiaddrToUrl(any(text))],
  'text for peerIdOf()': ['InvalidMultiaddrError', undefined, () => peerIdOf(any(text))],
  'text for stripPeerId()': ['InvalidMultiaddrError', undefined, () => stripPeerId(any(text))],
  'texts for findHttpAddrs()': ['InvalidMultiaddrError', undefined, () => findHttpAddrs(any([text]))],
  'texts for filterPublic()': ['InvalidMultiaddrError', undefined, () => filterPublic(any([text]))]
}

describe('mistakes of a caller are errors that say which argument is meant', () => {
  for (const [mistake, [name, field, make]] of Object.entries(mistakes)) {
    it(mistake, async () => {
      await rejects(async () => make(), field == null ? { name } : { name, field })
    })
  }
})
