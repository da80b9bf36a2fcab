import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { CID } from 'multiformats/cid'
import { createGraphsync, createLinkSystem } from 'dagsync/graphsync'

const [address, root] = process.argv.slice(2)
const libp2p = await createLibp2p({ // it listens: answers come on streams that the other side opens, on the same connection
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] }, transports: [tcp()], connectionEncrypters: [tls()], streamMuxers: [yamux()]
})
const graphsync = createGraphsync({ libp2p, linkSystem: createLinkSystem() })
await graphsync.start()
const { remotePeer } = await libp2p.dial(multiaddr(address))
const everything = { R: { l: { depth: 100 }, ':>': { a: { '>': { '@': {} } } } } }
for await (const { cid, bytes, local } of graphsync.request(remotePeer, CID.parse(root), everything)) {
  console.log(cid.toString(), bytes.length, local)
}
await graphsync.stop()
await libp2p.stop()
