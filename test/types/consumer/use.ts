// A program as a user writes it, checked with lib ES2022 and no @types/node: it has to compile, and never runs.
import { createLinkSystem, createPublisher, createSubscriber, DagsyncError, HttpStatusError, type BlockHook, type LinkSystem, type SyncFinished } from 'dagsync'
import { decodeAnnounce, gossipSender, httpSender, Receiver, sendAnnounce, type Announce } from 'dagsync/announce'
import { multiaddrToUrl, parsePeers } from 'dagsync/multiaddr'
import { dagsyncSelector, recursionLimitNone, walk } from 'dagsync/selector'
import { encodeSignedHead, openSignedHead } from 'dagsync/signed-head'
import { createHttpSyncer, type Syncer } from 'dagsync/syncer'
import { chain, TestNet } from 'dagsync/testing'
import type { PeerInfo, PrivateKey } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'

const linkSystem: LinkSystem = createLinkSystem()

const blockHook: BlockHook = async (publisher, cid, actions) => {
  const { PreviousID } = await linkSystem.load<{ PreviousID?: CID }>(cid)
  actions.setNextSyncCid(PreviousID)
}

export async function subscribe (publisher: PeerInfo): Promise<CID | undefined> {
  const subscriber = await createSubscriber({ linkSystem }, { blockHook, segmentDepthLimit: 100, receiver: { filterIPs: true } })
  try {
    const head = await subscriber.sync(publisher, {
      onProgress (event) { if (event.type === 'dagsync:block') { const bytes: number = event.detail.bytes; void bytes } }
    })
    for await (const { cid, count, error } of subscriber.onSyncFinished()) {
      const finished: SyncFinished = { cid, count, error, peerId: publisher.id }
      void finished
    }
    return head
  } catch (error) {
    if (error instanceof HttpStatusError) { const status: number = error.status; void status }
    if (error instanceof DagsyncError) { const code: string = error.code; void code }
    throw error
  } finally {
    await subscriber.stop()
  }
}

export async function publish (privateKey: PrivateKey): Promise<void> {
  await using publisher = await createPublisher({ linkSystem, privateKey }, { http: { listen: '127.0.0.1:0' }, senders: [] })
  const results = await publisher.updateRoot(await linkSystem.store({ hello: 'world' }))
  const failed: Array<Error | undefined> = results.map(({ error }) => error)
  void failed
}

export async function parts (root: CID, publisher: PeerInfo, privateKey: PrivateKey): Promise<void> {
  const [{ id, multiaddrs }] = parsePeers(['/ip4/127.0.0.1/tcp/3104/http/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp'])
  const url: string = multiaddrToUrl(multiaddrs[0]).href
  const { signer } = await openSignedHead(await encodeSignedHead(root, privateKey))
  const syncer: Syncer = createHttpSyncer({ linkSystem }, { peerId: signer, addrs: publisher.multiaddrs })
  await syncer.sync(root, dagsyncSelector(recursionLimitNone))
  for await (const { cid, bytes } of walk(root, dagsyncSelector(recursionLimitNone), async () => new Uint8Array())) { void [cid, bytes] }
  const receiver = new Receiver({})
  const announce: Announce = await receiver.next()
  const sender = httpSender({ urls: [url], peerId: id })
  await sendAnnounce(announce.cid, announce.addrs, [sender])
  void [decodeAnnounce, gossipSender]
  await chain(linkSystem, 3, { payload: 10 })
  await using net = new TestNet()
  void net
}
