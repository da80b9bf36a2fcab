import { describe, it } from 'node:test'
import { deepEqual, equal, rejects } from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { Broadcast } from '../../src/events/broadcast.ts'

const END = { done: true, value: undefined }

describe('Broadcast', () => {
  it('gives every reader all values in order, from the moment it registered', async () => {
    const source = new Broadcast<number>()
    const first = source.reader()
    source.emit(1)
    const second = source.reader()
    for (const value of [2, 3]) { source.emit(value) }
    source.end()
    deepEqual(await Array.fromAsync(first), [1, 2, 3])
    deepEqual(await Array.fromAsync(second), [2, 3])
  })

  it('gives values to waiting calls in the order of the calls', async () => {
    const source = new Broadcast<number>()
    const reader = source.reader()
    const calls = [reader.next(), reader.next(), reader.next()]
    source.emit(1)
    source.emit(2)
    source.end()
    deepEqual(await Promise.all(calls), [{ done: false, value: 1 }, { done: false, value: 2 }, END])
  })

  it('keeps 1,000,000 values for a reader that does not read', async () => {
    const source = new Broadcast<number>()
    const reader = source.reader()
    for (let i = 0; i < 1_000_000; i++) { source.emit(i) }
    source.end()
    let expected = 0
    for await (const value of reader) { equal(value, expected++) }
    equal(expected, 1_000_000)
  })

  it('drops the oldest values beyond maxPending, for that reader alone', async () => {
    const source = new Broadcast<number>()
    const bounded = source.reader({ maxPending: 2 })
    const unbounded = source.reader()
    for (const value of [1, 2, 3, 4]) { source.emit(value) }
    source.end()
    deepEqual(await Array.fromAsync(bounded), [3, 4])
    deepEqual(await Array.fromAsync(unbounded), [1, 2, 3, 4])
  })

  it('ends a reader when its loop is left, and keeps the others', async () => {
    const source = new Broadcast<number>()
    const left = source.reader()
    const stays = source.reader()
    source.emit(1)
    source.emit(2)
    for await (const value of left) {
      if (value === 1) { break }
    }
    deepEqual(await left.next(), END)
    source.end()
    deepEqual(await Array.fromAsync(stays), [1, 2])
  })

  it('ends waiting calls and drops what waits when the signal fires', async () => {
    const source = new Broadcast<number>()
    const controller = new AbortController()
    const waiting = source.reader({ signal: controller.signal })
    const full = source.reader({ signal: controller.signal })
    const call = waiting.next()
    source.emit(1)
    deepEqual(await call, { done: false, value: 1 })
    const last = waiting.next()
    controller.abort()
    deepEqual(await last, END)
    deepEqual(await full.next(), END)
    source.emit(2)
    deepEqual(await waiting.next(), END)
  })

  it('gives an ended reader for a signal that has fired', async () => {
    const source = new Broadcast<number>()
    const reader = source.reader({ signal: AbortSignal.abort() })
    source.emit(1)
    deepEqual(await reader.next(), END)
  })

  it('takes its listener off the signal, however a reader ends', async () => {
    const source = new Broadcast<number>()
    const { signal } = new AbortController()
    const readers = [source.reader({ signal }), source.reader({ signal }), source.reader({ signal })]
    equal(getEventListeners(signal, 'abort').length, 3)
    await readers[0].return()
    await rejects(readers[1].throw(new Error('thrown in')), /thrown in/)
    equal(getEventListeners(signal, 'abort').length, 1)
    source.end()
    equal(getEventListeners(signal, 'abort').length, 0)
  })

  it('ends with its scope', async () => {
    const source = new Broadcast<number>()
    let kept
    {
      await using reader = source.reader()
      kept = reader
    }
    source.emit(1)
    deepEqual(await kept.next(), END)
  })

  it('serves readers after an end, and those alone', async () => {
    const source = new Broadcast<number>()
    const ended = source.reader()
    source.end()
    const reader = source.reader()
    source.emit(1)
    deepEqual(await reader.next(), { done: false, value: 1 })
    deepEqual(await ended.next(), END)
  })
})
