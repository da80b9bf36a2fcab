import { describe, it } from 'node:test'
import { equal, ok, rejects } from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { Run } from '../../src/subscriber/run.ts'
import { inTime } from '../support/hall.ts'

const never = async (): Promise<never> => new Promise(() => {})

/** Work that ends when the run is aborted, some time later. */
async function untilAborted (run: Run, later = 0): Promise<void> {
  await new Promise(resolve => { run.signal.addEventListener('abort', resolve, { once: true }) })
  await new Promise(resolve => setTimeout(resolve, later))
  run.signal.throwIfAborted()
}

describe('Run', () => {
  it('settles as its work does', async () => {
    equal(await new Run(1000).settle(async () => 7), 7)
    await rejects(new Run(1000).settle(async () => { throw new Error('no') }), /no/)
  })

  it("rejects with the signal's reason, as it came", async () => {
    const reason = { any: 'value' }
    const controller = new AbortController()
    const settled = new Run(1000).settle(async run => untilAborted(run), { signal: controller.signal })
    controller.abort(reason)
    await rejects(settled, error => error === reason)
  })

  it('does not begin for a signal that has fired', async () => {
    let began = false
    await rejects(new Run(1000).settle(async () => { began = true }, { signal: AbortSignal.abort() }), { name: 'AbortError' })
    equal(began, false)
  })

  it('waits a little for aborted work to put things away', async () => {
    let put = false
    const run = new Run(1000)
    const settled = run.settle(async run => {
      await untilAborted(run, 20).catch(() => {})
      put = true
      throw new Error('in the way')
    })
    run.abort(new Error('enough'))
    await rejects(settled, /enough/)
    ok(put)
  })

  it('gives the result of work that was done when the signal fired', async () => {
    const run = new Run(1000)
    const settled = run.settle(async run => {
      await untilAborted(run).catch(() => {})
      return 'done'
    })
    run.abort(new Error('too late'))
    equal(await settled, 'done')
  })

  it('leaves work behind that does not listen', async () => {
    const run = new Run(1000)
    const settled = run.settle(never)
    const began = performance.now()
    run.abort(new Error('enough'))
    await rejects(inTime(settled), /enough/)
    ok(performance.now() - began < 1000)
  })

  it('begins no part of its work once it is aborted', async () => {
    const run = new Run(1000)
    run.abort(new Error('enough'))
    let began = false
    await rejects(run.orLeave(async () => { began = true }), /enough/)
    equal(began, false)
  })

  it('fails with StalledError when there is no progress', async () => {
    const run = new Run(30)
    await rejects(inTime(run.settle(async run => {
      run.watch()
      await untilAborted(run)
    })), { name: 'StalledError' })
  })

  it('does not stall before it is watched, nor while it makes progress', async () => {
    const run = new Run(300)
    await run.settle(async run => {
      await new Promise(resolve => setTimeout(resolve, 350)) // waits for its turn
      run.watch()
      for (let i = 0; i < 40; i++) {
        await new Promise(resolve => setTimeout(resolve, 10))
        run.progress()
      }
      run.signal.throwIfAborted()
    })
  })

  it("does not count the hook's own time", async () => {
    const run = new Run(40)
    await run.settle(async run => {
      run.watch()
      run.pause()
      await new Promise(resolve => setTimeout(resolve, 160))
      run.resume()
      run.signal.throwIfAborted()
    })
    const stuck = new Run(40)
    await rejects(inTime(stuck.settle(async run => {
      run.watch()
      run.pause()
      run.resume()
      await untilAborted(run)
    })), { name: 'StalledError' })
  })

  it('leaves no listener on the signal and no timer', async () => {
    const { signal } = new AbortController()
    const timers = (): number => process.getActiveResourcesInfo().filter(name => name === 'Timeout').length
    const before = timers()
    for (let i = 0; i < 50; i++) {
      await new Run(1000).settle(async run => { run.watch() }, { signal })
      const failing = new Run(1000).settle(async run => {
        run.watch()
        throw new Error('no')
      }, { signal })
      await rejects(failing, /no/)
    }
    equal(getEventListeners(signal, 'abort').length, 0)
    equal(timers(), before)
  })
})
