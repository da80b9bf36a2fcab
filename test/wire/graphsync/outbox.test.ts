import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Stream } from '@libp2p/interface'
import { GRAPHSYNC_PROTOCOL, SEND_TRIES } from '../../../src/wire/graphsync/constants.ts'
import { toFrame } from '../../../src/wire/graphsync/frame.ts'
import type { Frame } from '../../../src/wire/graphsync/frame.ts'
import { Outbox } from '../../../src/wire/graphsync/outbox.ts'
import type { OutboxInit } from '../../../src/wire/graphsync/outbox.ts'
import { StreamReader } from '../../../src/wire/streams.ts'
import { until } from '../../memory/kit.ts'
import { createPair } from '../nodes.ts'
import type { Pair } from '../nodes.ts'

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** An outbox on a to b: its streams, each with its writes, what b has of each, and what was told of it. */
class Played {
  readonly streams: Array<{ stream: Stream, writes: number[] }> = []
  readonly frames: string[][] = []
  readonly ends: Array<string | undefined> = []
  readonly told: string[] = []
  readonly outbox: Outbox
  bytes = 0
  dials = 0
  refuse = false

  /** Streams are opened, but given no sooner than this. */
  opened: Promise<void> | undefined

  constructor ({ a, b }: Pair, init: Partial<OutboxInit> = {}) {
    this.outbox = new Outbox({
      libp2p: {
        dialProtocol: async (...args) => {
          this.dials++
          if (this.refuse) { throw new Error('refused') }
          const stream = await a.dialProtocol(...args)
          const writes: number[] = []
          const send = stream.send.bind(stream)
          stream.send = part => {
            writes.push(part.byteLength)
            return send(part)
          }
          this.streams.push({ stream, writes })
          await this.opened
          return stream
        }
      },
      peer: b.peerId,
      onBytes: bytes => { this.bytes += bytes },
      onDrained: () => {},
      onIdle: () => {},
      onLost: error => { this.told.push(`lost: ${error.name}`) },
      onFailed: error => { this.told.push(`failed: ${error.name}`) },
      ...init
    })
  }

  /** b reads. */
  async read ({ b }: Pair): Promise<void> {
    await b.handle(GRAPHSYNC_PROTOCOL, async stream => {
      const frames: string[] = []
      this.frames.push(frames)
      const reader = new StreamReader(stream)
      try {
        for (let frame = await reader.frame(1 << 23); frame != null; frame = await reader.frame(1 << 23)) { frames.push(text(frame)) }
      } catch {} // reset
    })
  }

  push (body: string | number, responses = false): void {
    const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : new Uint8Array(body)
    const done: Frame['done'] = [error => { this.ends.push(error?.name) }]
    this.outbox.push({ ...toFrame([bytes]), responses, done })
  }
}

