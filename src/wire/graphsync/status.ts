import type { PeerId } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { ContentNotFoundError, TransferFailedError, TransferRejectedError } from '../../shared/errors.ts'
import { GraphsyncStatus } from './constants.ts'

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
