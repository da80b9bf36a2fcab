import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CID } from 'multiformats/cid'
import { createPublisher } from '../../../src/index.ts'
import type { GraphsyncRequest, RequestDecision, RequestValidator } from '../../../src/shared/types/graphsync.ts'
import { createHeadServer } from '../../../src/syncers/dtsync/index.ts'
import { Manager } from '../../../src/wire/data-transfer/manager.ts'
import { decodeGraphsyncMessage } from '../../../src/wire/graphsync/message.ts'
import { gate } from '../../wire/data-transfer/kit.ts'
import { createPair } from '../../wire/nodes.ts'
import { storeOf, transcriptNames } from '../../wire/graphsync/replay.ts'
import { answersIn } from './answers.ts'
import type { Answer } from './answers.ts'
import { PARITY, said, transcriptOf } from './conversation.ts'
import type { Conversation } from './conversation.ts'
import { disconnect, Player } from './player.ts'

// Our publisher in the place of Go's, with the very bytes that Go's subscriber, or a test by hand, sent to it.

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

/** Go's validator for requests without a voucher: recursion up to a depth of 100. Our publisher has none. */
function goDefault (_peer: unknown, { selector }: GraphsyncRequest): RequestDecision | undefined {
  const depth = selector?.R?.l?.depth
  return depth != null && depth <= 100 ? { accept: true } : undefined
}

/** The load of the walk that Go's publisher was held at, until it was released. */
const HELD: Record<string, number> = {
  'cancel-channel': 2, 'cancel-ctx': 2, 'sync-close': 2, restart: 2, reconnect: 2, 'raw-dt-stream-open': 1, 'raw-two-requests': 2
}

/** Where no note says it: the messages after which it was released. */
const RELEASED_AFTER: Record<string, number> = { 'raw-two-requests': 3 }

interface Ours {
  answers: Answer[]

  /** Go's, with the difference that there is. */
  expected: Answer[]

  /** How many were sent. */
  blocks: number
  transfers: string[]
  heads: string[]
}

/** A block that comes with the metadata of two requests is of both. */
const shared = ([first, second, ...rest]: Answer[]): Answer[] => {
  const blocks = [...new Set([...first.blocks, ...second.blocks])]
  return [{ ...first, blocks }, { ...second, blocks }, ...rest]
}

const DIFFERENT: Record<string, { parity: string, answers: (go: Answer[]) => Answer[] }> = {
  'raw-bad-selector': {
    parity: 'A selector that does not compile',
    answers: go => go.map(answer => ({ ...answer, metadata: [], blocks: [] }))
  }
}

/** Without a voucher ours takes none of these. */
const WITHOUT_VOUCHER = [
  'raw-no-voucher-depth100', 'raw-no-voucher-depth101', 'raw-no-voucher-nolimit', 'raw-missing-root', 'raw-do-not-send', 'raw-bad-selector'
]
const refused = (go: Answer[]): Answer[] => go.map(({ id }) => ({ id, statuses: [30], metadata: [], blocks: [], transfers: [] }))
const REFUSED = 'Graphsync without a voucher is refused'

const EXCUSED: Record<string, string> = {
  'accept-timeout': 'no publisher of Go is in it, but a fake that says nothing',
  'head-wrong-topic': 'nothing is said: its test is below',
  'v0.7.8-http-over-libp2p': 'replayed in http-over-libp2p.test.ts'
}

async function replay (
  conversation: Conversation, plain: RequestValidator = goDefault, change = DIFFERENT[conversation.name]?.answers
): Promise<Ours> {
  const { keys, name, topic, publisherBlocks } = conversation
  await using pair = await createPair('tls', { a: keys.subscriber, b: keys.publisher })
  const { a: theirs, b: ours } = pair
  await ours.peerStore.merge(theirs.peerId, { multiaddrs: theirs.getMultiaddrs() })
  await theirs.peerStore.merge(ours.peerId, { multiaddrs: ours.getMultiaddrs() })
  const linkSystem = await storeOf(publisherBlocks)
  await using transfers = new Manager({ libp2p: ours, linkSystem })
  await transfers.start()
  transfers.graphsync.addValidator(plain)
  const head = said(conversation, 'publisher', 'head').map(bytes => text(bytes).split('\r\n\r\n')[1])[0]
  const root = head == null || head === '' ? undefined : CID.parse(head)
  await using heads = createHeadServer({ libp2p: ours }, { topic, previous: true })
  await using publisher = await createPublisher({ libp2p: ours, linkSystem, privateKey: keys.publisher }, {
    topic: name === 'previous-head-protocol' ? '/another' : topic,
    dtsync: { dataTransfer: transfers, allowPeer: () => name !== 'rejected-peer' && name !== 'raw-no-voucher-depth100' }
  })
  await publisher.setRoot(root)
  heads.root = root
  if (name === 'previous-head-protocol') { await heads.start() }
  const held = name in HELD ? publisherBlocks.at(-1 - HELD[name])?.[0] : undefined
  const { open } = held == null ? { open: () => {} } : gate(linkSystem, held, { once: name === 'restart' })
  const go = (count?: number): Answer[] => {
    const answers = answersIn(linkSystem, said(conversation, 'publisher', 'graphsync').slice(0, count).map(decodeGraphsyncMessage))
    return change?.(answers) ?? answers
  }
  const player: Player = new Player(theirs, {
    ours,
    conversation,
    side: 'subscriber',
    takesTransfers: name !== 'no-complete',
    heard: ({ wire }, n) => {
      if (wire === 'graphsync' && n > RELEASED_AFTER[name]) { open() }
      if (wire === 'graphsync') { return covers(answersIn(linkSystem, player.messages), go(n)) }
      return (wire === 'head' ? player.heads : player.transfers).length >= n
    },
    acts: {
      'connection closed by the test': async () => { await disconnect(theirs, ours) },
      released: open,
      'first request released': open
    }
  })
  await player.start()
  await player.play(new Promise(() => {}))
  await publisher.stop()
  await transfers.stop()
  await player.heardAll()
  return {
    answers: answersIn(linkSystem, player.messages),
    expected: go(),
    blocks: player.messages.reduce((sum, { blocks }) => sum + blocks.length, 0),
    transfers: player.transfers.map(hex),
    heads: player.heads
  }
}

