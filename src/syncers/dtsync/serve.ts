import type { Libp2p } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import type { HeadServer } from '../../shared/types/dtsync.ts'
import { createHeadServer } from './head-server.ts'
import { DtsyncNode } from './node.ts'
import type { DtsyncNodeInit } from './node.ts'
import type { Served } from './publishers.ts'

/** The publisher's half: answers head queries, and serves pulls. Go: dtsync.NewPublisher, NewPublisherFromExisting. */
export class DtsyncServer {
  private readonly libp2p: Libp2p
  private readonly init: DtsyncNodeInit
  private readonly served: Served
  private readonly heads: HeadServer
  private node: DtsyncNode | undefined

  constructor (libp2p: Libp2p, served: Served, init: DtsyncNodeInit) {
    this.libp2p = libp2p
    this.served = served
    this.init = init
    this.heads = createHeadServer({ libp2p }, { topic: served.topic })
  }

  setRoot (cid: CID | undefined): void {
    this.heads.root = cid
  }

  /** Throws InvalidOptionError. */
  async start (): Promise<void> {
    const node = DtsyncNode.of(this.libp2p, this.init)
    node.publishers.add(this.served)
    this.node = node
    try {
      await node.join()
      await this.heads.start()
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  async stop (): Promise<void> {
    const { node } = this
    if (node == null) { return }
    this.node = undefined
    node.publishers.remove(this.served)
    await this.heads.stop()
    await node.leave()
  }
}