describe('graphsync: what goes out to a peer', () => {
  it('goes over one stream, in order; small frames are written together', async () => {
    await using pair = await createPair()
    const played = new Played(pair)
    await played.read(pair)
    const bodies = Array.from({ length: 1_000 }, (_, i) => `frame ${i}`)
    for (const body of bodies) { played.push(body) }
    await until(() => played.ends.length === 1_000)
    const [{ writes }] = played.streams
    ok(writes.length <= 2, `${writes.length} writes`) // the first one, for which the stream was opened, and the others
    const later = ['and later', 'big'.repeat(5_000), 'and later still']
    for (const body of later) { played.push(body) }
    await until(() => played.frames[0]?.length === 1_003)
    deepEqual(played.frames, [[...bodies, ...later]])
    deepEqual(new Set(played.ends), new Set([undefined]))
    equal(played.dials, 1)
    equal(played.bytes, 0)
  })

  it('is tried a few times, then dropped, and the stream is opened again for what comes later', async () => {
    await using pair = await createPair()
    const played = new Played(pair)
    await played.read(pair)
    played.refuse = true
    for (const body of ['one', 'two']) { played.push(body, body === 'two') }
    await until(() => played.told.length > 0)
    deepEqual(played.told, ['failed: TransferFailedError'])
    equal(played.dials, SEND_TRIES)
    deepEqual(played.ends, ['TransferFailedError', 'TransferFailedError'])
    equal(played.bytes, 0)
    played.refuse = false
    played.push('three', true)
    await until(() => played.frames[0]?.length === 1)
    deepEqual(played.frames, [['three']])
  })

  it('of requests is sent again when the stream is lost, of responses it is not', async () => {
    await using pair = await createPair()
    const played = new Played(pair)
    let paused: Stream | undefined
    await pair.b.handle(GRAPHSYNC_PROTOCOL, stream => {
      stream.pause()
      paused = stream
    })
    for (let i = 0; i < 200; i++) { played.push(100_000, true) } // more than is taken unread
    played.push('request')
    played.push('response', true)
    await until(() => paused != null && played.streams[0]?.stream.writableNeedsDrain)
    await pair.b.unhandle(GRAPHSYNC_PROTOCOL)
    await played.read(pair)
    paused?.abort(new Error('played'))
    await until(() => played.frames.length > 0)
    played.push('response of later', true)
    await until(() => played.frames[0].length === 2)
    deepEqual(played.frames, [['request', 'response of later']])
    deepEqual(played.told, ['lost: TransferFailedError'])
    equal(played.ends.filter(name => name == null).length + played.ends.filter(name => name === 'TransferFailedError').length, 203)
    equal(played.bytes, 0)
  })

  it('of responses ends when the stream is lost just as it had taken what was written', async () => {
    await using pair = await createPair()
    const played = new Played(pair)
    await played.read(pair)
    played.push('first')
    await until(() => played.frames[0]?.length === 1)
    const [{ stream }] = played.streams
    stream.addEventListener('drain', () => { queueMicrotask(() => { (stream as any).onRemoteReset() }) }, { once: true })
    for (let i = 0; i < 200; i++) { played.push(100_000, true) } // more than it takes at once
    played.push('request')
    await until(() => played.frames[1]?.length === 1)
    deepEqual(played.frames[1], ['request'])
    deepEqual(played.told, ['lost: TransferFailedError'])
    equal(played.ends.length, 202)
    equal(played.bytes, 0)
  })

  it('is given up when the peer takes nothing for too long', async () => {
    await using pair = await createPair()
    const played = new Played(pair, { writeTimeout: 100 })
    await pair.b.handle(GRAPHSYNC_PROTOCOL, stream => { stream.pause() })
    for (let i = 0; i < 200; i++) { played.push(100_000) }
    await until(() => played.told.length > 0)
    deepEqual(played.told, ['failed: TransferFailedError'])
    equal(played.dials, 1)
    equal(played.bytes, 0)
  })

  it('goes over another stream when the first one takes no more, which is reset, and nobody is told twice', async () => {
    await using pair = await createPair()
    const played = new Played(pair)
    await played.read(pair)
    const takesNoMore = ({ stream }: { stream: Stream }): void => { stream.send = () => { throw new Error('takes no more') } }
    played.push('first')
    await until(() => played.frames[0]?.length === 1)
    takesNoMore(played.streams[0])
    played.push('request')
    deepEqual(played.told, ['lost: TransferFailedError'])
    played.push('response of later', true)
    await until(() => played.outbox.idle)
    await until(() => played.frames[1]?.length === 2)
    deepEqual(played.frames, [['first'], ['request', 'response of later']])
    deepEqual(played.told, ['lost: TransferFailedError'])
    equal(played.streams[0].stream.status, 'aborted')

    takesNoMore(played.streams[1])
    played.push('response', true)
    await until(() => played.outbox.idle)
    equal(played.streams[1].stream.status, 'aborted')
    equal(played.outbox.connected, false)
    equal(played.dials, 2)
    deepEqual(played.ends, [undefined, undefined, undefined, 'TransferFailedError'])
    equal(played.bytes, 0)
  })

  it('is sent though it comes from one who was just told that what was before it could not be', { timeout: 20_000 }, async () => {
    await using pair = await createPair()
    const played: Played = new Played(pair, {
      onFailed: () => {
        played.refuse = false
        played.push('later')
      }
    })
    await played.read(pair)
    played.refuse = true
    played.push('one')
    await until(() => played.ends.length === 2)
    await until(() => played.frames[0]?.length === 1)
    deepEqual(played.frames, [['later']])
    deepEqual(played.ends, ['TransferFailedError', undefined])
    equal(played.bytes, 0)
    equal(played.outbox.idle, true)
  })

  it('is dropped by a close, also before it is tried again; nothing is dialled for it, and nobody is told of a failure', async () => {
    await using pair = await createPair()
    const played = new Played(pair)
    played.refuse = true
    played.push('one')
    await until(() => played.dials === 1)
    played.push('two')
    played.outbox.close(new TypeError('played'), { reset: true })
    deepEqual(played.ends, ['TypeError'], 'what waits is told at once')
    played.push('three')
    await until(() => played.outbox.idle)
    equal(played.dials, 1)
    deepEqual(played.ends, ['TypeError', 'TypeError', 'TypeError'])
    deepEqual(played.told, [])
    equal(played.bytes, 0)
  })

  it('is dropped by a close while its stream is opened: that one is reset', async () => {
    await using pair = await createPair()
    const played = new Played(pair)
    await played.read(pair)
    const { promise, resolve } = Promise.withResolvers<void>()
    played.opened = promise
    played.push('one')
    await until(() => played.streams.length === 1)
    played.outbox.close(new TypeError('played'), { reset: false })
    resolve()
    await until(() => played.outbox.idle)
    equal(played.streams[0].stream.status, 'aborted')
    equal(played.dials, 1)
    deepEqual(played.frames.flat(), [])
    deepEqual(played.ends, ['TypeError'])
    deepEqual(played.told, [])
    equal(played.bytes, 0)
  })
})
