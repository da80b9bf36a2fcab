import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { createDataTransfer, createLinkSystem } from 'dagsync/data-transfer'

const libp2p = await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] }, transports: [tcp()], connectionEncrypters: [tls()], streamMuxers: [yamux()]
})
const linkSystem = createLinkSystem()
const scenes = await Promise.all(['dawn', 'noon', 'dusk'].map(title => linkSystem.store({ title })))
const film = await linkSystem.store({ scenes })

const transfers = createDataTransfer({ libp2p, linkSystem })
transfers.addVoucherType('Ticket', (peer, { seat }, root) => seat === 7 && root.equals(film)
  ? { accept: true, result: { row: 1 }, resultType: 'Usher' }
  : { accept: false })
await transfers.start()
console.log(`${libp2p.getMultiaddrs()[0]} ${film}`)
