import { describe, it } from 'node:test'
import { deepEqual, equal, rejects } from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { Slots } from '../../src/subscriber/slots.ts'

describe('Slots', () => {
  const { signal } = new AbortController()

  it('hands out as many as there are, then in the order of asking', async () => {
    const slots = new Slots(2)
    await slots.take(signal)
    await slots.take(signal)
    const order: number[] = []
    const waiting = [1, 2, 3].map(async i => {
      await slots.take(signal)
      order.push(i)
    })
    equal(slots.tryTake(), false)
    for (let i = 0; i < 3; i++) { slots.release() }
    await Promise.all(waiting)
    deepEqual(order, [1, 2, 3])
  })

  it('does not let tryTake() go before those who wait', async () => {
    const slots = new Slots(1)
    await slots.take(signal)
    const waiting = slots.take(signal)
    slots.release() // goes to the waiting one, though it does not run yet
    equal(slots.tryTake(), false)
    await waiting
    slots.release()
    equal(slots.tryTake(), true)
  })

  it('takes no slot for a turn that is given up', async () => {
    const slots = new Slots(1)
    const controller = new AbortController()
    await slots.take(signal)
    const given = slots.take(controller.signal)
    const next = slots.take(signal)
    controller.abort(new Error('given up'))
    await rejects(given, /given up/)
    slots.release()
    await next
    equal(slots.tryTake(), false)
  })

  it('keeps a slot that was handed over just before the signal fired', async () => {
    const slots = new Slots(1)
    const controller = new AbortController()
    await slots.take(signal)
    const taken = slots.take(controller.signal)
    slots.release()
    controller.abort()
    await taken
    equal(slots.tryTake(), false)
    slots.release()
    equal(slots.tryTake(), true)
  })

  it('rejects at once for a signal that has fired', async () => {
    await rejects(new Slots(1).take(AbortSignal.abort()), { name: 'AbortError' })
  })

  it('leaves no listener on the signal', async () => {
    const slots = new Slots(1)
    const { signal } = new AbortController()
    for (let i = 0; i < 100; i++) {
      const turns = [slots.take(signal), slots.take(signal)]
      slots.release()
      await Promise.all(turns)
      slots.release()
    }
    equal(getEventListeners(signal, 'abort').length, 0)
  })
})
