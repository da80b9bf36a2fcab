import { describe, it } from 'node:test'
import { deepEqual, equal } from 'node:assert/strict'
import { Queue } from '../../src/shared/queue.ts'

describe('Queue', () => {
  it('gives what came, in order, however pushes and shifts follow each other', () => {
    const queue = new Queue<number>()
    const model: number[] = []
    let next = 0
    for (const [pushes, shifts] of [[1, 2], [10_000, 3_000], [0, 2_500], [5, 4_502], [9_000, 8_000], [1, 1], [0, 2_000]]) {
      for (let i = 0; i < pushes; i++) {
        queue.push(next)
        model.push(next++)
      }
      const given = Array.from({ length: shifts }, () => queue.shift())
      deepEqual(given, Array.from({ length: shifts }, () => model.shift()))
      equal(queue.length, model.length)
    }
    queue.push(next)
    queue.clear()
    equal(queue.length, 0)
    equal(queue.shift(), undefined)
  })

  it('lets go of what it has given', async () => {
    const queue = new Queue<object>()
    for (let i = 0; i < 100; i++) { queue.push({}) }
    const given = new WeakRef(queue.shift() as object)
    await new Promise(resolve => setImmediate(resolve)) // a WeakRef holds until the turn ends
    globalThis.gc?.()
    equal(given.deref(), undefined)
    equal(queue.length, 99)
  })
})
