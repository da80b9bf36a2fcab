// Ours as a process, in the language of the Go peers (test/interop/go-peer.ts), so that one driver drives both. It runs dist/.
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import * as dagCbor from '@ipld/dag-cbor'
import * as dagJson from '@ipld/dag-json'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { peerIdFromString } from '@libp2p/peer-id'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { BaseBlockstore } from 'blockstore-core'
import { createLinkSystem, createPublisher, createSubscriber, gossipsubInit } from 'dagsync'
import { createLibp2p } from 'libp2p'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'

const SHA2_256 = 0x12
const RAW = '/dagsync-bench/raw'
const LIMIT = 600_000

let node, linkSystem, publisher, subscriber, topic, head
let hookCalls = 0

class DiscardingBlockstore extends BaseBlockstore {
  put (cid) { return cid }
  has () { return false }

  get () { throw Object.assign(new Error('discarded'), { name: 'NotFoundError' }) }
}

const write = message => { process.stdout.write(`${JSON.stringify(message)}\n`) }
const now = () => Number(process.hrtime.bigint()) / 1e3

const commands = {
  async start ({ seed, store }) {
    const privateKey = await generateKeyPairFromSeed('Ed25519', Buffer.from(seed, 'base64'))
    node = await createLibp2p({
      privateKey,
      addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
      transports: [tcp()],
      connectionEncrypters: [tls(), noise()],
      streamMuxers: [yamux()],
      services: { identify: identify(), pubsub: gossipsub(gossipsubInit()) }
    })
    node.key = privateKey
    linkSystem = createLinkSystem(store === 'discard' ? { blockstore: new DiscardingBlockstore() } : {})
    return { peerId: node.peerId.toString(), addrs: node.getMultiaddrs().map(addr => `${addr}`.replace(/\/p2p\/.*/, '')), pid: process.pid }
  },

  gossip (args) { topic = args.topic },

  async gossipPeers ({ count, timeout }) {
    const end = Date.now() + timeout
    while (node.services.pubsub.getSubscribers(topic).length < count) {
      if (Date.now() > end) { throw new Error('too few peers are subscribed') }
      await delay(5)
    }
    return node.services.pubsub.getSubscribers(topic).map(String)
  },

  async connect ({ peerId, addrs, timeout }) {
    await node.dial(addrs.map(addr => multiaddr(`${addr}/p2p/${peerId}`)), { signal: AbortSignal.timeout(timeout) })
  },

  /** Nodes and advertisements as the Go peer makes them, but that these are not signed. */
  async chain ({ count, payload = 0, codec = 'dag-json', kind, entries = 0 }) {
    const chunks = []
    for (let i = 0; i < count; i++) {
      const previous = head != null && { PreviousID: head }
      if (kind !== 'ad') {
        head = await put({ Index: i, Payload: randomBytes(payload), ...previous }, codec)
        continue
      }
      const mine = await entryChunks(entries)
      chunks.push(...mine)
      head = await put({
        Provider: node.peerId.toString(),
        Addresses: ['/ip4/127.0.0.1/tcp/9999'],
        Entries: mine[0],
        ContextID: randomBytes(32),
        Metadata: randomBytes(payload),
        IsRm: false,
        Signature: randomBytes(64),
        ...previous
      }, codec)
    }
    await publisher?.setRoot(head)
    return { head: head.toString(), cids: [], entries: chunks.map(String) }
  },

  async put ({ cid, bytes }) {
    await linkSystem.blockstore.put(CID.parse(cid), Buffer.from(bytes, 'base64'))
  },

  async publisher ({ transport = 'http', listen = '127.0.0.1:0', handlerPath, headTopic, ...args }) {
    const init = {
      http: { topic, http: { listen, handlerPath, headTopic }, dtsync: false, ipnisync: false },
      libp2phttp: { topic, ipnisync: { headTopic }, dtsync: false },
      dtsync: { topic: args.topic, dtsync: {}, ipnisync: false }
    }[transport]
    publisher = await createPublisher({ libp2p: node, linkSystem, privateKey: node.key }, { root: head, ...init })
    const addrs = publisher.addrs().map(String).filter(addr => addr.includes('/http') === (transport === 'http'))
    return { peerId: publisher.id.toString(), addrs }
  },

  async announce ({ timeout }) {
    const at = now()
    const [{ recipients }] = await publisher.announce({ signal: AbortSignal.timeout(timeout) })
    if (recipients === 0) { throw new Error('the announce reached nobody') }
    return { at }
  },

  async subscriber ({ receive, segmentDepthLimit, ...args }) {
    const count = () => { hookCalls++ }
    const goOn = async (_publisher, cid, actions) => {
      hookCalls++
      actions.setNextSyncCid((await linkSystem.load(cid)).PreviousID)
    }
    const blockHook = segmentDepthLimit == null ? count : goOn
    const init = { topic: args.topic, receiver: receive ? {} : undefined, blockHook, segmentDepthLimit }
    subscriber = await createSubscriber({ libp2p: node, linkSystem }, init)
    report(subscriber.onSyncFinished()).catch(fail)
  },

  /** `entries`: the root of a HAMT. */
  async sync ({ peerId, addrs, entries, timeout }) {
    hookCalls = 0
    const target = { id: peerIdFromString(peerId), multiaddrs: addrs.map(addr => multiaddr(addr)) }
    const signal = AbortSignal.timeout(timeout)
    const begin = performance.now()
    const cid = entries == null ? await subscriber.sync(target, { signal }) : await subscriber.syncHamtEntries(target, CID.parse(entries), { signal })
    return { cid: cid?.toString() ?? null, ms: performance.now() - begin, count: hookCalls, cids: [] }
  },

  /** Sends each who asks so many pieces, with nothing of this package between: what a stream of libp2p can do. */
  async serveRaw ({ count, size }) {
    const piece = randomBytes(size)
    await node.handle(RAW, async stream => {
      for (let i = 0; i < count; i++) {
        if (!stream.send(piece)) { await once(stream, 'drain') }
      }
      await stream.close()
    })
  },

  async pullRaw ({ peerId, addrs, timeout }) {
    const begin = performance.now()
    const signal = AbortSignal.timeout(timeout)
    const stream = await node.dialProtocol(addrs.map(addr => multiaddr(`${addr}/p2p/${peerId}`)), RAW, { signal })
    let bytes = 0
    stream.addEventListener('message', ({ data }) => { bytes += data.byteLength })
    await once(stream, 'remoteCloseWrite')
    await stream.close()
    return { bytes, ms: performance.now() - begin }
  },

  async syncEntries ({ peerId, addrs, cids, concurrency, timeout }) {
    hookCalls = 0
    const target = { id: peerIdFromString(peerId), multiaddrs: addrs.map(addr => multiaddr(addr)) }
    const begin = performance.now()
    await subscriber.syncEntries(target, cids.map(cid => CID.parse(cid)), { concurrency, signal: AbortSignal.timeout(timeout) })
    return { cid: null, ms: performance.now() - begin, count: hookCalls, cids: [] }
  },

  async latest ({ peerId }) {
    return (await subscriber.getLatestSync(peerIdFromString(peerId)))?.toString() ?? null
  },

  idle () {
    globalThis.gc()
    globalThis.gc()
    writeFileSync('/proc/self/clear_refs', '5')
    return commands.stats()
  },

  stats () {
    const status = readFileSync('/proc/self/status', 'utf8')
    const bytes = name => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)[1]) * 1024
    const { user, system } = process.cpuUsage()
    return { rss: bytes('VmRSS'), peak: bytes('VmHWM'), cpu: (user + system) / 1e3 }
  }
}

