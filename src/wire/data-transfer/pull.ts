import type { PeerId } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { ContentNotFoundError, InvalidMessageError, TransferFailedError, TransferRejectedError } from '../../shared/errors.ts'
import type { DataTransferInit, PullOptions, TransferRequest, TransferResponse, Voucher } from '../../shared/types/data-transfer.ts'
import type { GraphsyncBlock, GraphsyncResponse } from '../../shared/types/graphsync.ts'
import type { SelectorNode } from '../../shared/types/selector.ts'
import { GraphsyncStatus } from '../graphsync/constants.ts'
import type { Exchange } from '../graphsync/exchange.ts'
import type { OutgoingRequest } from '../graphsync/request.ts'
import { DATA_TRANSFER_EXTENSION, INCOMING_REQUEST_EXTENSION, TransferType } from './constants.ts'
import { messageFromNode, messageToNode } from './message.ts'
import type { Network } from './network.ts'
import { Watch } from './watch.ts'

export interface PullInit {
  exchange: Exchange
  network: Network
  config: Required<DataTransferInit>
  options: PullOptions

  /** A transfer id that was not used before. */
  nextId: () => bigint

  /** It is over. */
  onClose: () => void
}

const NO_REQUEST: TransferRequest = {
  type: TransferType.new, pause: false, partial: false, pull: false, voucherType: '', transferId: 0n, restartChannel: ['', '', 0n]
}

type Step = GraphsyncBlock | undefined

/** One pull: as many graphsync requests as it takes. */
export class Pull {
  readonly peer: PeerId
  private readonly voucher: Voucher
  private readonly root: CID
  private readonly selector: SelectorNode
  private readonly init: PullInit
  private readonly watch: Watch
  private readonly stopped = new AbortController()
  id: bigint
  private type: number = TransferType.new
  private request: OutgoingRequest | undefined

  /** Blocks that the reader has got; and those of them that a restarted walk has to pass over. */
  private given = 0
  private skip = 0
  private restarts = 0

  /** What the peer has said or done, in this request or in one before. */
  private asked = false
  private reached = false
  private accepted = false
  private ended = false

  /** By a message of its own, which may be of the request before, or come before the last blocks. */
  private completed = false
  private finished = false
  private whenEnded: (() => void) | undefined
  private cancelled = false

  /** The peer has told of a failure in this request: that it may have been lost before explains none. */
  private told = false

  /** Called for progress that is no block for the reader: what the peer, or a restarted walk, comes to again. */
  onPassed?: () => void

  constructor (peer: PeerId, voucher: Voucher, root: CID, selector: SelectorNode, init: PullInit) {
    this.peer = peer
    this.voucher = voucher
    this.root = root
    this.selector = selector
    this.init = init
    this.id = init.nextId()
    this.watch = new Watch(init.config, {
      waits: () => this.request?.hungry === true,
      probe: async signal => { await init.network.probe(peer, { signal }) },
      restart: reason => { this.request?.fail(reason) },
      fail: error => { this.fail(error) }
    })
    init.options.signal?.addEventListener('abort', this.abort)
  }

  /** Whether the walk has come to the selector's stop link. */
  get metStop (): boolean {
    return this.request?.metStop === true
  }

  /** What the selector's limit has cut off, as the walk has it. */
  get rest (): OutgoingRequest['rest'] {
    return this.request?.rest
  }

  /** The next block; undefined at the end. A promise only when something has to be waited for. One call at a time. */
  next (): Step | Promise<Step> {
    const { request } = this
    if (request == null) { return this.slowNext() }
    let step: Step | Promise<Step>
    try {
      step = request.next()
    } catch (error) {
      return this.slowNext({ error })
    }
    if (step == null || step instanceof Promise) { return this.slowNext(undefined, step ?? Promise.resolve(undefined)) }
    return this.give(step)
  }

  /** Ends the pull, also at the peer, when it may still be at work. */
  close (): void {
    this.cancel() // once more when it was stopped before: a request may have been opened since
    const { options, onClose } = this.init
    options.signal?.removeEventListener('abort', this.abort)
    this.watch.stop()
    onClose()
  }

  /** Ends it at once, with an error for the reader, who may not come for it soon, or never. */
  stop (error: unknown): void {
    this.fail(error)
    this.close()
  }

  /** Ends it at once, with an error for the reader. */
  fail (error: unknown): void {
    this.stopped.abort(error)
    this.whenEnded?.()
  }

  /** What the responder says, on a stream of its own or with its graphsync responses. Throws what the pull fails with. */
  receive ({ type, accepted, paused, transferId, voucherType, voucherResult }: TransferResponse): void {
    if (transferId !== this.id) { throw new TransferFailedError(`${this.peer} answers for another transfer`) }
    if (voucherResult !== undefined) { this.init.options.onResult?.({ type: voucherType, value: voucherResult }) }
    switch (type) {
      case TransferType.new:
      case TransferType.restart:
      case TransferType.complete:
        if (!accepted) {
          this.end()
          throw new TransferRejectedError(`response rejected: ${this.peer} refuses the transfer`)
        }
        this.accepted = true
        if (type === TransferType.complete && !paused) {
          this.completed = true
          this.whenEnded?.()
        }
        break
      case TransferType.cancel:
        this.end()
        throw new TransferFailedError(`data transfer cancelled by ${this.peer}`)
      default: // a pause: not ours to act on
    }
  }

