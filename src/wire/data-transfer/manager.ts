/// <reference lib="esnext.disposable" preserve="true" />
import type { Libp2p, PeerId } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { checkNode } from '../../shared/components.ts'
import { checkPeerId } from '../../shared/check.ts'
import { InvalidOptionError, TransferFailedError } from '../../shared/errors.ts'
import { checkWhole, LONGEST_TIMER } from '../../shared/positive.ts'
import type {
  DataTransfer, DataTransferInit, PullOptions, TransferMessage, Voucher, VoucherValidator
} from '../../shared/types/data-transfer.ts'
import type { GraphExchange, GraphsyncBlock } from '../../shared/types/graphsync.ts'
import type { SelectorNode } from '../../shared/types/selector.ts'
import type { LinkSystem } from '../../shared/types/store.ts'
import { Turns } from '../../shared/turns.ts'
import { blocksOf } from '../graphsync/blocks.ts'
import { Exchange } from '../graphsync/exchange.ts'
import { DEFAULTS, TransferType } from './constants.ts'
import { Network } from './network.ts'
import { Pull } from './pull.ts'
import { Server } from './serve.ts'

export interface DataTransferComponents {
  libp2p: Libp2p

  /** Made by createGraphsync(), and started and stopped by whoever made it. Without one, data transfer makes and runs its own. */
  graphsync?: GraphExchange

  /** For the exchange that is made here. */
  linkSystem?: LinkSystem
}

/**
 * Makes the data transfer manager of a node; start() registers it. One node has one: libp2p takes one handler for a protocol.
 *
 * Speaks with go-data-transfer v2.0.0-rc7 and everything else that has /fil/datatransfer/1.2.0, over graphsync.
 *
 * @throws {InvalidOptionError}
 */
export function createDataTransfer (components: DataTransferComponents, init: DataTransferInit = {}): DataTransfer {
  return new Manager(components, init)
}

export class Manager implements DataTransfer {
  readonly graphsync: Exchange
  private readonly ownGraphsync: boolean
  private readonly config: Required<DataTransferInit>
  private readonly network: Network
  private readonly server: Server
  private readonly pulls = new Set<Pull>()
  private lastId = BigInt(Date.now()) * 1_000_000n + BigInt(Math.floor(Math.random() * 1e6)) // ids are never used again: by the clock
  private removeValidator: (() => void) | undefined
  private readonly turns = new Turns()

  constructor ({ libp2p, graphsync, linkSystem }: DataTransferComponents, init: DataTransferInit = {}) {
    checkNode(libp2p)
    if (graphsync != null && !(graphsync instanceof Exchange)) { throw new InvalidOptionError('graphsync', 'must be made by createGraphsync()') }
    this.config = checked(init)
    this.ownGraphsync = graphsync == null
    this.graphsync = graphsync ?? new Exchange({ libp2p, linkSystem })
    const { openTimeout } = this.config
    this.network = new Network({ libp2p, openTimeout, onMessage: (peer, message) => { this.onMessage(peer, message) } })
    this.server = new Server(this.network)
  }

  async start (): Promise<void> {
    return this.turns.take(async () => {
      if (this.removeValidator != null) { return }
      await this.network.start()
      this.removeValidator = this.graphsync.addValidator(this.server.validate)
      try {
        if (this.ownGraphsync) { await this.graphsync.start() }
      } catch (error) {
        await this.close()
        throw error
      }
    })
  }

  async stop (): Promise<void> {
    return this.turns.take(async () => {
      if (this.removeValidator == null) { return }
      for (const pull of [...this.pulls]) { pull.stop(new TransferFailedError('data transfer was stopped')) }
      if (this.ownGraphsync) { await this.graphsync.stop() }
      await this.close()
    })
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    await this.stop()
  }

  addVoucherType (type: string, validate: VoucherValidator): () => void {
    return this.server.addVoucherType(type, validate)
  }

  async * pull (
    peer: PeerId, voucher: Voucher, root: CID, selector: SelectorNode, options: PullOptions = {}
  ): AsyncGenerator<GraphsyncBlock, void, undefined> {
    yield * blocksOf(this.open(peer, voucher, root, selector, options))
  }

  /** pull() without a generator: for loops that want no promise where there is nothing to wait for. close() must follow. */
  open (peer: PeerId, voucher: Voucher, root: CID, selector: SelectorNode, options: PullOptions = {}): Pull {
    options.signal?.throwIfAborted()
    checkPeerId('peer', peer)
    if (this.removeValidator == null) { throw new TransferFailedError('data transfer is not started') }
    const { graphsync: exchange, network, config } = this
    const pull: Pull = new Pull(peer, voucher, root, selector, {
      exchange, network, config, options, nextId: () => ++this.lastId, onClose: () => { this.pulls.delete(pull) }
    })
    this.pulls.add(pull)
    return pull
  }

  private async close (): Promise<void> {
    this.removeValidator?.()
    this.removeValidator = undefined
    await this.network.stop()
  }

  private onMessage (peer: PeerId, message: TransferMessage): void {
    if ('request' in message) {
      // a push, a voucher, a pause: nothing that a pull has use for
      if (message.request.type === TransferType.cancel) { this.server.cancel(peer, message.request.transferId) }
      return
    }
    const { response } = message
    for (const pull of this.pulls) {
      if (pull.id !== response.transferId || !pull.peer.equals(peer)) { continue }
      try {
        pull.receive(response)
      } catch (error) {
        pull.fail(error)
      }
    }
  }
}

function checked (init: DataTransferInit): Required<DataTransferInit> {
  const given = Object.fromEntries(Object.entries(init).filter(([, value]) => value !== undefined))
  const config = Object.freeze({ ...DEFAULTS, ...given })
  for (const field of Object.keys(DEFAULTS) as Array<keyof DataTransferInit>) {
    const least = field === 'maxRestarts' || field === 'restartDebounce' ? 0 : 1
    checkWhole(field, config[field], least, LONGEST_TIMER)
  }
  return config
}
