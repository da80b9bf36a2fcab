import { generateKeyPair } from '@libp2p/crypto/keys'
import { createLinkSystem, createPublisher } from 'dagsync'

const linkSystem = createLinkSystem()
const privateKey = await generateKeyPair('Ed25519')
const publisher = await createPublisher({ linkSystem, privateKey }, { http: { listen: process.argv[2] ?? '127.0.0.1:3104' } })

const first = await linkSystem.store({ hello: 'world' })
await publisher.updateRoot(await linkSystem.store({ hello: 'again', PreviousID: first }))
console.log(`${publisher.addrs()[0]}/p2p/${publisher.id}`)
