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
import { DATA_TRANSFER_EXTENSION } from '../../../src/wire/data-transfer/constants.ts'
import { messageFromNode } from '../../../src/wire/data-transfer/message.ts'
import { createPair } from '../../wire/nodes.ts'
import { digestsOf, storedIn, storeOf, transcriptNames, withId } from '../../wire/graphsync/replay.ts'
import { fakePublisherCase, fakePublisherNames, PARITY, said, transcriptOf } from './conversation.ts'
import type { Conversation, Wire } from './conversation.ts'
import { DIFFERENT } from './differences.ts'
import type { Difference } from './differences.ts'
import { disconnect, Player } from './player.ts'
import { isOfTransfer, newRequests, told, transferIdOf } from './requests.ts'

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

/** Not replayed here, and why. */
const EXCUSED: Record<string, string> = { 'v0.7.8-http-over-libp2p': 'replayed in http-over-libp2p.test.ts' }

/** Requests that no subscriber of Go's makes. What our parts can ask for they ask; else why they cannot. */
const BY_HAND: Record<string, { error?: string } | string> = {
  'raw-no-voucher-depth100': {},
  'raw-no-voucher-depth101': { error: 'TransferRejectedError' },
  'raw-no-voucher-nolimit': { error: 'TransferRejectedError' },
  'raw-missing-root': { error: 'ContentNotFoundError' },
  'raw-null-head': { error: 'TransferRejectedError' },
  'raw-unknown-voucher': { error: 'TransferRejectedError' },
  'raw-bad-selector': 'is not sent: InvalidSelectorError',
  'raw-cancel-update-unknown': 'we cancel what we have asked for, and send no updates',
  'raw-do-not-send': 'the blocks that it says to have are not there',
  'raw-dt-stream-open': 'what is cancelled is cancelled by graphsync too',
  'raw-head-differs': 'our root is one for both protocols',
  'raw-push': 'we pull',
  'raw-restart-unknown': 'what is restarted has been accepted before',
  'raw-same-transfer-id': 'an id is used once',
  'raw-two-requests': 'two at a time carry dedup-by-key'
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
      bytes = withId(bytes, go[i].id, ours.id)
      if (isOfTransfer(ours)) { bytes = withId(bytes, transferIdOf(go[i]), transferIdOf(ours)) }
    }
    return bytes
  }
}

