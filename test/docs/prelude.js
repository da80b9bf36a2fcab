// What the programs in the documentation take as given. Loaded before each of them; `end()` is called behind it.
import { createServer } from 'node:http'
import { once } from 'node:events'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { MemoryBlockstore } from 'blockstore-core'
import { createLinkSystem, createPublisher } from 'dagsync'
import { MemoryDatastore } from 'datastore-core'

const source = createLinkSystem()
let head
for (let Index = 0; Index < 3; Index++) {
  const Entries = await source.store({ Entries: [Index, 'a', 'b'] })
  head = await source.store({ Index, Entries, ...(head == null ? {} : { PreviousID: head }) })
}
const privateKey = await generateKeyPair('Ed25519')
const published = await createPublisher({ linkSystem: source, privateKey }, { root: head, http: { listen: '127.0.0.1:0' } })
const indexer = createServer((request, response) => { request.resume().on('end', () => { response.writeHead(204).end() }) })
indexer.listen(0, '127.0.0.1')
await once(indexer, 'listening')

Object.assign(globalThis, {
  blockstore: new MemoryBlockstore(),
  datastore: new MemoryDatastore(),
  linkSystem: createLinkSystem(),
  privateKey: await generateKeyPair('Ed25519'),
  publisher: { id: published.id, multiaddrs: published.addrs() },
  head,
  indexer: `http://127.0.0.1:${indexer.address().port}`,
  end: async () => {
    await published.stop()
    indexer.close()
    indexer.closeAllConnections()
  }
})
