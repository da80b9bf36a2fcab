import type { CID } from 'multiformats/cid'
import { toError } from '../shared/reason.ts'
import type { BlockHook } from '../shared/types.ts'

/** Gives the CID of the advertisement before this one; undefined: this one is the first. */
export type PreviousAdCid = (adCid: CID) => CID | undefined | Promise<CID | undefined>

/**
 * A block hook for segmented syncs of advertisements, where no other hook is needed: the next segment begins at the advertisement
 * before the last one that was synced. `previousAdCid` typically loads the advertisement and reads its PreviousID.
 *
 * What `previousAdCid` throws fails the sync with SegmentSyncError. Go: MakeGeneralBlockHook (go-libipni v0.7.8, dagsync/option.go).
 */
export function makeGeneralBlockHook (previousAdCid: PreviousAdCid): BlockHook {
  return async (_publisher, cid, actions) => {
    try {
      actions.setNextSyncCid(await previousAdCid(cid))
    } catch (cause) {
      actions.failSync(toError(cause))
    }
  }
}
