import type { AbortOptions, PeerId } from '@libp2p/interface'
import { Key, type Datastore } from 'interface-datastore'
import type { CID } from 'multiformats/cid'
import { toCid } from '../shared/check.ts'
import { DATASTORE_PREFIX } from '../shared/constants.ts'
import { storedCid } from '../shared/stored-cid.ts'
import type { LastKnownSync } from '../shared/types.ts'
import { unlessAborted } from '../shared/unless-aborted.ts'

/**
 * The newest synced CID of each publisher: in the datastore when there is one, else in memory.
 *
 * Behaves as latestSyncHandler (go-libipni v0.3.2, dagsync/latestsync.go). Differs: it can outlive the process, and what
 * it holds wins over lastKnownSync.
 */
export class LatestSync {
  readonly #memory = new Map<string, CID>()
  readonly #datastore?: Datastore
  readonly #prefix: string
  readonly #lastKnown?: LastKnownSync

  /** By publisher, the last one that was begun. */
  readonly #writes = new Map<string, Promise<unknown>>()

  constructor (init: { datastore?: Datastore, topic?: string, lastKnownSync?: LastKnownSync }) {
    this.#datastore = init.datastore
    this.#prefix = `${DATASTORE_PREFIX}/${init.topic ?? ''}/latest/`
    this.#lastKnown = init.lastKnownSync
  }

  async get (publisher: PeerId, options?: AbortOptions): Promise<CID | undefined> {
    return unlessAborted(this.#get(publisher, options), options?.signal)
  }

  /** In the order of the calls: one that takes long does not come after a newer one. */
  async set (publisher: PeerId, cid: CID, options?: AbortOptions): Promise<void> {
    const id = publisher.toString()
    if (this.#datastore == null) {
      this.#memory.set(id, cid)
      return
    }
    const write = this.#put(publisher, cid, this.#writes.get(id), options)
    const ended: Promise<unknown> = write.catch(() => {}).then(() => {
      if (this.#writes.get(id) === ended) { this.#writes.delete(id) }
    })
    this.#writes.set(id, ended)
    return unlessAborted(write, options?.signal)
  }

  /** Waits until what was begun to be written of the publisher has ended. */
  async written (publisher: PeerId): Promise<void> {
    await this.#writes.get(publisher.toString())
  }

  async #put (publisher: PeerId, cid: CID, before?: Promise<unknown>, options?: AbortOptions): Promise<void> {
    await before
    options?.signal?.throwIfAborted()
    await this.#datastore?.put(this.#key(publisher), cid.bytes, options)
  }

  async #get (publisher: PeerId, options?: AbortOptions): Promise<CID | undefined> {
    const stored = await this.#stored(publisher, options)
    if (stored != null) { return stored }
    const known = await this.#lastKnown?.(publisher, options)
    return known == null ? undefined : toCid('lastKnownSync', known)
  }

  async #stored (publisher: PeerId, options?: AbortOptions): Promise<CID | undefined> {
    if (this.#datastore == null) { return this.#memory.get(publisher.toString()) }
    return storedCid(this.#datastore, this.#key(publisher), options)
  }

  #key (publisher: PeerId): Key {
    return new Key(this.#prefix + publisher.toString())
  }
}
