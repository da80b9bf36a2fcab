import { deepEqual, equal } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CID } from 'multiformats/cid'
import type { LinkSystem } from '../../../src/shared/types.ts'
import { DO_NOT_SEND_FIRST_BLOCKS } from '../../../src/wire/graphsync/constants.ts'
import { Exchange } from '../../../src/wire/graphsync/exchange.ts'
import { createPair } from '../nodes.ts'
import { everything, outcome } from './kit.ts'
import { RawPeer } from './raw-peer.ts'
import { digestsOf, exchanges, fakePublisherCases, storedIn, storeOf, transcript, withId } from './replay.ts'
import type { Recording } from './replay.ts'

// Our requestor in the place of Go's, against what a publisher said then.

/** How a request ends here, where graphsync alone decides otherwise than Go with data transfer did, or Go hangs. */
const DIFFERENT: Record<string, string | undefined> = {
  // without data transfer there is no Complete to wait for, no voucher to be refused
  'accept, no complete': undefined,
  'complete rejected': undefined,
  'wrong transfer id': undefined,
  'missing-leaf-local': undefined,
  'no-complete': undefined,
  'dt rejected': 'StalledError',
  'dt cancel response': 'StalledError',
  // Go waits for ever
  'frame too large': 'TransferFailedError',
  'undecodable message': 'TransferFailedError',
  'reset of the response stream': 'TransferFailedError',
  'status 10 after accept': 'StalledError',
  'status 15 after accept': 'StalledError',
  'status 35 after accept': 'TransferFailedError'
}

/** The names of our errors, where Go fails too. */
const ERRORS: Record<string, string> = {
  'status 30 after accept': 'TransferRejectedError',
  'status 34 after accept': 'ContentNotFoundError',
  missing: 'ContentNotFoundError',
  'metadata short': 'ContentNotFoundError',
  'missing-root': 'ContentNotFoundError',
  'missing-middle': 'ContentNotFoundError',
  'missing-middle-local': 'ContentNotFoundError',
  'blocks without metadata': 'ContentNotFoundError'
}

interface Replayed {
  cids: string[]
  error?: any
  local: LinkSystem
  messages: Uint8Array[]
}

async function replay (recording: Recording): Promise<Replayed> {
  await using pair = await createPair()
  const local = await storeOf(recording.subscriberBlocks)
  const requestor = new Exchange({ libp2p: pair.a, linkSystem: local })
  await requestor.start()
  const publisher = new RawPeer(pair.b, pair.a.peerId)
  await publisher.start()
  const cids: string[] = []
  let error: any
  for (const [i, { request, answers }] of exchanges(recording).entries()) {
    const { [DO_NOT_SEND_FIRST_BLOCKS]: _, ...extensions } = request.extensions ?? {}
    const options = { extensions, stallTimeout: 300 }
    const running = outcome(requestor.request(pair.b.peerId, request.root as CID, request.selector as any, options))
    const { requests: [ours] } = await publisher.message(i)
    for (const { event, stream, bytes } of answers) {
      if (event === 'write') { await publisher.sendBytes(withId(bytes, request.id, ours.id), stream) }
      if (event === 'close') { await (await publisher.stream(stream)).close() }
      if (event === 'reset') {
        await new Promise(resolve => { setTimeout(resolve, 50) })
        ;(await publisher.stream(stream)).abort(new Error('played'))
      }
    }
    const ended = await running
    cids.push(...ended.cids)
    error ??= ended.error
  }
  const messages = publisher.received.map(({ bytes }) => bytes)
  await requestor.stop()
  return { cids, error, local, messages }
}

async function check (recording: Recording): Promise<void> {
  const { cids, error, local, messages } = await replay(recording)
  const expected = recording.name in DIFFERENT
    ? DIFFERENT[recording.name]
    : recording.error === '' ? undefined : ERRORS[recording.name] ?? 'TransferFailedError'
  equal(error?.name, expected, error?.stack)
  if (recording.name !== 'wrong transfer id') { deepEqual(cids, recording.hook, 'blocks in the order of the walk') }
  if (recording.stored.length > 0 && recording.name !== 'wrong transfer id') {
    deepEqual(await storedIn(local), digestsOf(recording.stored), 'stored blocks')
  }
  for (const [i, { request, bytes }] of exchanges(recording).entries()) {
    const ours = messages.filter(message => message.length > 100)[i]
    deepEqual(ours, withId(bytes, request.id, idOf(ours, bytes, request.id)), 'the same request, but for its id')
  }
}

/** Where the id stands in a recorded message it stands in ours. */
function idOf (ours: Uint8Array, recorded: Uint8Array, id: Uint8Array): Uint8Array {
  const at = Buffer.from(recorded).indexOf(id)
  return ours.subarray(at, at + 16)
}

describe('requestor, against recorded Go publishers', () => {
  for (const name of [
    'success', 'events', 'stop-link', 'partly-local', 'duplicates', 'dedup-key', 'segmented', 'missing-root', 'missing-middle',
    'missing-middle-local', 'missing-leaf-local', 'rejected-peer', 'no-complete'
  ]) {
    it(name, async () => { await check(transcript(name)) })
  }

  it('all-local: nothing is asked', async () => {
    const recording = transcript('all-local')
    await using pair = await createPair()
    const requestor = new Exchange({ libp2p: pair.a, linkSystem: await storeOf(recording.subscriberBlocks) })
    await requestor.start()
    const publisher = new RawPeer(pair.b, pair.a.peerId)
    await publisher.start()
    const { cids, local, error } = await outcome(requestor.request(pair.b.peerId, CID.parse(recording.root as string), everything))
    equal(error, undefined)
    deepEqual(cids, recording.hook)
    equal(local.every(Boolean), true)
    equal(publisher.received.length, 0)
    await requestor.stop()
  })
})

describe('requestor, against a fake publisher', () => {
  for (const recording of fakePublisherCases()) {
    it(recording.name, async () => { await check(recording) })
  }
})
