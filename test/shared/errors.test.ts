import { describe, it } from 'node:test'
import { equal, ok } from 'node:assert/strict'
import { CID } from 'multiformats/cid'
import * as errors from '../../src/shared/errors.ts'

describe('errors', () => {
  const cid = CID.parse('baguqeeqqskyz3yhdjwzskfjmzqdkmmtxfu')

  it('has every error of the table: named as a string, with a code made from the name', () => {
    const made = [
      new errors.InvalidOptionError('topic', 'must be a string'),
      new errors.ContentNotFoundError(cid),
      new errors.HashMismatchError(cid),
      new errors.AnnounceError([new Error('no')])
    ]
    for (const error of made) {
      const code = 'ERR_' + error.name.replace(/Error$/, '').replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase()
      equal(error.code, code)
      equal(error.name, error.constructor.name)
      ok(error instanceof errors.DagsyncError)
    }
  })

  it('tells an AnnounceError as an AggregateError, a DagsyncError and no other', () => {
    const error = new errors.AnnounceError([new Error('no')])
    ok(error instanceof AggregateError)
    ok(error instanceof errors.DagsyncError)
    equal(error instanceof errors.InvalidOptionError, false)
    equal(new Error('no') instanceof errors.DagsyncError, false)
  })
})
