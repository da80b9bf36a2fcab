import { describe, it } from 'node:test'
import { equal, ok } from 'node:assert/strict'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import { Repeats } from '../../src/subscriber/repeats.ts'
import { random } from '../support/hall.ts'

/** So many CIDs, other ones for another seed. */
function * cids (count: number, seed = 1): Generator<CID> {
  const dice = random(seed)
  for (let i = 0; i < count; i++) {
    yield CID.createV1(0x0129, create(0x12, Uint8Array.from({ length: 32 }, () => dice() * 256)))
  }
}

describe('blocks that come again', () => {
  it('are none where all differ, however many', () => {
    const repeats = new Repeats()
    for (const cid of cids(300_000)) { repeats.add(cid) }
    equal(repeats.count, 0)
  })

  it('are counted exactly while there are few', () => {
    const repeats = new Repeats()
    for (let i = 0; i < 3; i++) { for (const cid of cids(4_096)) { repeats.add(cid) } }
    equal(repeats.count, 2 * 4_096)
  })

  it('are found where they are few among many, and where they are far apart', () => {
    const few = new Repeats()
    for (const cid of cids(100_000)) { few.add(cid) }
    const same = [...cids(50, 3)]
    for (let i = 0; i < 2_000; i++) { for (const cid of same) { few.add(cid) } }
    ok(few.count > 80_000 && few.count < 120_000, `${few.count} of ${1_999 * 50}`) // those that share a place lose some

    const far = new Repeats()
    for (let i = 0; i < 3; i++) { for (const cid of cids(100_000)) { far.add(cid) } }
    ok(far.count > 180_000 && far.count < 220_000, `${far.count} of 200,000`)
  })
})