type Drive = (
  conversation: Conversation,
  parts: { ours: Libp2p, theirs: Libp2p, local: LinkSystem, transfers: Manager, onBlock: (cid: CID) => void, signal: AbortSignal }
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
  if (name in BY_HAND) {
    const { root, selector, extensions } = request as { root: CID, selector: any, extensions?: Record<string, any> }
    const transfer = extensions == null ? undefined : messageFromNode(extensions[DATA_TRANSFER_EXTENSION])
    const blocks = transfer != null && 'request' in transfer
      ? transfers.pull(theirs.peerId, { type: transfer.request.voucherType, value: transfer.request.voucher }, root, selector, { signal })
      : transfers.graphsync.request(theirs.peerId, root, selector, { signal })
    for await (const block of blocks) { onBlock(block.cid) }
    return
  }
  if (request == null || head != null) {
    const previous = new Map(conversation.publisherBlocks.map(([cid], i, all) => [cid.toString(), all[i - 1]?.[0]]))
    await using subscriber = await createSubscriber({ libp2p: ours, linkSystem: local }, {
      topic: name === 'head-wrong-topic' ? '/other/topic' : topic,
      transports: ['dtsync'], // with more than one the peer is first asked what it speaks
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
  const stallTimeout = INIT[name]?.stallTimeout
  const syncer = new DtsyncSyncer({ linkSystem: local, libp2p: ours, client }, { peerId: theirs.peerId, topic, stallTimeout })
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
  const player: Player = new Player(theirs, {
    ours,
    conversation,
    side: 'publisher',
    translate: translator(conversation, () => player),
    heard: ({ wire }, n) => ({ graphsync: player.received, transfer: player.transfers, head: player.heads })[wire as Wire].length >= n,
    hooks: () => hook.length,
    acts: {
      'connection closed by the test': async () => { await disconnect(theirs, ours) },
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
  await player.heardAll()
  return { error, hook, local, player }
}

const withoutHeaders = (request: string): string => request.split('\r\n')[0]
const headersOf = (request: string): string[] => request.trim().split('\r\n').slice(1).map(line => line.split(':')[0])
const HEAD = 'The head is asked with `Connection: keep-alive` on a kept stream, the peer id as Host, our User-Agent and no Accept-Encoding'

async function check (conversation: Conversation): Promise<void> {
  const { name } = conversation
  const difference: Difference = DIFFERENT[name] ?? { parity: [] }
  const { error, hook, local, player } = await replay(conversation)
  const expected = 'error' in difference || conversation.error === ''
    ? difference.error
    : ERRORS.find(([pattern]) => pattern.test(conversation.error))?.[1] ?? 'TransferFailedError'
  equal(error?.name, expected, error?.stack)
  ok(!conversation.error.includes('deadline') || name in DIFFERENT, 'what Go waits for is named')
  const same = (go: string[]): string[] => go
  deepEqual(hook, (difference.hook ?? same)(conversation.hook), 'hook calls')
  deepEqual(await storedIn(local), digestsOf((difference.stored ?? same)(conversation.stored, hook)), 'stored blocks')
  const go = told(said(conversation, 'subscriber', 'graphsync'), said(conversation, 'subscriber', 'transfer'))
  const own = told(player.received.map(({ bytes }) => bytes), player.transfers)
  const expectedRequests = (difference.requests ?? same)(go.requests)
  deepEqual(own.requests.map((request, i) => expectedRequests[i]?.includes(':') ? request : request.split(':')[0]), expectedRequests, 'graphsync')
  deepEqual(player.heads.map(withoutHeaders), said(conversation, 'subscriber', 'head').map(text).map(withoutHeaders), 'head')
  for (const request of player.heads) { deepEqual(headersOf(request), ['Host', 'Connection', 'User-Agent']) }
  deepEqual(own.transfers, (difference.transfers ?? same)(go.transfers), 'data transfer')
}

const REPLAYED = transcriptNames.filter(name => !name.startsWith('raw-') && !(name in EXCUSED))

describe('dtsync: our subscriber, against recorded Go publishers', () => {
  for (const name of REPLAYED) {
    it(name, async () => { await check(await transcriptOf(name)) })
  }

  it('leaves out what is named, and nothing else', () => {
    deepEqual([...REPLAYED, ...Object.keys(EXCUSED), ...Object.keys(BY_HAND)].sort(), [...transcriptNames].sort())
  })
})

describe('dtsync: our subscriber, against a fake publisher that a Go subscriber met', () => {
  for (const name of fakePublisherNames) {
    it(name, async () => { await check(await fakePublisherCase(name)) })
  }
})

describe('dtsync: our subscriber, against what Go publishers said to requests made by hand', () => {
  for (const [name, expected] of Object.entries(BY_HAND)) {
    if (typeof expected === 'string') { continue }
    it(name, async () => {
      const conversation = await transcriptOf(name)
      const { error, hook, local, player } = await replay(conversation)
      equal(error?.name, expected.error, error?.stack)
      const given = expected.error == null ? conversation.publisherBlocks.map(([cid]) => cid.toString()).reverse() : []
      deepEqual(hook, given)
      deepEqual(await storedIn(local), digestsOf(given))
      const go = told(said(conversation, 'subscriber', 'graphsync'), [])
      deepEqual(told(player.received.map(({ bytes }) => bytes), []), go)
    })
  }
})

describe('dtsync: the differences of our subscriber', () => {
  it('are sentences of the parity notes', () => {
    for (const sentence of [...Object.values(DIFFERENT).flatMap(({ parity }) => parity), HEAD]) { ok(PARITY.includes(sentence), sentence) }
  })

  it('are those of what is replayed', () => {
    for (const name of Object.keys({ ...DIFFERENT, ...INIT })) { ok(REPLAYED.includes(name) || fakePublisherNames.includes(name), name) }
  })
})
