import type { AbortOptions } from '@libp2p/interface'
import type { Datastore, Key } from 'interface-datastore'
import { CID } from 'multiformats/cid'
import { InvalidOptionError } from './errors.ts'
import { isNotFound } from './not-found.ts'

/** The CID under a key of a datastore; undefined: none. Throws InvalidOptionError for what is no CID, and what the datastore throws. */
export async function storedCid (datastore: Datastore, key: Key, options?: AbortOptions): Promise<CID | undefined> {
  let bytes: Uint8Array
  try {
    bytes = await datastore.get(key, options)
  } catch (error) {
    options?.signal?.throwIfAborted()
    if (isNotFound(error)) { return undefined }
    throw error
  }
  try {
    return CID.decode(bytes)
  } catch (cause) {
    throw new InvalidOptionError('datastore', `does not give a CID at ${key}`, { cause })
  }
}
