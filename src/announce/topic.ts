import { blake2b } from '@noble/hashes/blake2.js'

/** How a pubsub service is set up for a dagsync topic; @libp2p/gossipsub takes it. */
export interface GossipsubInit {
  globalSignaturePolicy: 'StrictSign'
  msgIdFn(message: { data: Uint8Array }): Uint8Array
  doPX: boolean
  floodPublish: boolean
  directConnectTicks: number
  allowPublishToZeroTopicPeers: boolean
}

/**
 * Settings of a dagsync topic as Go peers have them: `gossipsub(gossipsubInit())`. A message's id is the blake2b-256 of its
 * data alone; with another function a node hears everything twice. Go: announce/gossiptopic.MakeTopic.
 */
export function gossipsubInit (): GossipsubInit {
  return {
    globalSignaturePolicy: 'StrictSign',
    msgIdFn: ({ data }) => blake2b(data, { dkLen: 32 }),
    doPX: true,
    floodPublish: true,
    directConnectTicks: 30,
    allowPublishToZeroTopicPeers: true
  }
}
