import { deepEqual, equal, notEqual } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { smallBytes } from '../../src/shared/small-bytes.ts'

describe('smallBytes()', () => {
  it('gives bytes that nobody else has, all zero, of any length', () => {
    const all = Array.from({ length: 2_000 }, (_, i) => smallBytes(i))
    for (const [i, bytes] of all.entries()) { bytes.fill(i) }
    for (const [i, bytes] of all.entries()) {
      equal(bytes.length, i)
      deepEqual(bytes, new Uint8Array(i).fill(i))
    }
    equal(smallBytes(1_024).every(byte => byte === 0), true)
  })

  it('has short ones share memory, of which no more than 1 KiB hangs together, and long ones have their own', () => {
    const [one, other] = [smallBytes(0), smallBytes(40)]
    equal(one.buffer.byteLength, 1_024)
    equal(other.buffer.byteLength, 1_024)
    equal(smallBytes(129).buffer.byteLength, 129)
  })

  it('goes on where a piece was given to another thread', () => {
    const { buffer } = smallBytes(40)
    structuredClone(buffer, { transfer: [buffer] })
    const next = smallBytes(40)
    equal(next.length, 40)
    notEqual(next.buffer, buffer)
  })
})
