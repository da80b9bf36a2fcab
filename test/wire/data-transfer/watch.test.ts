import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { turnOfEventLoop } from '../../../src/shared/event-loop.ts'
import { DEFAULTS } from '../../../src/wire/data-transfer/constants.ts'
import { Watch } from '../../../src/wire/data-transfer/watch.ts'

/** A watch on a clock that a test moves, and what it was told to do. */
class Played {
  waits = true
  reachable = true
  hangs = false
  answer = Promise.resolve()
  readonly probes: AbortSignal[] = []
  readonly did: string[] = []
  readonly watch: Watch
  private readonly t: TestContext
  private now = 1_000_000

  constructor (t: TestContext) {
    this.t = t
    t.mock.timers.enable({ apis: ['setTimeout'] })
    t.mock.method(performance, 'now', () => this.now)
    this.watch = new Watch(DEFAULTS, {
      waits: () => this.waits,
      probe: async signal => {
        this.probes.push(signal)
        if (this.hangs) {
          const { promise, reject } = Promise.withResolvers<never>()
          signal.addEventListener('abort', () => { reject(signal.reason) })
          await promise
        }
        await this.answer
        if (!this.reachable) { throw new Error('no way') }
      },
      restart: ({ message }) => { this.did.push(`restart: ${message}`) },
      fail: ({ message }) => { this.did.push(`fail: ${message}`) }
    })
  }

  async pass (ms: number): Promise<void> {
    for (const end = this.now + ms; this.now < end;) {
      const step = Math.min(10, end - this.now)
      this.now += step
      this.t.mock.timers.tick(step)
      await turnOfEventLoop()
    }
  }
}

function settled (work: Promise<void>): { done: boolean, error?: Error } {
  const end: { done: boolean, error?: Error } = { done: false }
  work.catch(error => { end.error = error }).finally(() => { end.done = true })
  return end
}

const { restartDebounce, silenceTimeout, restartTimeout } = DEFAULTS

describe('data transfer: a peer that is watched', () => {
  it('and goes on by itself after a loss is not asked again, until it says nothing more', async t => {
    const played = new Played(t)
    const { watch } = played
    watch.asked()
    watch.heard()
    watch.lost(new Error('cut'))
    await played.pass(restartDebounce / 2)
    watch.heard()
    await played.pass(restartDebounce)
    deepEqual(played.did, [])
    await played.pass(silenceTimeout)
    deepEqual(played.did, ['restart: lost the connection: cut'])
    equal(played.probes.length, 0)
    watch.stop()
  })

  it('is lost when it was lost last', async t => {
    const played = new Played(t)
    const { watch } = played
    watch.asked()
    watch.heard()
    for (const what of ['first', 'second']) {
      watch.lost(new Error(what))
      await played.pass(0.75 * restartDebounce)
      deepEqual(played.did, [])
    }
    await played.pass(0.25 * restartDebounce)
    deepEqual(played.did, ['restart: lost the connection: second'])
    watch.stop()
  })

  it('is asked again after a loss as soon as it is waited for', async t => {
    const played = new Played(t)
    const { watch } = played
    watch.asked()
    watch.heard()
    played.waits = false
    watch.lost(new Error('cut'))
    await played.pass(2 * restartDebounce)
    deepEqual(played.did, [])
    played.waits = true
    await played.pass(restartDebounce)
    deepEqual(played.did, ['restart: lost the connection: cut'])
    watch.stop()
  })

  it('and is silent is looked for, but only while it is waited for', async t => {
    const played = new Played(t)
    const { watch } = played
    watch.asked()
    watch.heard()
    played.waits = played.reachable = false
    await played.pass(2 * silenceTimeout)
    equal(played.probes.length, 0)
    played.waits = true
    await played.pass(silenceTimeout)
    equal(played.probes.length, 1)
    deepEqual(played.did, ['restart: lost the connection: no way'])
    watch.stop()
  })

  it('is asked again once when it cannot be reached, though nobody waited for it at that moment', async t => {
    const played = new Played(t)
    const { watch } = played
    const { promise, resolve } = Promise.withResolvers<void>()
    played.reachable = false
    played.answer = promise
    watch.asked()
    watch.heard()
    await played.pass(silenceTimeout)
    played.waits = false
    resolve()
    await played.pass(restartDebounce / 2)
    played.waits = true
    await played.pass(restartDebounce)
    deepEqual(played.did, ['restart: lost the connection: no way'])
    watch.stop()
  })

  it('has all of restartTimeout to come back, from when it was asked first', async t => {
    const played = new Played(t)
    const { watch } = played
    watch.asked()
    watch.lost(new Error('cut'))
    played.reachable = false
    const end = settled(watch.reach(new AbortController().signal))
    await played.pass(restartTimeout / 2)
    equal(end.done, false)
    await played.pass(restartTimeout / 2)
    equal(end.error?.message, 'the peer did not come back: lost the connection: cut')
    ok(played.probes.length > 3, `${played.probes.length} probes`)
    watch.stop()
  })

  it('has some of it also when nothing was expected of it for longer', async t => {
    const played = new Played(t)
    const { watch } = played
    watch.asked()
    watch.heard()
    played.waits = played.reachable = false
    await played.pass(3 * restartTimeout)
    watch.lost(new Error('cut'))
    const end = settled(watch.reach(new AbortController().signal))
    await played.pass(restartDebounce)
    equal(end.done, false)
    played.reachable = true
    await played.pass(restartDebounce)
    deepEqual(end, { done: true })
    watch.stop()
  })

  for (const [when, hangs, ms] of [['in the last moment', true, restartTimeout - 10], ['between two tries', false, restartTimeout / 4]] as const) {
    it(`is not waited for any more when that is ended, ${when}`, async t => {
      const played = new Played(t)
      const { watch } = played
      watch.asked()
      watch.lost(new Error('cut'))
      played.reachable = false
      played.hangs = hangs
      const controller = new AbortController()
      const end = settled(watch.reach(controller.signal))
      await played.pass(ms)
      controller.abort(new Error('enough'))
      await turnOfEventLoop()
      equal(end.error?.message, 'enough')
      watch.stop()
    })
  }

  it('may answer after a loss for as long as it likes: acceptTimeout is over then', async t => {
    const played = new Played(t)
    const { watch } = played
    watch.asked()
    watch.lost(new Error('cut'))
    played.waits = false
    await played.pass(2 * DEFAULTS.acceptTimeout)
    deepEqual(played.did, [])
    watch.stop()
  })

  it('is not watched any more after stop(), also when it was asked twice', async t => {
    const played = new Played(t)
    const { watch } = played
    watch.asked()
    watch.asked()
    watch.stop()
    await played.pass(2 * DEFAULTS.acceptTimeout)
    deepEqual([played.probes, played.did], [[], []])
  })

  it('is not looked for any more after stop(), and what that finds is of no use', async t => {
    const played = new Played(t)
    const { watch } = played
    played.hangs = true
    watch.asked()
    watch.heard()
    await played.pass(silenceTimeout)
    watch.stop()
    deepEqual(played.probes.map(({ aborted }) => aborted), [true])
    await played.pass(4 * restartDebounce)
    deepEqual(played.did, [])
  })
})