  private readonly abort = (): void => { this.stop(this.init.options.signal?.reason) }

  private cancel (): void {
    this.request?.close()
    if (this.cancelled || !this.asked || this.ended || this.finished) { return }
    this.cancelled = true
    this.init.network.send(this.peer, { request: { ...NO_REQUEST, type: TransferType.cancel, transferId: this.id } })
  }

  private end (): void {
    this.ended = true
    this.whenEnded?.()
  }

  private give (block: GraphsyncBlock): GraphsyncBlock {
    this.given++
    if (!block.local) { this.restarts = 0 }
    return block
  }

  private async slowNext (failed?: { error: unknown }, waiting?: Promise<Step>): Promise<Step> {
    for (;;) {
      try {
        if (this.stopped.signal.aborted) {
          waiting?.catch(() => {}) // of a store, say, that has aborted it and answers later
          throw this.stopped.signal.reason
        }
        if (failed != null) { throw failed.error }
        this.request ??= await this.open()
        const step = waiting ?? this.request.next()
        waiting = undefined
        const block = step instanceof Promise ? await step : step
        if (block == null) {
          await this.untilEnded()
          return undefined
        }
        if (this.skip === 0) { return this.give(block) }
        this.skip--
        this.onPassed?.()
      } catch (error) {
        failed = undefined
        await this.recover(error)
      }
    }
  }

  private async open (): Promise<OutgoingRequest> {
    const { exchange, network, options, config } = this.init
    const { peer, voucher, root, selector, id: transferId, type } = this
    const message = messageToNode({
      request: { ...NO_REQUEST, baseCid: root, type, pull: true, selector, voucher: voucher.value, voucherType: voucher.type, transferId }
    })
    const request = await exchange.open(peer, root, selector, {
      ...options,
      stallTimeout: options.stallTimeout ?? config.stallTimeout,
      extensions: { [DATA_TRANSFER_EXTENSION]: message },
      signal: this.stopped.signal,
      onAsk: () => {
        this.asked = true
        this.reached ||= network.isConnected(peer)
        this.ended = this.completed = false
        this.told = false
        this.watch.asked()
      },
      onResponse: response => { this.onResponse(response) },
      onNetworkError: (error, unsent) => { this.onNetworkError(error, unsent) }
    })
    request.onPassed = () => { this.onPassed?.() }
    return request
  }

  /** Makes it possible to go on after an error, or throws it. */
  private async recover (error: unknown): Promise<void> {
    if (this.stopped.signal.aborted) { throw this.stopped.signal.reason }
    if (error instanceof TransferRejectedError && this.type === TransferType.restart) {
      this.renew() // the peer was started again, and does not know the channel any more
    } else if (this.watch.isLost && !this.told && (error instanceof TransferFailedError || error instanceof ContentNotFoundError)) {
      if (++this.restarts > this.init.config.maxRestarts) { throw error }
      await this.watch.reach(this.stopped.signal)
      if (this.accepted) { this.type = TransferType.restart } else { this.renew() }
    } else {
      throw error
    }
    this.request?.close()
    this.request = undefined
    this.skip = this.given
  }

  private renew (): void {
    this.type = TransferType.new
    this.id = this.init.nextId()
  }

  /** The walk is over, and all blocks are stored: the peer's last word is waited for a little, but not needed. */
  private async untilEnded (): Promise<void> {
    if (this.asked && this.accepted && !this.ended && !this.completed) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const timer = setTimeout(resolve, this.init.config.completeTimeout)
      this.whenEnded = resolve
      await promise
      clearTimeout(timer)
      this.request?.checkEnd() // also by whom it was stopped
    }
    this.finished = true
  }

  private onResponse ({ extensions, status }: GraphsyncResponse): void {
    this.reached = true
    this.watch.heard()
    this.told = status >= GraphsyncStatus.rejected
    if (status >= GraphsyncStatus.completedFull) { this.end() }
    const node = extensions?.[INCOMING_REQUEST_EXTENSION] ?? extensions?.[DATA_TRANSFER_EXTENSION]
    if (node === undefined) { return }
    try {
      const message = messageFromNode(node)
      if ('response' in message) { this.receive(message.response) }
    } catch (cause: any) {
      this.told = true
      if (!(cause instanceof InvalidMessageError)) { throw cause }
      throw new TransferFailedError(`what ${this.peer} says of the transfer is no message: ${cause.message}`, { cause })
    }
  }

  private onNetworkError (error: Error, unsent: boolean): void {
    if (error instanceof InvalidMessageError) { // the same would come again
      throw new TransferFailedError(`${this.peer} sent what is no message: ${error.message}`, { cause: error })
    }
    if (!this.reached && unsent) { // it was never there: nothing is to be resumed
      throw new TransferFailedError(`cannot reach ${this.peer}: ${error.message}`, { cause: error })
    }
    this.reached = true
    this.watch.lost(error)
  }
}
