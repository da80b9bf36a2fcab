import type { Stream } from '@libp2p/interface'
import { Deadline } from '../../shared/deadline.ts'
import { ClientStream } from './client-stream.ts'

/** libp2p refuses the 65th outbound stream of a connection and protocol: some are left for others on the node. */
const MAX_STREAMS = 60

/** When one is refused all the same, because others have them: milliseconds until another one is tried. */
const REFUSED_DELAY = 50

/** A stream that was opened ahead and not used, in milliseconds: the requests are over. */
const AHEAD_TIMEOUT = 2_000

/** What a request waits for: a stream, or leave to open one. */
interface Waiter {
  resolve (stream: ClientStream | undefined): void
}

export interface StreamPoolInit {
  /** Connects if need be. */
  open (signal: AbortSignal): Promise<Stream>
  idleTimeout: number
  maxIdle: number

  /** Called when a stream begins to idle. */
  onIdle (): void

  /** Called when the last stream is gone, and the last request over. */
  onEmpty (): void
}

/** The streams to one peer. Requests that find none free wait for one, in order. */
export class StreamPool {
  private readonly init: StreamPoolInit
  private readonly idle: ClientStream[] = [] // the last one is the freshest
  private ahead: Array<Promise<ClientStream | undefined>> = []
  private readonly aheadDeadlines = new Set<Deadline>()
  private readonly waiters = new Set<Waiter>()
  private users = 0
  private count = 0 // those that are not gone, and those that are being opened
  private retry: ReturnType<typeof setTimeout> | undefined
  private stopped = false

  constructor (init: StreamPoolInit) {
    this.init = init
  }

  get hasIdle (): boolean {
    return this.idle.length > 0
  }

  private get hasRoom (): boolean {
    return this.count < MAX_STREAMS && this.waiters.size === 0
  }

  /** A request begins, which may take several streams in turn; exit() when it is over. */
  enter (): void {
    this.users++
  }

  exit (): void {
    this.users--
    this.checkEmpty()
  }

  /** A stream to use and to release(); with `fresh` none that waited for its next use, as long as there is room for another. */
  acquire (deadline: Deadline, fresh: boolean): ClientStream | Promise<ClientStream> {
    for (let kept = fresh ? undefined : this.idle.pop(); kept != null; kept = this.idle.pop()) {
      if (kept.reusable) { return kept }
      kept.end()
    }
    const opening = this.waiters.size === 0 ? this.ahead.shift() : undefined
    return opening != null ? this.fromAhead(opening, deadline) : this.another(deadline)
  }

  /** Gives a stream back. */
  release (stream: ClientStream): void {
    this.keep(stream, this.init.idleTimeout)
  }

  /** Begins to open a stream for the next request, unless there are enough. */
  prepare (timeout: number): void {
    if (this.stopped || this.ahead.length + this.idle.length >= this.init.maxIdle || !this.hasRoom) { return }
    const deadline = new Deadline('timeout', timeout)
    this.aheadDeadlines.add(deadline)
    this.count++
    const opening = this.open(deadline).catch(() => undefined).finally(() => {
      this.aheadDeadlines.delete(deadline)
      deadline.clear()
    })
    this.ahead.push(opening)
    void opening.then(stream => {
      if (!this.ahead.includes(opening)) { return } // somebody waits for it
      this.ahead = this.ahead.filter(other => other !== opening)
      if (stream != null) { this.keep(stream, AHEAD_TIMEOUT) }
    })
  }

  /** Takes a stream that was opened for another reason. */
  adopt (stream: Stream): void {
    this.count++
    const adopted = new ClientStream(stream, this.onEnd)
    if (adopted.gone) { this.onEnd(adopted, true) } else { this.keep(adopted, AHEAD_TIMEOUT) }
  }

  /** Ends what nobody has used for long, and what the other side has spoilt. */
  sweep (now: number): void {
    for (const stream of this.idle.splice(0)) {
      if (now < stream.idleUntil && stream.reusable) {
        this.idle.push(stream)
        stream.listen()
      } else {
        stream.end()
      }
    }
  }

