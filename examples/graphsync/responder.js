import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { createGraphsync, createLinkSystem } from 'dagsync/graphsync'

const libp2p = await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] }, transports: [tcp()], connectionEncrypters: [tls()], streamMuxers: [yamux()]
})
const linkSystem = createLinkSystem()
const hello = await linkSystem.store({ hello: 'world' })
const root = await linkSystem.store({ links: [hello, await linkSystem.store({ hello: 'again' })] })

const graphsync = createGraphsync({ libp2p, linkSystem })
graphsync.addValidator((peer, request) => ({ accept: request.root.equals(root) }))
await graphsync.start()
console.log(`${libp2p.getMultiaddrs()[0]} ${root}`)
