import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const HELD = 64 * 2 ** 20 // bytes in flight each way before the sender is held back: above what loopback sends in a delay
const LIMIT = 30 * 60_000

export interface DelayProxyInit {
  /** Where to, on loopback. */
  port: number
  /** Milliseconds, each way. */
  delay: number
  /** Milliseconds until it ends by itself. */
  limit?: number
}

/**
 * A wire with a delay, where the kernel has no netem: a TCP port of loopback, whose bytes and ends go on to another port, and
 * back, after the delay. Connecting is not delayed.
 */
export class DelayProxy implements AsyncDisposable {
  readonly port: number
  private readonly server: Server
  private readonly sockets = new Set<Socket>()
  private readonly timer: NodeJS.Timeout

  private constructor (server: Server, init: DelayProxyInit) {
    this.server = server
    this.port = (server.address() as AddressInfo).port
    server.on('connection', client => { this.join(client, init) })
    this.timer = setTimeout(() => { void this.stop() }, init.limit ?? LIMIT)
  }

  static async start (init: DelayProxyInit): Promise<DelayProxy> {
    const server = createServer({ allowHalfOpen: true, noDelay: true })
    await new Promise<void>((resolve, reject) => { server.once('error', reject).listen(0, '127.0.0.1', resolve) })
    return new DelayProxy(server, init)
  }

  /** The same multiaddrs through the proxy. */
  through (addrs: string[]): string[] {
    return addrs.filter(addr => addr.includes('/tcp/')).map(addr => addr.replace(/\/tcp\/\d+/, `/tcp/${this.port}`))
  }

  async stop (): Promise<void> {
    clearTimeout(this.timer)
    for (const socket of this.sockets) { socket.destroy() }
    if (this.server.listening) { await new Promise(resolve => { this.server.close(resolve) }) }
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    await this.stop()
  }

  private join (client: Socket, { port, delay }: DelayProxyInit): void {
    const target = connect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true })
    for (const [from, to] of [[client, target], [target, client]]) {
      this.sockets.add(from)
      from.on('error', () => { to.destroy() }) // as the other side would see it
      from.on('close', () => { this.sockets.delete(from) })
      forward(from, to, delay).catch(() => { to.destroy() })
    }
  }
}

/** Writes what comes from one socket to the other after the delay, in order; reads no more while too much is held. */
async function forward (from: Socket, to: Socket, delay: number): Promise<void> {
  const held: Array<{ due: number, bytes?: Buffer }> = [] // without bytes: the end
  let size = 0
  let wake = (): void => {}
  from.on('data', bytes => {
    held.push({ due: performance.now() + delay, bytes })
    size += bytes.length
    if (size > HELD) { from.pause() }
    wake()
  })
  from.on('end', () => {
    held.push({ due: performance.now() + delay })
    wake()
  })
  to.on('drain', () => { wake() })
  to.on('close', () => { wake() })

  while (!to.destroyed) {
    if (held.length === 0 || to.writableNeedDrain) {
      await new Promise<void>(resolve => { wake = resolve })
      continue
    }
    const { due, bytes } = held[0]
    const wait = due - performance.now()
    if (wait > 0) {
      await sleep(wait)
      continue
    }
    held.shift()
    if (bytes == null) {
      to.end()
      return
    }
    to.write(bytes)
    size -= bytes.length
    if (size <= HELD) { from.resume() }
  }
}
