import type { PeerId } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { ContentNotFoundError, TransferFailedError, TransferRejectedError } from '../../shared/errors.ts'
import { GraphsyncStatus } from './constants.ts'
import { cidOfKey } from './keys.ts'
import type { Key } from './keys.ts'

/** What a request fails with that ended with this status; undefined for a success. In Go 35 is swallowed, and the sync hangs. */
export function statusError (status: number, peer: PeerId, root: CID): Error | undefined {
  switch (status) {
    case GraphsyncStatus.completedFull:
    case GraphsyncStatus.completedPartial: return undefined
    case GraphsyncStatus.rejected: return new TransferRejectedError(`${peer} rejected the request`)
    case GraphsyncStatus.notFound: return new ContentNotFoundError(root)
    case GraphsyncStatus.busy: return new TransferFailedError('request failed: the peer is busy')
    case GraphsyncStatus.legal: return new TransferFailedError('request failed: for legal reasons')
    case GraphsyncStatus.cancelled: return new TransferFailedError('request failed: cancelled by the peer')
    default: return new TransferFailedError('request failed: for a reason that the peer does not tell')
  }
}

/** What the responder says is not of the link that the walk has come to. */
export function mismatchError (sent: Key, expected?: Key): TransferFailedError {
  const what = expected == null ? 'the link that was walked before' : cidOfKey(expected)
  return new TransferFailedError(`the peer's walk came to ${cidOfKey(sent)} in place of ${what}: possibly a malicious responder`)
}
