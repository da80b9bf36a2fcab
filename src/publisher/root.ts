import type { AbortOptions, PeerId } from '@libp2p/interface'
import { Key, type Datastore } from 'interface-datastore'
import type { CID } from 'multiformats/cid'
import { DATASTORE_PREFIX } from '../shared/constants.ts'
import { storedCid } from '../shared/stored-cid.ts'
import { Turns } from '../shared/turns.ts'

/** The root of a publisher: in the datastore when there is one, and in memory for those who ask. */
export class Root {
  readonly #datastore?: Datastore
  readonly #key: Key
  #value?: CID
  #known = false
  readonly #turns = new Turns()

  constructor (init: { id: PeerId, topic?: string, datastore?: Datastore, initial?: CID }) {
    this.#datastore = init.datastore
    this.#key = new Key(`${DATASTORE_PREFIX}/${init.topic ?? 'no-topic'}/root/${init.id}`)
    this.#value = init.initial
  }

  get value (): CID | undefined {
    return this.#value
  }

  /** Reads the stored root, unless one was given: that one wins, and is stored. Throws InvalidOptionError when it is no CID. */
  async load (options?: AbortOptions): Promise<void> {
    if (this.#known) { return }
    if (this.#value != null) { return this.#turns.take(async () => this.#put(this.#value, options)) }
    const stored = this.#datastore && await storedCid(this.#datastore, this.#key, options)
    if (this.#known) { return } // set meanwhile
    this.#value = stored
    this.#known = true
  }

  /** Stored before it is served. In the order of the calls. */
  async set (cid: CID | undefined, options?: AbortOptions): Promise<void> {
    return this.#turns.take(async () => this.#put(cid, options))
  }

  async #put (cid: CID | undefined, options?: AbortOptions): Promise<void> {
    options?.signal?.throwIfAborted()
    if (cid == null) {
      await this.#datastore?.delete(this.#key, options)
    } else {
      await this.#datastore?.put(this.#key, cid.bytes, options)
    }
    this.#value = cid
    this.#known = true
  }
}
