import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Stream } from '@libp2p/interface'
import { closeWrite, send, StreamReader } from '../../src/wire/streams.ts'
import { createPair, openStream } from './nodes.ts'
import type { Encrypter } from './nodes.ts'

const MiB = 1024 * 1024
const LIMIT = 4 * MiB
const timeout = 10_000

function frame (body: Uint8Array): Uint8Array[] {
  const prefix: number[] = []
  let rest = body.length
  for (; rest >= 0x80; rest >>>= 7) { prefix.push((rest & 0x7f) | 0x80) }
  return [Uint8Array.from([...prefix, rest]), body]
}

function body (length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) { bytes[i] = (i * 31 + seed) & 255 }
  return bytes
}

async function until (condition: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !condition(); i++) { await delay(10) }
  ok(condition(), 'in time')
}

/** Waits until nothing more moves. */
async function still (value: () => number): Promise<number> {
  for (let last = -1, same = 0; same < 5;) {
    await delay(20)
    same = value() === last ? same + 1 : 0
    last = value()
  }
  return value()
}

async function writeAll (stream: Stream, bodies: Iterable<Uint8Array>): Promise<void> {
  for (const bytes of bodies) { await send(stream, frame(bytes), { timeout }) }
}

for (const encrypter of ['tls', 'noise'] as Encrypter[]) {
  describe(`streams over ${encrypter}`, () => {
    it('tell the sender of what was read by halves of the window, and not for each frame', async () => {
      await using pair = await createPair(encrypter)
      const [near, far] = await openStream(pair)
      const reader = new StreamReader(far)
      let updates = 0
      const { sendFrame } = far as any
      ;(far as any).sendFrame = (header: { type: number }, ...rest: unknown[]) => {
        if (header.type === 1) { updates++ }
        return sendFrame(header, ...rest)
      }
      const frames = 4_096
      const written = writeAll(near, Array.from({ length: frames }, (_, i) => body(1_024, i)))
      for (let i = 0; i < frames; i++) { equal((await reader.frame(LIMIT))?.length, 1_024) }
      await written
      ok(updates > 0 && updates <= 33, `${updates} updates for ${frames} frames`) // 4 MiB are 32 halves of the smallest window
    })

    it('carry frames of every size whole and in order', async () => {
      await using pair = await createPair(encrypter)
      const [near, far] = await openStream(pair)
      const sizes = [0, 1, 127, 128, 511, 512, 16_383, 16_384, 65_536, 300_000, LIMIT, 5, 0, MiB]
      const reader = new StreamReader(far)
      const written = writeAll(near, sizes.map(body)).then(() => closeWrite(near, timeout))
      for (const [i, size] of sizes.entries()) {
        const got = await reader.frame(LIMIT)
        ok(got != null && Buffer.compare(got, body(size, i)) === 0, `frame of ${size}`)
      }
      equal(await reader.frame(LIMIT), undefined)
      equal(await reader.frame(LIMIT), undefined)
      await written
    })

    it('hold the sender back while nobody reads, and lose nothing', async () => {
      await using pair = await createPair(encrypter)
      const [near, far] = await openStream(pair)
      const block = body(64 * 1024, 7)
      const count = 600
      let sent = 0
      const writing = (async () => {
        for (; sent < count; sent++) { await send(near, frame(block), { timeout }) }
        await closeWrite(near, timeout)
      })()
      const reader = new StreamReader(far)
      ok(await reader.frame(LIMIT) != null)
      const held = await still(() => sent)
      ok(held < count, `the writer was held back after ${held} frames`)
      ok(near.writeBufferLength <= MiB, 'the writer holds little')
      ok(reader.buffered <= MiB, 'the reader holds little')
      let got = 1
      for (let next = await reader.frame(LIMIT); next != null; next = await reader.frame(LIMIT)) {
        got++
        if (got % 100 === 0) { await delay(1) } // slow at times: paused and resumed again and again
        if (next.length !== block.length || next[100] !== block[100]) { throw new Error('not what was sent') }
      }
      equal(got, count)
      await writing
    })
  })
}

