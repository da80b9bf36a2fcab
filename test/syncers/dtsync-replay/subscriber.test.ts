import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Libp2p } from '@libp2p/interface'
import { CID } from 'multiformats/cid'
import { createSubscriber } from '../../../src/index.ts'
import type { DataTransferInit } from '../../../src/shared/types/data-transfer.ts'
import type { LinkSystem } from '../../../src/shared/types.ts'
import { DtsyncClient } from '../../../src/syncers/dtsync/client.ts'
import { queryHead } from '../../../src/syncers/dtsync/index.ts'
import { DtsyncSyncer } from '../../../src/syncers/dtsync/sync.ts'
import { Manager } from '../../../src/wire/data-transfer/manager.ts'
import { createPair } from '../../wire/nodes.ts'
import { digestsOf, storedIn, storeOf, transcriptNames, withId } from '../../wire/graphsync/replay.ts'
import { fakePublisherCase, fakePublisherNames, PARITY, said, transcriptOf } from './conversation.ts'
import type { Conversation, Wire } from './conversation.ts'
import { DIFFERENT } from './differences.ts'
import type { Difference } from './differences.ts'
import { Player } from './player.ts'
import { newRequests, told, transferIdOf } from './requests.ts'

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')


class Aborted extends Error { override name = 'Aborted' }

/** Times that Go's tests waited for, or that nobody wants to wait for. */
const INIT: Record<string, DataTransferInit> = {
  'accept-timeout': { acceptTimeout: 200 },
  restart: { restartDebounce: 50 },
  reconnect: { restartDebounce: 60_000 },
  'reset of the response stream': { restartDebounce: 50, acceptTimeout: 300 },
  'status 10 after accept': { stallTimeout: 300 },
  'status 15 after accept': { stallTimeout: 300 }
}

/** The names of our errors where Go fails too; TransferFailedError where nothing is said. */
const ERRORS: Array<[RegExp, string]> = [
  [/response rejected/, 'TransferRejectedError'],
  [/content not found|remote peer is missing block/, 'ContentNotFoundError'],
  [/unknown response status code: 30/, 'TransferRejectedError'],
  [/protocols not supported/, 'HeadQueryError']
]

interface Ours {
  error?: any
  hook: string[]
  local: LinkSystem
  player: Player
}

/** Go's bytes with the ids that our requests have. */
function translator (conversation: Conversation, player: () => Player): (bytes: Uint8Array) => Uint8Array {
  const go = newRequests(said(conversation, 'subscriber', 'graphsync'))
  return bytes => {
    for (const [i, ours] of newRequests(player().received.map(message => message.bytes)).entries()) {
      if (go[i] == null) { continue }
      bytes = withId(withId(bytes, go[i].id, ours.id), transferIdOf(go[i]), transferIdOf(ours))
    }
    return bytes
  }
}

type Drive = (
  conversation: Conversation, parts: { ours: Libp2p, theirs: Libp2p, local: LinkSystem, transfers: Manager, onBlock: (cid: CID) => void, signal: AbortSignal }
) => Promise<void>

/** As Go's test did: the syncer alone where it asked for no head. */
const drive: Drive = async (conversation, { ours, theirs, local, transfers, onBlock, signal }) => {
  const { topic, name } = conversation
  const [head] = said(conversation, 'publisher', 'head').map(text)
  const [request] = newRequests(said(conversation, 'subscriber', 'graphsync'))
  const stopped = request?.selector?.R?.['!']?.['/']
  if (name === 'previous-head-protocol') {
    equal(String(await queryHead({ libp2p: ours }, theirs.peerId, topic, { signal })), head.split('\r\n\r\n')[1])
    return
  }
  if (request == null || head != null) {
    const previous = new Map(conversation.publisherBlocks.map(([cid], i, all) => [cid.toString(), all[i - 1]?.[0]]))
    await using subscriber = await createSubscriber({ libp2p: ours, linkSystem: local }, {
      topic: name === 'head-wrong-topic' ? '/other/topic' : topic,
      dataTransfer: transfers,
      segmentDepthLimit: name === 'segmented' ? 2 : false,
      blockHook: (_peer, cid, { setNextSyncCid }) => {
        onBlock(cid)
        setNextSyncCid(previous.get(cid.toString()))
      }
    })
    if (name === 'already-synced') { await subscriber.setLatestSync(theirs.peerId, CID.parse(conversation.root as string)) }
    if (stopped != null) { await subscriber.setLatestSync(theirs.peerId, stopped) }
    const cid = await subscriber.sync({ id: theirs.peerId, multiaddrs: theirs.getMultiaddrs() }, { signal })
    equal(cid?.toString() ?? '', head.split('\r\n\r\n')[1])
    return
  }
  const client = new DtsyncClient(ours, { topic, dataTransfer: transfers })
  const syncer = new DtsyncSyncer({ linkSystem: local, libp2p: ours, client }, { peerId: theirs.peerId, topic, stallTimeout: INIT[name]?.stallTimeout })
  try {
    await syncer.sync(request.root as CID, request.selector as any, { signal, onBlock: ({ cid }) => { onBlock(cid) } })
  } finally {
    await client.stop()
  }
}

