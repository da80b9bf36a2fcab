import type { Libp2p, PeerId, Stream } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { TransferFailedError } from '../../shared/errors.ts'
import { HeadClient } from './head.ts'
import type { QueryHeadOptions } from './head.ts'
import { DtsyncNode } from './node.ts'
import type { DtsyncNodeInit } from './node.ts'

/** What the syncers of one subscriber share: streams for head queries, and the node's data transfer. Joins the node when it is used. */
export class DtsyncClient {
  private readonly libp2p: Libp2p
  private readonly init: DtsyncNodeInit
  private readonly heads: HeadClient
  private joined: Promise<DtsyncNode> | undefined
  private stopped = false

  /** Throws InvalidOptionError where the node is in use, and what is asked for differs. It is joined later. */
  constructor (libp2p: Libp2p, init: DtsyncNodeInit & { topic: string }) {
    DtsyncNode.used(libp2p, init)
    this.libp2p = libp2p
    this.init = init
    this.heads = new HeadClient({ libp2p }, { topic: init.topic })
  }

  /** The graphsync stream, which a sync needs next, is opened meanwhile. Throws HeadQueryError and the signal's reason. */
  async head (peer: PeerId, options: QueryHeadOptions): Promise<CID | undefined> {
    const { transfers } = await this.node()
    const head = this.heads.query(peer, options)
    transfers.graphsync.connect(peer)
    return await head
  }

  /** Takes a stream of the head protocol for the next head(). */
  adopt (peer: PeerId, stream: Stream): void {
    this.heads.adopt(peer, stream)
  }

  /** Throws InvalidOptionError. */
  async node (): Promise<DtsyncNode> {
    if (this.stopped) { throw new TransferFailedError('the syncer is stopped') }
    const joined = this.joined ??= this.join()
    try {
      return await joined
    } catch (error) {
      if (this.joined === joined) { this.joined = undefined } // others on the node may leave it
      throw error
    }
  }

  async stop (): Promise<void> {
    this.stopped = true
    this.heads.stop()
    const { joined } = this
    this.joined = undefined
    const node = await joined?.catch(() => undefined)
    await node?.leave()
  }

  private async join (): Promise<DtsyncNode> {
    const node = DtsyncNode.of(this.libp2p, this.init)
    await node.join()
    return node
  }
}
