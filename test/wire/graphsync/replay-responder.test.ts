import { deepEqual, equal } from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { LinkSystem } from '../../../src/shared/types.ts'
import type { GraphsyncMessage, GraphsyncRequest, RequestDecision } from '../../../src/shared/types/graphsync.ts'
import { Exchange } from '../../../src/wire/graphsync/exchange.ts'
import { keyOfBlock } from '../../../src/wire/graphsync/hash.ts'
import { cidOfKey, keyOf, parsePrefix } from '../../../src/wire/graphsync/keys.ts'
import { createPair } from '../nodes.ts'
import { RawPeer } from './raw-peer.ts'
import { messageOf, storeOf, transcript } from './replay.ts'
import type { Recording } from './replay.ts'

// Our responder in the place of Go's, against requests that were sent to it by hand.

/** Go's default validator: recursion up to a depth of 100. */
function goDefault (_peer: unknown, { selector }: GraphsyncRequest): RequestDecision | undefined {
  const depth = selector?.R?.l?.depth
  return depth != null && depth <= 100 ? { accept: true } : undefined
}

interface Answer {
  statuses: number[]
  metadata: string[]
  blocks: string[]
}

/** All that was answered to each request; how it was spread over messages does not count. */
function answers (messages: GraphsyncMessage[], linkSystem: LinkSystem): Record<string, Answer> {
  const all: Record<string, Answer> = {}
  for (const { responses, blocks } of messages) {
    const keys = blocks.map(({ prefix, data }) => keyOfBlock(linkSystem, parsePrefix(prefix), data) as string)
    const sent = keys.map(key => String(cidOfKey(key)))
    for (const { requestId, status, metadata = [] } of responses) {
      const answer = all[keyOf(requestId)] ??= { statuses: [], metadata: [], blocks: [] }
      if (status !== 14) { answer.statuses.push(status) }
      const items = metadata.map(([cid, action]) => [String(cid), action])
      answer.metadata.push(...items.map(item => item.join(' ')))
      answer.blocks.push(...items.map(([cid]) => cid).filter(cid => sent.includes(cid)))
    }
  }
  return all
}

async function replay (
  recording: Recording, play: (client: RawPeer, linkSystem: LinkSystem) => Promise<void>
): Promise<[Record<string, Answer>, Record<string, Answer>]> {
  await using pair = await createPair()
  const linkSystem = await storeOf(recording.publisherBlocks)
  const responder = new Exchange({ libp2p: pair.b, linkSystem })
  responder.addValidator(goDefault)
  await responder.start()
  const client = new RawPeer(pair.a, pair.b.peerId)
  await client.start()
  await play(client, linkSystem)
  const go = recording.writes.filter(({ from, event }) => from === 'publisher' && event === 'write').map(messageOf)
  const ours = client.received.map(({ message }) => message)
  await responder.stop()
  return [answers(ours, linkSystem), answers(go, linkSystem)]
}

function writesOf (recording: Recording): Array<{ bytes: Uint8Array, stream: number, id: Uint8Array, type: string }> {
  return recording.writes.filter(({ from, event }) => from === 'subscriber' && event === 'write').map(write => {
    const [{ id, type }] = messageOf(write).requests
    return { bytes: write.bytes, stream: write.stream, id, type }
  })
}

describe('responder, against recorded requests', () => {
  for (const name of [
    'raw-cancel-update-unknown', 'raw-do-not-send', 'raw-missing-root', 'raw-no-voucher-depth100', 'raw-no-voucher-depth101',
    'raw-no-voucher-nolimit'
  ]) {
    it(`${name}: answers as Go`, async () => {
      const recording = transcript(name)
      const [ours, go] = await replay(recording, async client => {
        for (const { bytes, stream, id, type } of writesOf(recording)) {
          await client.sendBytes(bytes, stream)
          if (type === 'new') { await client.terminal(id) }
        }
      })
      deepEqual(ours, go)
    })
  }

  it('raw-bad-selector: fails as Go, without the root block that Go sends before it looks at the selector', async () => {
    const recording = transcript('raw-bad-selector')
    const [ours, go] = await replay(recording, async client => {
      const [{ bytes, id }] = writesOf(recording)
      await client.sendBytes(bytes)
      await client.terminal(id)
    })
    const [[id, answer]] = Object.entries(ours)
    deepEqual(answer.statuses, go[id].statuses)
    deepEqual(answer.blocks, [])
  })

  it('raw-missing-root: says it in one message, so that a Go requestor always sees the reason', async () => {
    const recording = transcript('raw-missing-root')
    let messages = 0
    await replay(recording, async client => {
      const [{ bytes, id }] = writesOf(recording)
      await client.sendBytes(bytes)
      await client.terminal(id)
      messages = client.received.length
    })
    equal(messages, 1)
  })

  it('raw-two-requests: sends a block once to two requests at a time, and again to a later one', async () => {
    const recording = transcript('raw-two-requests')
    let sent = 0
    const [ours, go] = await replay(recording, async (client, linkSystem) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      const [last] = recording.publisherBlocks[0]
      const { blockstore } = linkSystem
      const get = blockstore.get.bind(blockstore)
      blockstore.get = ((cid: any, options: any) => cid.equals(last)
        ? (async function * () {
            await promise
            yield * get(cid, options) as any
          })()
        : get(cid, options)) as any
      const [first, second, third] = writesOf(recording)
      await client.sendBytes(first.bytes, first.stream)
      await client.until(() => client.responses.reduce((sum, { metadata = [] }) => sum + metadata.length, 0) === 2)
      await client.sendBytes(second.bytes, second.stream)
      await client.until(() => client.responses.reduce((sum, { metadata = [] }) => sum + metadata.length, 0) === 4)
      resolve()
      await client.terminal(first.id)
      await client.terminal(second.id)
      await client.sendBytes(third.bytes, third.stream)
      await client.terminal(third.id)
      sent = client.received.reduce((sum, { message }) => sum + message.blocks.length, 0)
    })
    equal(sent, 6) // 3 for the first two together, 3 for the third
    for (const id of Object.keys(go)) {
      deepEqual(ours[id].metadata, go[id].metadata)
      deepEqual(ours[id].statuses, go[id].statuses)
    }
    deepEqual(Object.values(ours)[2], Object.values(go)[2])
  })
})
