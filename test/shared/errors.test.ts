import { describe, it } from 'node:test'
import { equal, ok } from 'node:assert/strict'
import { CID } from 'multiformats/cid'
import * as errors from '../../src/shared/errors.ts'

/** What each subpath throws, beside what all errors extend. */
const thrown: Record<string, string[]> = {
  'announce/index': ['AnnounceError', 'HttpStatusError', 'InvalidMessageError', 'InvalidOptionError', 'ReceiverClosedError', 'TimeoutError', 'TransferFailedError'],
  'shared/multiaddrs': ['InvalidMultiaddrError'],
  'syncers/dtsync/index': ['HeadQueryError', 'InvalidMessageError', 'InvalidOptionError'],
  'syncers/httpsync/signed-head': ['InvalidOptionError', 'InvalidSignedHeadError'],
  'syncers/index': ['ContentNotFoundError', 'HashMismatchError', 'HeadQueryError', 'TransportUnavailableError', 'UnexpectedSignerError'],
  'testing/index': ['InvalidOptionError'],
  'traversal/index': ['InvalidMessageError', 'InvalidOptionError', 'InvalidSelectorError', 'UnknownCodecError'],
  'wire/data-transfer/index': ['StalledError', 'TransferFailedError', 'TransferRejectedError'],
  'wire/graphsync/index': ['ContentNotFoundError', 'TransferFailedError', 'TransferRejectedError']
}

describe('errors', () => {
  for (const [path, names] of Object.entries(thrown)) {
    it(`are exported by ${path}, and are the same everywhere`, async () => {
      const exported = await import(`../../src/${path}.ts`)
      for (const name of ['DagsyncError', ...names]) { equal(exported[name], errors[name as keyof typeof errors], name) }
    })
  }

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
