// A publisher tells an indexer of its new head by an HTTP request; the indexer hands it to its subscriber, which syncs.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { createLinkSystem, createPublisher, createSubscriber } from 'dagsync'
import { decodeAnnounce, httpSender, messageAddrs } from 'dagsync/announce'
import { parsePeers } from 'dagsync/multiaddr'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'

const MAX_SIZE = 1024 * 1024 // decodeAnnounce() reads no more

/** Anybody may send: what is too long is not held. */
async function readBody (request) {
  const parts = []
  let size = 0
  for await (const part of request) {
    size += part.length
    if (size > MAX_SIZE) { throw new Error('the message is too long') }
    parts.push(part)
  }
  return Buffer.concat(parts)
}

// The indexer: a subscriber with a receiver, and a server that takes announcements. On a public network: receiver: { filterIPs: true }.
const subscriber = await createSubscriber({ linkSystem: createLinkSystem() }, { receiver: {} })
const indexer = createServer(async (request, response) => {
  try {
    const message = decodeAnnounce(await readBody(request))
    const [publisher] = parsePeers(messageAddrs(message).map(String)) // over HTTP every address ends with the publisher's id
    await subscriber.announce(message.cid, publisher)
    response.writeHead(204).end()
  } catch (error) {
    response.writeHead(400).end(error.message)
  }
})
indexer.listen(0, '127.0.0.1')
await once(indexer, 'listening')

// The publisher, with a sender for that indexer.
const linkSystem = createLinkSystem()
const privateKey = await generateKeyPair('Ed25519')
const sender = httpSender({ urls: [`http://127.0.0.1:${indexer.address().port}`], peerId: peerIdFromPrivateKey(privateKey) })
const publisher = await createPublisher({ linkSystem, privateKey }, { http: { listen: '127.0.0.1:0' }, senders: [sender] })

const finished = subscriber.onSyncFinished({ signal: AbortSignal.timeout(10_000) })
try {
  await publisher.updateRoot(await linkSystem.store({ hello: 'indexer' }))
  const { value: { cid, count, error } } = await finished.next()
  if (error != null) { throw error }
  console.log(`the indexer has ${cid}, ${count} block`)
} finally {
  await publisher.stop()
  await subscriber.stop()
  indexer.close()
}
