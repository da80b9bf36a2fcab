import { equal, rejects } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Room } from '../../src/wire/http-stream/room.ts'

const MiB = 1024 * 1024

describe('room for answers', () => {
  it('keeps nothing of who has stopped waiting for it', async () => {
    const room = new Room()
    room.take(32 * MiB)
    for (let i = 0; i < 100; i++) { await rejects(room.takeLater(async () => { throw new Error('gone') }), { message: 'gone' }) }
    equal(room.waiting.size, 0)
  })

  it('lets go on who waits for it once there is some, again where another was quicker', async () => {
    const room = new Room()
    room.take(32 * MiB)
    room.take(32 * MiB - 1024) // with what the first one takes, there is none for the second
    const [first, second] = [0, 1].map(async () => room.takeLater(async freed => freed))
    room.give(32 * MiB)
    await first
    await new Promise(resolve => { setImmediate(resolve) })
    equal(room.waiting.size, 1)
    room.give()
    await second
    equal(room.waiting.size, 0)
  })
})