async function replay (conversation: Conversation): Promise<Ours> {
  const { keys, subscriberBlocks, name } = conversation
  await using pair = await createPair('tls', { a: keys.subscriber, b: keys.publisher })
  const { a: ours, b: theirs } = pair
  await theirs.peerStore.merge(ours.peerId, { multiaddrs: ours.getMultiaddrs() })
  await ours.peerStore.merge(theirs.peerId, { multiaddrs: theirs.getMultiaddrs() })
  const local = await storeOf(subscriberBlocks)
  await using transfers = new Manager({ libp2p: ours, linkSystem: local }, INIT[name])
  await transfers.start()
  const controller = new AbortController()
  const hook: string[] = []
  const player: Player = new Player(theirs, ours.peerId, {
    conversation,
    side: 'publisher',
    translate: translator(conversation, () => player),
    heard: ({ wire }, n) => ({ graphsync: player.received, transfer: player.transfers, head: player.heads })[wire as Wire].length >= n,
    hooks: () => hook.length,
    acts: {
      'connection closed by the test': async () => { await theirs.hangUp(ours.peerId) },
      'Sync.Close called': async () => { await transfers.stop() },
      'ctx cancelled': () => { controller.abort(new Aborted()) },
      'CloseDataTransferChannel called': () => { controller.abort(new Aborted()) }
    }
  })
  await player.start()
  const running = drive(conversation, {
    ours,
    theirs,
    local,
    transfers,
    signal: controller.signal,
    onBlock: cid => {
      hook.push(cid.toString())
      player.poke()
    }
  }).then(() => undefined, error => error)
  await player.play(running)
  const error = await running
  await transfers.stop()
  await player.heardAll(ours)
  return { error, hook, local, player }
}

async function check (conversation: Conversation): Promise<void> {
  const { name } = conversation
  const difference: Difference = DIFFERENT[name] ?? { parity: [] }
  const { error, hook, local, player } = await replay(conversation)
  const expected = 'error' in difference || conversation.error === ''
    ? difference.error
    : ERRORS.find(([pattern]) => pattern.test(conversation.error))?.[1] ?? 'TransferFailedError'
  equal(error?.name, expected, error?.stack)
  const same = (go: string[]): string[] => go
  deepEqual(hook, (difference.hook ?? same)(conversation.hook), 'hook calls')
  deepEqual(await storedIn(local), digestsOf((difference.stored ?? same)(conversation.stored, hook)), 'stored blocks')
  const go = told(said(conversation, 'subscriber', 'graphsync'), said(conversation, 'subscriber', 'transfer'))
  const own = told(player.received.map(({ bytes }) => bytes), player.transfers)
  const expectedRequests = (difference.requests ?? same)(go.requests)
  deepEqual(own.requests.map((request, i) => expectedRequests[i]?.includes(':') ? request : request.split(':')[0]), expectedRequests, 'graphsync')
  deepEqual(own.transfers, (difference.transfers ?? same)(go.transfers), 'data transfer')
}

const REPLAYED = transcriptNames.filter(name => !name.startsWith('raw-') && !name.startsWith('v0.7.8'))

describe('dtsync: our subscriber, against recorded Go publishers', () => {
  for (const name of REPLAYED) {
    it(name, async () => { await check(await transcriptOf(name)) })
  }
})

describe('dtsync: our subscriber, against a fake publisher that a Go subscriber met', () => {
  for (const name of fakePublisherNames) {
    it(name, async () => { await check(await fakePublisherCase(name)) })
  }
})
