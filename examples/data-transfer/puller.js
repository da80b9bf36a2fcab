import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { CID } from 'multiformats/cid'
import { createDataTransfer, createLinkSystem } from 'dagsync/data-transfer'

const [address, film, seat = '7'] = process.argv.slice(2)
const libp2p = await createLibp2p({ // it listens: answers come on streams that the other side opens, on the same connection
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] }, transports: [tcp()], connectionEncrypters: [tls()], streamMuxers: [yamux()]
})
const linkSystem = createLinkSystem()
const transfers = createDataTransfer({ libp2p, linkSystem })
await transfers.start()
const { remotePeer } = await libp2p.dial(multiaddr(address))
const ticket = { type: 'Ticket', value: { seat: Number(seat) } }
const everything = { R: { l: { depth: 10 }, ':>': { a: { '>': { '@': {} } } } } }
for await (const { cid } of transfers.pull(remotePeer, ticket, CID.parse(film), everything, { onResult: console.log })) {
  console.log(await linkSystem.load(cid))
}
await transfers.stop()
await libp2p.stop()