/** Whether all that Go had said is said. */
function covers (ours: Answer[], go: Answer[]): boolean {
  return go.every(({ id, metadata, statuses, transfers }) => {
    const own = ours.find(answer => answer.id === id)
    return own != null && own.metadata.length >= metadata.length && own.statuses.length >= statuses.length &&
      own.transfers.length >= transfers.length
  })
}

/** The lines of an answer's head, the date left out, and its body. */
function linesOf (answer: string): string[] {
  const [head, body] = answer.split('\r\n\r\n')
  return [...head.split('\r\n').filter(line => !line.startsWith('Date: ')).sort(), body]
}

async function check (conversation: Conversation): Promise<void> {
  const { name } = conversation
  const { answers, expected, blocks, transfers, heads } = await replay(conversation)
  const compared = name === 'raw-two-requests' ? shared : (all: Answer[]) => all
  deepEqual(compared(answers), compared(expected), 'answers')
  if (!(name in DIFFERENT)) {
    const go = said(conversation, 'publisher', 'graphsync').map(decodeGraphsyncMessage)
    equal(blocks, go.reduce((sum, message) => sum + message.blocks.length, 0), 'blocks sent')
  }
  deepEqual(transfers, said(conversation, 'publisher', 'transfer').map(hex), 'data transfer')
  const goHeads = said(conversation, 'publisher', 'head').map(bytes => linesOf(text(bytes)))
  deepEqual(heads.map(answer => linesOf(answer).filter(line => line !== CLOSE)), goHeads, 'heads')
  for (const answer of heads) { ok(linesOf(answer).includes(CLOSE)) }
}

const CLOSE = 'Connection: close'
const CLOSES = 'the server closes after each answer unless asked for that'

describe('dtsync: our publisher, against recorded Go subscribers', () => {
  for (const name of transcriptNames.filter(name => !(name in EXCUSED))) {
    it(name, async () => { await check(await transcriptOf(name)) })
  }

  it('head-wrong-topic: neither protocol is spoken', async () => {
    const { events, topic, keys } = await transcriptOf('head-wrong-topic')
    await using pair = await createPair('tls', { a: keys.subscriber, b: keys.publisher })
    const { a: theirs, b: ours } = pair
    await using publisher = await createPublisher({ libp2p: ours, linkSystem: await storeOf([]), privateKey: keys.publisher }, { topic })
    equal(publisher.id.equals(ours.peerId), true)
    const failed = events.filter(({ event }) => event === 'open-failed').map(({ protocol }) => protocol.slice(1, -1))
    equal(failed.length, 2)
    for (const protocol of failed) {
      await rejects(theirs.dialProtocol(ours.peerId, protocol), { name: 'UnsupportedProtocolError' })
    }
  })

  for (const name of WITHOUT_VOUCHER) {
    it(`${name}: refused, where no validator of one's own takes it`, async () => {
      const { answers, expected, blocks } = await replay(await transcriptOf(name), () => undefined, refused)
      deepEqual(answers, expected)
      equal(blocks, 0)
    })
  }

  it('excuses what is there, and nothing twice', () => {
    for (const name of Object.keys({ ...EXCUSED, ...DIFFERENT, ...HELD })) { ok(transcriptNames.includes(name), name) }
  })

  it('has a sentence of the parity notes for each difference', () => {
    const sentences = [...Object.values(DIFFERENT).map(({ parity }) => parity), REFUSED, CLOSES]
    for (const sentence of sentences) { ok(PARITY.includes(sentence), sentence) }
  })
})
