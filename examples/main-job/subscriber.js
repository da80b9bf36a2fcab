// Catches up with the publisher, then follows its announcements until it has as many blocks as it was told to wait for.
import { multiaddr } from '@multiformats/multiaddr'
import { createSubscriber } from 'dagsync'
import { createNode, openStores, TOPIC } from './node.js'

const [folder, addresses, total] = process.argv.slice(2)
const addrs = addresses.split(',').map(multiaddr) // the node's first
const started = performance.now()
const node = await createNode()
const { linkSystem, datastore, close } = await openStores(folder)
let blocks = 0
let bytes = 0

/** Called for each block when it is verified and stored, oldest last; an indexer would do its work here. */
async function blockHook (publisher, cid) {
  for await (const chunk of linkSystem.blockstore.get(cid)) { bytes += chunk.length }
  if (++blocks % 100 === 0) { report(`at ${cid}`) }
}

function report (text) {
  console.log(`subscriber  ${text}: ${blocks} of ${total} blocks`)
}

// On a public network: receiver: { filterIPs: true }, with allowPeer where the publishers are known.
const subscriber = await createSubscriber({ libp2p: node, linkSystem, datastore }, { topic: TOPIC, receiver: {}, blockHook })
try {
  const signal = AbortSignal.timeout(60_000)
  const finished = subscriber.onSyncFinished({ signal })
  await node.dial(addrs[0], { signal })

  await subscriber.sync(addrs, { signal })
  for await (const { cid, count, error } of finished) {
    if (error != null) { throw error }
    report(`synced ${count} to ${cid}`)
    if (blocks >= Number(total)) { break }
  }
  if (blocks !== Number(total)) { throw new Error(`only ${blocks} of ${total} blocks came`) }
} finally {
  await subscriber.stop()
  await node.stop()
  await close()
  process.disconnect?.()
}
const seconds = (performance.now() - started) / 1000
console.log(`done: ${blocks} blocks, ${bytes} bytes, ${seconds.toFixed(2)} s`)