  /** Resets the streams that nobody uses; those in use are their users' to end. */
  stop (reason: Error): void {
    this.stopped = true
    clearTimeout(this.retry)
    for (const deadline of this.aheadDeadlines) { deadline.end(reason) }
    for (const stream of this.idle.splice(0)) { stream.destroy(reason) }
  }

  /** One that is being opened, when it is there. */
  private async fromAhead (opening: Promise<ClientStream | undefined>, deadline: Deadline): Promise<ClientStream> {
    const gone = Promise.withResolvers<never>()
    deadline.onEnd = gone.reject
    try {
      deadline.check()
      const stream = await Promise.race([opening, gone.promise])
      if (stream?.reusable === true) { return stream }
      stream?.end()
    } catch (err) {
      void opening.then(stream => { stream?.end() })
      throw err
    } finally {
      deadline.onEnd = undefined
    }
    return this.another(deadline)
  }

  /** One that is opened, or one that another request has given back. */
  private async another (deadline: Deadline): Promise<ClientStream> {
    for (let wait = !this.hasRoom; ; wait = true) {
      if (wait) {
        const given = await this.wait(deadline)
        if (given != null) { return given }
      } else {
        this.count++
      }
      try {
        return await this.open(deadline)
      } catch (err) {
        if (!isRefused(err)) { throw err }
      }
    }
  }

  /** The leave for it is taken. */
  private async open (deadline: Deadline): Promise<ClientStream> {
    const controller = new AbortController()
    deadline.onEnd = reason => { controller.abort(reason) }
    let stream: ClientStream | undefined
    try {
      deadline.check()
      stream = new ClientStream(await this.init.open(controller.signal), this.onEnd)
      if (stream.gone) { this.onEnd(stream, true) }
      deadline.check()
      this.admit()
      return stream
    } catch (err) {
      if (stream != null) { stream.destroy(err) } else if (isRefused(err)) { this.refused() } else { this.leave() }
      throw err
    } finally {
      deadline.onEnd = undefined
    }
  }

  /** For a stream; undefined: for leave to open one. */
  private async wait (deadline: Deadline): Promise<ClientStream | undefined> {
    deadline.check()
    const { promise, resolve, reject } = Promise.withResolvers<ClientStream | undefined>()
    const waiter: Waiter = { resolve: stream => { this.waiters.delete(waiter); resolve(stream) } }
    deadline.onEnd = reason => {
      this.waiters.delete(waiter) // at once: what came before our turn in the queue of microtasks would be nobody's
      reject(reason)
    }
    this.waiters.add(waiter)
    try {
      return await promise
    } finally {
      deadline.onEnd = undefined
    }
  }

  private keep (stream: ClientStream, ms: number): void {
    if (this.stopped || this.init.maxIdle === 0 || !stream.reusable) {
      stream.end()
      return
    }
    const [next] = this.waiters
    if (next != null) {
      next.resolve(stream)
    } else if (this.idle.length < this.init.maxIdle) {
      stream.idleUntil = performance.now() + ms
      this.idle.push(stream)
      this.init.onIdle()
    } else {
      stream.end()
    }
  }

  private readonly onEnd = (stream: ClientStream, gone: boolean): void => {
    const at = this.idle.indexOf(stream)
    if (at !== -1) {
      this.idle.splice(at, 1)
      stream.end()
    }
    if (gone) { this.leave() }
  }

  /** Room for another stream: for who waits first. */
  private leave (): void {
    const [next] = this.waiters
    if (next != null) { return next.resolve(undefined) }
    this.count--
    this.checkEmpty()
  }

  private checkEmpty (): void {
    if (this.count === 0 && this.users === 0) { this.init.onEmpty() }
  }

  /** There was no room: not at once for the next one either. */
  private refused (): void {
    this.count--
    this.retry ??= setTimeout(() => {
      this.retry = undefined
      this.admit()
    }, REFUSED_DELAY)
    this.checkEmpty()
  }

  /** Those that were refused go on, one after the other. */
  private admit (): void {
    const [next] = this.waiters
    if (next == null || this.retry != null || this.count >= MAX_STREAMS) { return }
    this.count++
    next.resolve(undefined)
  }
}

function isRefused (err: any): boolean {
  return err?.name === 'TooManyOutboundProtocolStreamsError'
}
