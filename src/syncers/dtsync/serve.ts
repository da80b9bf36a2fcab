import type { Libp2p } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { PublisherStoppedError } from '../../shared/errors.ts'
import type { HeadServer } from '../../shared/types/dtsync.ts'
import { createHeadServer } from './head-server.ts'
import { DtsyncNode } from './node.ts'
import type { DtsyncNodeInit } from './node.ts'
import type { Served } from './publishers.ts'

/** The publisher's half: answers head queries, and serves pulls. Go: dtsync.NewPublisher, NewPublisherFromExisting. */
export class DtsyncServer {
  private readonly libp2p: Libp2p
  private readonly init: DtsyncNodeInit
  private readonly publisher: Omit<Served, 'signal'>
  private readonly heads: HeadServer
  private running: { node: DtsyncNode, served: Served, stopped: AbortController } | undefined

  constructor (libp2p: Libp2p, publisher: Omit<Served, 'signal'>, init: DtsyncNodeInit) {
    this.libp2p = libp2p
    this.publisher = publisher
    this.init = init
    this.heads = createHeadServer({ libp2p }, { topic: publisher.topic })
  }

  setRoot (cid: CID | undefined): void {
    this.heads.root = cid
  }

  /** stop() must follow, also where it fails. Throws InvalidOptionError. */
  async start (): Promise<void> {
    const node = DtsyncNode.of(this.libp2p, this.init)
    const stopped = new AbortController()
    const served = { ...this.publisher, signal: stopped.signal }
    node.publishers.add(served)
    try {
      await node.join()
    } catch (error) {
      node.publishers.remove(served)
      throw error
    }
    this.running = { node, served, stopped }
    await this.heads.start()
  }

  async stop (): Promise<void> {
    const { running } = this
    if (running == null) { return }
    this.running = undefined
    const { node, served, stopped } = running
    node.publishers.remove(served)
    try {
      await this.heads.stop()
    } finally {
      try {
        await node.leave() // resets the streams when nobody else is left: peers may resume when a publisher is there again
      } finally {
        stopped.abort(new PublisherStoppedError())
      }
    }
  }
}
