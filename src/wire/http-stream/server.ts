import type { Connection, Libp2p, Startable, Stream } from '@libp2p/interface'
import { TransferFailedError } from '../../shared/errors.ts'
import { Turns } from '../../shared/turns.ts'
import { tuneConnection } from '../streams.ts'
import type { HttpHandler } from './handler.ts'
import { Room } from './room.ts'
import { serve } from './serve.ts'
import type { ServeOptions } from './serve.ts'

const MAX_INBOUND_STREAMS = 256

export interface HttpStreamServerInit extends ServeOptions {
  protocols: string[]

  /**
   * Streams that one connection may have open; libp2p itself has 32.
   *
   * @default 256
   */
  maxInboundStreams?: number
}

/** Serves a handler over HTTP/1.1 on streams of libp2p. start() and stop() may be called at any moment, and take turns. */
export class HttpStreamServer implements Startable {
  private readonly libp2p: Pick<Libp2p, 'handle' | 'unhandle'>
  private readonly handler: HttpHandler
  private readonly init: HttpStreamServerInit
  private readonly streams = new Set<Stream>()
  private readonly rooms = new Map<string, Room>() // of peers that have streams open
  private handled: string[] = []
  private stopped = false
  private readonly turns = new Turns()

  constructor (components: { libp2p: Pick<Libp2p, 'handle' | 'unhandle'> }, handler: HttpHandler, init: HttpStreamServerInit) {
    this.libp2p = components.libp2p
    this.handler = handler
    this.init = init
  }

  /** Rejects with what libp2p.handle() rejects with: another one serves the protocol. */
  async start (): Promise<void> {
    return this.turns.take(async () => {
      if (this.handled.length > 0) { return }
      const { protocols, maxInboundStreams = MAX_INBOUND_STREAMS } = this.init
      this.stopped = false
      try {
        for (const protocol of new Set(protocols)) {
          await this.libp2p.handle(protocol, (stream, connection) => { void this.serve(stream, connection) }, { maxInboundStreams })
          this.handled.push(protocol)
        }
      } catch (error) {
        await this.unhandle()
        throw error
      }
    })
  }

  /** Resets the streams that are open. */
  async stop (): Promise<void> {
    return this.turns.take(async () => {
      this.stopped = true
      await this.unhandle()
      for (const stream of this.streams) { stream.abort(stoppedError()) }
    })
  }

  private async unhandle (): Promise<void> {
    const { handled } = this
    this.handled = []
    await this.libp2p.unhandle(handled)
  }

  private async serve (stream: Stream, connection: Connection): Promise<void> {
    if (this.stopped) { return stream.abort(stoppedError()) } // a middleware of the node has held it back
    tuneConnection(connection)
    const key = connection.remotePeer.toString()
    const room = this.rooms.get(key) ?? new Room()
    this.rooms.set(key, room)
    room.streams++
    this.streams.add(stream)
    await serve(stream, this.handler, this.init, room)
    this.streams.delete(stream)
    if (--room.streams === 0) { this.rooms.delete(key) }
  }
}

function stoppedError (): TransferFailedError {
  return new TransferFailedError('the HTTP server is stopped')
}
