// Graphsync alone, ours to ours, two processes on loopback over TLS: `npm run build && node bench/graphsync.js [blocks] [bytes] [runs]`.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import * as dagCbor from '@ipld/dag-cbor'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { CID } from 'multiformats/cid'
import { createGraphsync, createLinkSystem } from '../dist/wire/graphsync/index.js'

const everything = { R: { l: { none: {} }, ':>': { a: { '>': { '@': {} } } } } }
const [count = 10_000, size = 500, runs = 5] = process.argv.slice(2).map(Number)

const node = async () => await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] }, transports: [tcp()], connectionEncrypters: [tls()], streamMuxers: [yamux()]
})

async function respond () {
  const libp2p = await node()
  const linkSystem = createLinkSystem()
  let previous
  for (let i = 0; i < count; i++) {
    const payload = new Uint8Array(size).fill(i & 255)
    previous = await linkSystem.store({ Index: i, Payload: payload, ...(previous == null ? {} : { PreviousID: previous }) }, { codec: dagCbor })
  }
  const graphsync = createGraphsync({ libp2p, linkSystem })
  graphsync.addValidator(() => ({ accept: true }))
  await graphsync.start()
  process.send({ address: libp2p.getMultiaddrs()[0].toString(), root: previous.toString() })
}

async function request () {
  const child = fork(import.meta.filename, process.argv.slice(2), { env: { ...process.env, RESPOND: '1' } })
  try {
    const [{ address, root }] = await once(child, 'message')
    const times = []
    for (let run = 0; run < runs; run++) {
      const libp2p = await node()
      const graphsync = createGraphsync({ libp2p, linkSystem: createLinkSystem() })
      await graphsync.start()
      const start = performance.now()
      const { remotePeer } = await libp2p.dial(multiaddr(address))
      let blocks = 0
      for await (const { bytes } of graphsync.request(remotePeer, CID.parse(root), everything)) { blocks += bytes.length > 0 ? 1 : 0 }
      times.push(performance.now() - start)
      if (blocks !== count) { throw new Error(`${blocks} blocks`) }
      await graphsync.stop()
      await libp2p.stop()
    }
    times.sort((a, b) => a - b)
    const median = times[times.length >> 1]
    console.log(`${count} blocks of ${size} bytes, dial included: ${times.map(ms => ms.toFixed(0)).join(' / ')} ms, ` +
      `${Math.round(count / median * 1_000)} blocks/s, ${(count * size / median / 1_000).toFixed(0)} MB/s (median)`)
  } finally {
    child.kill()
  }
}

await (process.env.RESPOND == null ? request() : respond())
