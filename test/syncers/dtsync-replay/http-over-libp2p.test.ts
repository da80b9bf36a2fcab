import { equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CID } from 'multiformats/cid'
import { createHttpHandler } from '../../../src/syncers/httpsync/serve.ts'
import { openSignedHead } from '../../../src/syncers/httpsync/signed-head.ts'
import { HttpStreamClient } from '../../../src/wire/http-stream/client.ts'
import { HttpStreamServer } from '../../../src/wire/http-stream/server.ts'
import { RawStream } from '../../wire/http-kit.ts'
import { storeOf } from '../../wire/graphsync/replay.ts'
import { createPair } from '../../wire/nodes.ts'
import { PARITY, transcriptOf } from './conversation.ts'
import type { Conversation } from './conversation.ts'

// v0.7.8's HTTP over libp2p streams, which no syncer of ours speaks: with the parts that would speak it.

const PROTOCOL = '/http/1.1'
const WELL_KNOWN = 'No well-known request, and a 400 for one'

interface Turn {
  request: string
  answer: string
  target: string
  body: string
}

/** A request and its answer each have a stream. */
function turnsOf ({ events }: Conversation): Turn[] {
  const writes = events.filter(({ event }) => event === 'write')
  const textOf = (side: string, number: number): string => writes
    .filter(({ from, stream }) => from === side && stream === number).map(({ bytes }) => Buffer.from(bytes).toString('latin1')).join('')
  return [...new Set(writes.map(({ stream }) => stream))].map(stream => {
    const [request, answer] = [textOf('subscriber', stream), textOf('publisher', stream)]
    return { request, answer, target: request.split(' ')[1], body: answer.split('\r\n\r\n')[1] }
  })
}

const isWellKnown = ({ target }: Turn): boolean => target.startsWith('/.well-known/')

/** What Go's publisher has, by what it served. */
function blocksOf (turns: Turn[]): Array<[CID, Uint8Array]> {
  return turns.filter(({ target }) => /\/bagu[a-z0-9]+$/.test(target))
    .map(({ target, body }) => [CID.parse(target.split('/').at(-1) as string), new TextEncoder().encode(body)])
}

function headersOf (answer: string): Map<string, string> {
  return new Map(answer.split('\r\n\r\n')[0].split('\r\n').slice(1).map(line => line.split(': ', 2) as [string, string]))
}

describe('HTTP over libp2p of v0.7.8, replayed', () => {
  it('our server gives the bodies that Go gave, the signed head included', async () => {
    const conversation = await transcriptOf('v0.7.8-http-over-libp2p')
    const { keys, topic } = conversation
    const turns = turnsOf(conversation)
    const blocks = blocksOf(turns)
    equal(blocks.length, 2)
    await using pair = await createPair('tls', { a: keys.subscriber, b: keys.publisher })
    const handler = createHttpHandler({ linkSystem: await storeOf(blocks), privateKey: keys.publisher }, {
      root: () => blocks[0][0], headTopic: topic
    })
    const server = new HttpStreamServer({ libp2p: pair.b }, handler, { protocols: [PROTOCOL] })
    await server.start()
    for (const turn of turns) {
      const stream = await RawStream.open(pair.a, pair.b.peerId, PROTOCOL)
      stream.write(turn.request)
      await stream.stream.close()
      const answer = await stream.readAll()
      if (isWellKnown(turn)) {
        equal(answer.split(' ')[1], '400')
        continue
      }
      equal(answer.split('\r\n')[0], turn.answer.split('\r\n')[0])
      equal(answer.split('\r\n\r\n')[1], turn.body)
      const [ours, go] = [headersOf(answer), headersOf(turn.answer)]
      for (const name of ['Connection', 'Content-Length', 'Content-Type']) { equal(ours.get(name), go.get(name), name) }
    }
    await server.stop()
  })

  it('our client reads what Go gave; head and blocks are good', async () => {
    const conversation = await transcriptOf('v0.7.8-http-over-libp2p')
    const { keys } = conversation
    const turns = turnsOf(conversation)
    await using pair = await createPair('tls', { a: keys.subscriber, b: keys.publisher })
    const { a: ours, b: theirs } = pair
    await theirs.handle(PROTOCOL, async stream => {
      const raw = new RawStream(stream)
      const request = await raw.readUntil('\r\n\r\n')
      raw.write(turns.find(({ target }) => target === request.split(' ')[1])?.answer ?? '')
      await stream.close()
    })
    const client = new HttpStreamClient({ libp2p: ours })
    for (const turn of turns) {
      const { status, body } = await client.request(theirs.peerId, [PROTOCOL], { target: turn.target, timeout: 10_000, maxBodySize: 4096 })
      equal(String(status), turn.answer.split(' ')[1])
      equal(Buffer.from(body).toString('latin1'), turn.body)
      if (!turn.target.endsWith('/head')) { continue }
      const { head, signer, topic } = await openSignedHead(body)
      equal(head.toString(), blocksOf(turns)[0][0].toString())
      equal(signer.equals(theirs.peerId), true)
      equal(topic, conversation.topic)
    }
    client.stop()
    await storeOf(blocksOf(turns)) // which looks at their hashes
  })

  it('the parity notes say what is left out', () => {
    ok(PARITY.includes(WELL_KNOWN))
  })
})
