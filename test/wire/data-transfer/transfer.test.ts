import { deepEqual, equal } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { chainOf, everything, outcome } from '../graphsync/kit.ts'
import { transferPair, VOUCHER } from './kit.ts'

describe('data transfer', () => {
  it('pulls a chain with a voucher', async () => {
    const seen: any[] = []
    await using pair = await transferPair({ validate: (...args) => { seen.push(args); return { accept: true } } })
    const chain = await chainOf(pair.remote, 20)
    const { cids, error } = await outcome(pair.initiator.pull(pair.b.peerId, VOUCHER, chain[0], everything))
    equal(error, undefined)
    deepEqual(cids, chain.map(String))
    const [[peer, voucher, root, selector]] = seen
    equal(peer.equals(pair.a.peerId), true)
    deepEqual(voucher, VOUCHER.value)
    equal(root.equals(chain[0]), true)
    deepEqual(selector, everything)
  })

  it('is rejected when the validator says no, and when there is none', async () => {
    await using pair = await transferPair({ validate: () => ({ accept: false }) })
    const [root] = await chainOf(pair.remote, 3)
    equal((await outcome(pair.initiator.pull(pair.b.peerId, VOUCHER, root, everything))).error?.name, 'TransferRejectedError')
    equal((await outcome(pair.initiator.pull(pair.b.peerId, { type: 'Other', value: null }, root, everything))).error?.name, 'TransferRejectedError')
  })
})
