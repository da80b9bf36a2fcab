import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { HttpParser } from '../../wire/http-stream/parser.ts'
import type { MessageOptions } from '../../wire/http-stream/parser.ts'
import type { Deadline } from '../../shared/deadline.ts'
import type { LookupFunction, Socket } from 'node:net'

const READ_BUFFER = 64 * 1024

/** Where a connection goes. */
export interface ConnectionInit {
  /** A name, or an IP address without brackets. */
  host: string
  port: number

  /** With TLS: the name that the certificate must carry; undefined for an IP address. */
  tls: boolean
  servername?: string
  lookup?: LookupFunction
}

interface Waiting {
  resolve(): void
  reject(reason: unknown): void
}

/** One socket that carries one request after another. */
export class Connection {
  /** Holds the response after exchange(), until the next one begins. */
  readonly response = new HttpParser('response')

  /** Whether it has carried a request before. */
  used = false

  /** When it was put aside, on performance.now(). */
  idleSince = 0

  /** Resolves when the socket is gone. */
  readonly gone: Promise<void>

  private readonly socket: Socket
  private waiting: Waiting | undefined
  private unsent: string | undefined
  private ready: boolean
  private failure: Error | undefined

  constructor (init: ConnectionInit) {
    const { host, port, tls, servername, lookup } = init
    // One buffer for all reads, from which the parser copies, instead of a new one of 64 KiB for each read.
    const onread = { buffer: new Uint8Array(READ_BUFFER), callback: (size: number, buffer: Uint8Array) => this.onData(size, buffer) }
    const options = { host, port, lookup, onread }
    this.ready = !tls // a plain socket keeps what is written before it is connected; for TLS first see who it is
    this.socket = tls ? connectTls({ ...options, servername, ALPNProtocols: ['http/1.1'] }) : connect(options)
    this.socket.setNoDelay(true)
    this.socket.on('secureConnect', () => { this.onReady() })
    this.socket.on('error', err => { this.fail(err) })
    this.socket.on('end', () => { this.onEnd() })
    this.gone = new Promise(resolve => {
      this.socket.on('close', () => {
        this.fail(new Error('the connection closed before the response was whole'))
        resolve()
      })
    })
  }

  /** Whether another request may go over it. */
  get reusable (): boolean {
    return this.failure == null && this.response.keepAlive
  }

  /** Sends a request and waits for the whole response, then found in `response`. Rejects with the raw error of the socket or the parser. */
  async exchange (head: string, options: MessageOptions, deadline: Deadline): Promise<void> {
    deadline.check()
    this.response.begin(options)
    try {
      await new Promise<void>((resolve, reject) => {
        if (this.failure != null) { throw this.failure }
        this.waiting = { resolve, reject }
        deadline.onEnd = reason => { this.fail(reason) }
        if (this.ready) {
          this.socket.write(head, 'latin1')
        } else {
          this.unsent = head
        }
      })
    } finally {
      deadline.onEnd = undefined
    }
  }

  /** While it idles it does not keep the process alive. */
  setIdle (idle: boolean): void {
    if (idle) {
      this.used = true
      this.idleSince = performance.now()
      this.socket.unref()
    } else {
      this.socket.ref()
    }
  }

  destroy (reason: unknown = new Error('the connection is not needed any more')): void {
    this.fail(reason)
  }

  private onReady (): void {
    this.ready = true
    if (this.unsent != null) { this.socket.write(this.unsent, 'latin1') }
    this.unsent = undefined
  }

  private onData (size: number, buffer: Uint8Array): boolean {
    if (this.waiting == null) {
      this.fail(new Error('bytes that nobody asked for'))
      return false
    }
    try {
      const used = this.response.push(buffer, size)
      if (this.response.done) { this.finish(used < size) }
    } catch (err) {
      this.fail(err)
    }
    return true
  }

  private onEnd (): void {
    try {
      if (this.waiting != null) {
        this.response.end()
        this.finish(true)
      }
    } catch (err) {
      this.fail(err)
    }
    this.fail(new Error('the other side has closed the connection'))
  }

  private finish (dirty: boolean): void {
    const waiting = this.waiting
    this.waiting = undefined
    if (dirty || !this.response.keepAlive) { this.fail(new Error('the connection has carried its last response')) }
    waiting?.resolve()
  }

  private fail (reason: unknown): void {
    const waiting = this.waiting
    this.waiting = undefined
    this.failure ??= reason instanceof Error ? reason : new Error('the request was aborted', { cause: reason })
    if (!this.socket.destroyed) { this.socket.destroy() }
    waiting?.reject(reason)
  }
}
