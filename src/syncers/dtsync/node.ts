import type { Libp2p } from '@libp2p/interface'
import { checkObject } from '../../shared/check.ts'
import { InvalidOptionError } from '../../shared/errors.ts'
import { positive } from '../../shared/positive.ts'
import type { DtsyncPublisherInit } from '../../shared/types/publisher.ts'
import { Turns } from '../../shared/turns.ts'
import { Manager } from '../../wire/data-transfer/manager.ts'
import { Exchange } from '../../wire/graphsync/exchange.ts'
import { PublisherSet } from './publishers.ts'

export type DtsyncNodeInit = Pick<DtsyncPublisherInit, 'dataTransfer' | 'maxGraphsyncRequests'>

/** Throws InvalidOptionError; `prefix` goes before the names of the fields. */
export function checkNodeInit ({ dataTransfer, maxGraphsyncRequests: limits = {} }: DtsyncNodeInit, prefix = ''): void {
  if (dataTransfer != null && !(dataTransfer instanceof Manager)) {
    throw new InvalidOptionError(`${prefix}dataTransfer`, 'must be made by createDataTransfer()')
  }
  checkObject(`${prefix}maxGraphsyncRequests`, limits)
  for (const way of ['inbound', 'outbound'] as const) {
    if (limits[way] !== undefined) { positive(`${prefix}maxGraphsyncRequests.${way}`, limits[way]) }
  }
}

const nodes = new WeakMap<Libp2p, DtsyncNode>()

/**
 * What publishers and subscribers of one libp2p node share without being told: libp2p takes one handler for a protocol. Runs while
 * somebody uses it.
 */
export class DtsyncNode {
  readonly transfers: Manager
  readonly publishers: PublisherSet
  private readonly graphsync: Exchange | undefined
  private users = 0
  private turns = new Turns()

  private constructor (libp2p: Libp2p, { dataTransfer, maxGraphsyncRequests: limits = {} }: DtsyncNodeInit) {
    this.graphsync = dataTransfer == null
      ? new Exchange({ libp2p }, { maxInboundRequests: limits.inbound, maxOutboundRequests: limits.outbound })
      : undefined
    this.transfers = dataTransfer as Manager | undefined ?? new Manager({ libp2p, graphsync: this.graphsync })
    this.publishers = new PublisherSet(this.transfers)
  }

  /**
   * The node's, made when it is not there.
   *
   * @throws {InvalidOptionError} what is asked for differs from what others on the node use
   */
  static of (libp2p: Libp2p, init: DtsyncNodeInit = {}): DtsyncNode {
    const used = DtsyncNode.used(libp2p, init)
    if (used != null) { return used }
    const known = nodes.get(libp2p)
    const node = new DtsyncNode(libp2p, init)
    if (known != null) { node.turns = known.turns } // it may still be at its end
    nodes.set(libp2p, node)
    return node
  }

  /** As of(); undefined where nobody uses one. */
  static used (libp2p: Libp2p, init: DtsyncNodeInit): DtsyncNode | undefined {
    const known = nodes.get(libp2p)
    if (known == null || known.users === 0) { return undefined }
    known.check(init)
    return known
  }

  /** leave() must follow. Throws InvalidOptionError where somebody else has the protocols on the node. */
  async join (): Promise<void> {
    this.users++
    try {
      await this.turns.take(async () => {
        if (this.graphsync == null) { return }
        await this.graphsync.start()
        await this.transfers.start()
      })
    } catch (cause: any) {
      await this.leave()
      if (cause?.name !== 'DuplicateProtocolHandlerError') { throw cause }
      throw new InvalidOptionError('dataTransfer', 'must be given, made by createDataTransfer(): the node has a graphsync or data transfer already', { cause })
    }
  }

  async leave (): Promise<void> {
    this.users--
    await this.turns.take(async () => {
      if (this.users > 0 || this.graphsync == null) { return }
      try {
        await this.transfers.stop()
      } finally {
        await this.graphsync.stop()
      }
    })
  }

  private check ({ dataTransfer, maxGraphsyncRequests = {} }: DtsyncNodeInit): void {
    if (dataTransfer != null && dataTransfer !== this.transfers) {
      throw new InvalidOptionError('dataTransfer', 'is not the one that this node uses already')
    }
    for (const way of ['inbound', 'outbound'] as const) {
      const limit = maxGraphsyncRequests[way]
      if (limit != null && this.graphsync != null && limit !== this.graphsync.limits[way]) {
        throw new InvalidOptionError(`maxGraphsyncRequests.${way}`, `is ${this.graphsync.limits[way]} on this node already`)
      }
    }
  }
}
