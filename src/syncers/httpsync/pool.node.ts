import { Connection } from './connection.node.ts'
import type { ConnectionInit } from './connection.node.ts'
import type { Deadline } from '../../shared/deadline.ts'

/** As many as syncs run at once by default (MAX_ASYNC_SYNCS): publishers may share a host. */
const MAX_CONNECTIONS = 64

/** Below the 5 seconds after which Node's server closes its side. */
const IDLE_TIME = 4000

interface Waiter {
  resolve(connection: Connection): void
  reject(reason: unknown): void
}

/** The connections to one origin. */
export class ConnectionPool {
  private readonly init: ConnectionInit
  private readonly idle: Connection[] = [] // the last one is the freshest
  private readonly open = new Set<Connection>()
  private readonly waiters = new Set<Waiter>()

  constructor (init: ConnectionInit) {
    this.init = init
  }

  get empty (): boolean {
    return this.open.size === 0 && this.waiters.size === 0
  }

  get hasIdle (): boolean {
    return this.idle.length > 0
  }

  /** A connection to use and to release(); with `fresh` a new one. Waits while there are MAX_CONNECTIONS in use. */
  acquire (deadline: Deadline, fresh = false): Connection | Promise<Connection> {
    for (let kept = this.idle.pop(); kept != null; kept = this.idle.pop()) {
      if (kept.reusable && !fresh) {
        kept.setIdle(false)
        return kept
      }
      this.drop(kept) // with one of them gone, the older ones are likely gone too
    }
    return this.open.size < MAX_CONNECTIONS ? this.connect() : this.wait(deadline)
  }

  release (connection: Connection): void {
    if (!connection.reusable) {
      this.drop(connection)
      const next = first(this.waiters)
      if (next != null) { next.resolve(this.connect()) }
      return
    }
    const next = first(this.waiters)
    connection.setIdle(true)
    if (next == null) {
      this.idle.push(connection)
    } else {
      connection.setIdle(false)
      next.resolve(connection)
    }
  }

  /** Closes what has been idle for IDLE_TIME. */
  sweep (now: number): void {
    while (this.idle.length > 0 && (now - this.idle[0].idleSince >= IDLE_TIME || !this.idle[0].reusable)) {
      this.drop(this.idle[0])
      this.idle.shift()
    }
  }

  /** Closes everything; resolves when the sockets are gone. */
  async stop (reason: Error): Promise<void> {
    for (const waiter of this.waiters) { waiter.reject(reason) }
    const open = [...this.open]
    this.idle.length = 0
    this.open.clear()
    for (const connection of open) { connection.destroy(reason) }
    await Promise.all(open.map(connection => connection.gone))
  }

  private connect (): Connection {
    const connection = new Connection(this.init)
    this.open.add(connection)
    return connection
  }

  private drop (connection: Connection): void {
    this.open.delete(connection)
    connection.destroy()
  }

  private async wait (deadline: Deadline): Promise<Connection> {
    deadline.check()
    try {
      return await new Promise<Connection>((resolve, reject) => {
        // Left at once: a connection that comes before our turn in the queue of microtasks would be nobody's.
        const leave = (): void => { this.waiters.delete(waiter) }
        const waiter: Waiter = { resolve: connection => { leave(); resolve(connection) }, reject: reason => { leave(); reject(reason) } }
        this.waiters.add(waiter)
        deadline.onEnd = waiter.reject
      })
    } finally {
      deadline.onEnd = undefined
    }
  }
}

function first<T> (set: Set<T>): T | undefined {
  return set.values().next().value
}
