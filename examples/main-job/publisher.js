// Publishes a chain of advertisements, then adds to it in steps and announces each new head over gossipsub.
import { generateKeyPair } from '@libp2p/crypto/keys'
import { createPublisher } from 'dagsync'
import { setTimeout } from 'node:timers/promises'
import { createNode, openStores, TOPIC } from './node.js'

const FIRST = 500
const STEPS = 10
const PER_STEP = 10

const [folder, option] = process.argv.slice(2)
const overHttp = option === '--http'
const privateKey = await generateKeyPair('Ed25519')
const node = await createNode(privateKey)
const { linkSystem, datastore, close } = await openStores(folder)
const publisher = await createPublisher({ libp2p: node, linkSystem, privateKey, datastore }, {
  topic: TOPIC, ...(overHttp ? { http: { listen: '127.0.0.1:0' }, dtsync: false } : {})
})
let length = 0

/** Stores the next advertisements of the chain; the last one is its new head. */
async function advertise (count) {
  let head = publisher.root
  for (const end = length + count; length < end; length++) {
    const ad = { Index: length, Payload: crypto.getRandomValues(new Uint8Array(500)), ...(head == null ? {} : { PreviousID: head }) }
    head = await linkSystem.store(ad)
  }
  return head
}

try {
  await publisher.setRoot(await advertise(FIRST))
  console.log(`publisher   ${publisher.id} has ${length} blocks at ${publisher.addrs()[0]}`)
  process.send?.({
    address: [`${node.getMultiaddrs()[0]}`, ...publisher.addrs().map(addr => `${addr}/p2p/${publisher.id}`)].join(),
    total: `${FIRST + STEPS * PER_STEP}`
  })

  const subscribed = AbortSignal.timeout(30_000)
  while (node.services.pubsub.getSubscribers(TOPIC).length === 0) { await setTimeout(50, undefined, { signal: subscribed }) }

  for (let step = 0; step < STEPS; step++) {
    const [{ recipients }] = await publisher.updateRoot(await advertise(PER_STEP))
    console.log(`publisher   ${length} blocks, announced to ${recipients}`)
    await setTimeout(200)
  }

  // The subscriber leaves when it has all of them.
  const gone = AbortSignal.timeout(60_000)
  while (node.services.pubsub.getSubscribers(TOPIC).length > 0) { await setTimeout(50, undefined, { signal: gone }) }
} finally {
  await publisher.stop()
  await node.stop()
  await close()
  process.disconnect?.()
}
