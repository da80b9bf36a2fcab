import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { LevelBlockstore } from 'blockstore-level'
import { createLinkSystem, gossipsubInit } from 'dagsync'
import { LevelDatastore } from 'datastore-level'
import { createLibp2p } from 'libp2p'
import { join } from 'node:path'

export const TOPIC = '/indexer/ingest/example'

/** A libp2p node that hears and sends announcements as Go peers do. */
export async function createNode (privateKey) {
  return createLibp2p({
    privateKey,
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [tls(), noise()],
    streamMuxers: [yamux()],
    services: { identify: identify(), pubsub: gossipsub(gossipsubInit()) }
  })
}

/** Blocks, and what dagsync has to remember, on disk. */
export async function openStores (folder) {
  const blockstore = new LevelBlockstore(join(folder, 'blocks'))
  const datastore = new LevelDatastore(join(folder, 'data'))
  await blockstore.open()
  await datastore.open()
  return {
    linkSystem: createLinkSystem({ blockstore }),
    datastore,
    async close () {
      await blockstore.close()
      await datastore.close()
    }
  }
}