describe('StreamReader', () => {
  it('refuses a frame over the limit before it takes memory for it', async () => {
    await using pair = await createPair()
    const [near, far] = await openStream(pair)
    near.send(Uint8Array.from([0x81, 0x80, 0x80, 0x02, 1, 2, 3])) // 4 MiB + 1
    await rejects(async () => await new StreamReader(far).frame(LIMIT), { name: 'InvalidMessageError' })
  })

  for (const [name, bytes] of [
    ['endless', [0xff, 0xff, 0xff, 0xff, 0xff, 0xff]], ['not minimal', [0x80, 0x00]]
  ] as const) {
    it(`refuses a length that is ${name}`, async () => {
      await using pair = await createPair()
      const [near, far] = await openStream(pair)
      near.send(Uint8Array.from(bytes))
      await rejects(async () => await new StreamReader(far).frame(Number.MAX_SAFE_INTEGER), { name: 'InvalidMessageError' })
    })
  }

  it('names an end within a frame', async () => {
    await using pair = await createPair()
    const [near, far] = await openStream(pair)
    near.send(Uint8Array.from([5, 1, 2]))
    await near.close()
    await rejects(async () => await new StreamReader(far).frame(LIMIT), { name: 'InvalidMessageError', message: /within a frame/ })
  })

  it('sees the end when the remote half-closed before it was made', async () => {
    await using pair = await createPair()
    const [near, far] = await openStream(pair)
    near.send(Uint8Array.from([2, 7, 8]))
    await near.close()
    await until(() => far.remoteWriteStatus === 'closed')
    const reader = new StreamReader(far)
    deepEqual(await reader.frame(LIMIT), Uint8Array.from([7, 8]))
    equal(await reader.frame(LIMIT), undefined)
  })

  it('sees the end of a stream on which nothing ever came', async () => {
    await using pair = await createPair()
    const [near, far] = await openStream(pair)
    await near.close()
    await until(() => far.remoteWriteStatus === 'closed')
    deepEqual(await new StreamReader(far).rest(10), new Uint8Array(0))
  })

  it('gives the frames that came before a reset, then what the stream failed with', async () => {
    await using pair = await createPair()
    const [near, far] = await openStream(pair)
    const reader = new StreamReader(far)
    near.send(Uint8Array.from([1, 9, 4, 1]))
    await until(() => reader.buffered === 4)
    near.abort(new Error('enough'))
    await until(() => far.status === 'reset')
    deepEqual(await reader.frame(LIMIT), Uint8Array.from([9]))
    await rejects(async () => await reader.frame(LIMIT), { name: 'StreamResetError' })
  })

  it('fails a read when the connection goes', async () => {
    await using pair = await createPair()
    const [, far] = await openStream(pair)
    const reading = new StreamReader(far).frame(LIMIT)
    const failed = rejects(async () => await reading, { name: /Error$/ })
    await pair.a.stop()
    await failed
  })

  it('ends a read by its signal, with its reason, and reads on afterwards', async () => {
    await using pair = await createPair()
    const [near, far] = await openStream(pair)
    const reader = new StreamReader(far)
    const reason = new Error('my reason')
    const controller = new AbortController()
    const reading = reader.frame(LIMIT, { signal: controller.signal })
    controller.abort(reason)
    await rejects(async () => await reading, reason)
    near.send(Uint8Array.from([1, 3]))
    deepEqual(await reader.frame(LIMIT), Uint8Array.from([3]))
  })

  it('costs no object for each byte of a sender of single bytes', async () => {
    await using pair = await createPair()
    const [near, far] = await openStream(pair)
    const reader = new StreamReader(far)
    near.send(Uint8Array.from([0xff, 0x7f])) // a frame of 16,383
    await delay(20)
    for (let i = 0; i < 5_000; i++) { near.send(Uint8Array.of(i & 255)) }
    await until(() => reader.buffered === 5_002)
    ok((reader as any).chunks.length < 10)
    near.send(body(16_383 - 5_000, 0))
    equal((await reader.frame(LIMIT))?.[4_999], 4_999 & 255)
  })

  it('resets the stream that takes more than the budget it shares', async () => {
    await using pair = await createPair()
    const budget = { used: 0, limit: 600_000 }
    const [one, farOne] = await openStream(pair, '/test/one')
    const [two, farTwo] = await openStream(pair, '/test/two')
    const readers = [new StreamReader(farOne, { budget }), new StreamReader(farTwo, { budget })]
    const reading = readers.map(reader => reader.frame(LIMIT))
    const outcome = Promise.allSettled(reading)
    const start = frame(new Uint8Array(LIMIT))[0]
    one.send(start)
    one.send(new Uint8Array(500_000))
    await until(() => budget.used === 500_004)
    two.send(start)
    two.send(new Uint8Array(200_000))
    await until(() => farTwo.status === 'aborted')
    equal(farOne.status, 'open')
    readers.forEach(reader => { reader.release() })
    equal(budget.used, 0)
    deepEqual((await outcome).map(({ status }) => status), ['rejected', 'rejected'])
  })

  it('limits what it reads up to the end', async () => {
    await using pair = await createPair()
    const [near, far] = await openStream(pair)
    near.send(new Uint8Array(100))
    await rejects(new StreamReader(far).rest(99), { name: 'InvalidMessageError' })
  })

  it('gives what came, by chunks', async () => {
    await using pair = await createPair()
    const [near, far] = await openStream(pair)
    near.send(Uint8Array.from([1, 2, 3]))
    await near.close()
    const reader = new StreamReader(far)
    deepEqual(await reader.read(), Uint8Array.from([1, 2, 3]))
    equal(await reader.read(), undefined)
  })
})

describe('send', () => {
  it('gives up on a remote that takes nothing', async () => {
    await using pair = await createPair()
    const [near, far] = await openStream(pair)
    const reader = new StreamReader(far)
    near.send(Uint8Array.from([1, 1]))
    await reader.frame(LIMIT) // and then never again
    await rejects(async () => {
      for (let i = 0; i < 1_000; i++) { await send(near, [new Uint8Array(64 * 1024)], { timeout: 200 }) }
    }, { name: 'TimeoutError' })
    equal(near.status, 'aborted')
  })

  it('ends by its signal while the remote takes nothing', async () => {
    await using pair = await createPair()
    const [near, far] = await openStream(pair)
    const reader = new StreamReader(far)
    near.send(Uint8Array.from([1, 1]))
    await reader.frame(LIMIT)
    const signal = AbortSignal.timeout(300)
    await rejects(async () => {
      for (let i = 0; i < 1_000; i++) { await send(near, [new Uint8Array(64 * 1024)], { timeout, signal }) }
    }, { name: 'TimeoutError', code: 23 })
    near.abort(new Error('done'))
  })

  it('fails when the stream is reset while it waits', async () => {
    await using pair = await createPair()
    const [near, far] = await openStream(pair)
    const reader = new StreamReader(far)
    near.send(Uint8Array.from([1, 1]))
    await reader.frame(LIMIT)
    setTimeout(() => { far.abort(new Error('no more')) }, 200)
    await rejects(async () => {
      for (let i = 0; i < 1_000; i++) { await send(near, [new Uint8Array(64 * 1024)], { timeout }) }
    }, { name: 'StreamResetError' })
  })
})