function once (target, event) {
  return new Promise(resolve => { target.addEventListener(event, resolve, { once: true }) })
}

async function put (value, codec = 'dag-json') {
  const { encode, code } = { 'dag-json': dagJson, 'dag-cbor': dagCbor }[codec]
  const bytes = encode(value)
  const cid = CID.createV1(code, Digest.create(SHA2_256, createHash('sha256').update(bytes).digest()))
  await linkSystem.blockstore.put(cid, bytes)
  return cid
}

/** Newest first, as they are linked. */
async function entryChunks (count) {
  const chunks = []
  for (let i = 0; i < count; i++) {
    const multihash = Digest.create(SHA2_256, randomBytes(32)).bytes
    chunks.unshift(await put({ Entries: [multihash], ...(chunks.length > 0 && { Next: chunks[0] }) }))
  }
  return chunks
}

async function report (events) {
  for await (const { cid, peerId, count, error } of events) {
    write({ event: 'syncFinished', at: now(), cid: cid.toString(), peerId: peerId.toString(), count, error: error?.message })
  }
}

async function answer ({ id, cmd, ...args }) {
  try {
    write({ id, ok: await commands[cmd](args) ?? null })
  } catch (error) {
    write({ id, error: error.stack })
  }
}

function fail (error) {
  console.error(error)
  process.exit(1)
}

setTimeout(fail, LIMIT, new Error("the peer's time is over")).unref()
createInterface(process.stdin)
  .on('line', line => { answer(JSON.parse(line)).catch(fail) })
  .on('close', () => { process.exit() })
