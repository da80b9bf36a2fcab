import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setImmediate } from 'node:timers/promises'
import { buildGo, GO_PEERS, type GoVersion } from './go-build.ts'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'

export type KeyType = 'ed25519' | 'secp256k1' | 'rsa' | 'ecdsa'
/** Who and where a publisher is. */
export interface PublisherAddress { peerId: string, addrs: string[] }
/** libp2phttp is ipnisync over libp2p streams; both: over HTTP as well. v0.7.8 has these two, v0.4.0 has dtsync. */
export type Transport = 'http' | 'dtsync' | 'libp2phttp' | 'both'
/** Of entries: a chain of chunks, its first chunk alone, or a HAMT. */
export type EntriesKind = 'chain' | 'one' | 'hamt'
export type ChainCodec = 'dag-json' | 'dag-cbor'
/** Calls of the block hook; CIDs of the first 2,000. */
export interface HookCalls { count: number, cids: string[] }
/** Bytes of resident memory, now and at its peak since `idle`; milliseconds of processor time. */
export interface Stats { rss: number, peak: number, cpu: number }
export type Synced = HookCalls & { cid: string | null, ms: number }
/** A selector, or another node, as it is in dag-json. */
export type DagJson = unknown

/** Absent arguments have defaults. */
export type Command<Args, Answer = null> = [Args, Answer]

/** Before the reads of the link system of a Go peer, so that a test can act in the middle of a transfer. */
export interface GateCommands {
  /** Milliseconds before each read; 0: none. */
  slow: Command<{ delay: number }>
  /** Lets so many reads pass; the one after them (event `held`) and all later ones wait for `release`. */
  hold: Command<{ after: number }>
  release: Command<{}>
}

/** What a peer can be asked: arguments and answer. Bytes are base64; CIDs, peer ids and multiaddrs are text. */
export interface Commands extends GateCommands {
  /**
   * First of all: makes the key and the libp2p node. ed25519 and secp256k1 keys come from the seed of 32 bytes, others are
   * random. `store: 'discard'` drops all blocks (ours only).
   */
  start: Command<{ seed?: string, keyType?: KeyType, listen?: string[], store?: 'discard' }, PublisherAddress & { pid: number }>
  /** Joins the topic. Before publisher and subscriber, which share it. */
  gossip: Command<{ topic: string }>
  /** Waits until so many others are known to be subscribed. */
  gossipPeers: Command<{ count: number }, string[]>
  /** Also when a dial failed shortly before: Go holds dials back for 5 s and more then. */
  connect: Command<{ peerId?: string, addrs: string[] }>
  /** Closes all connections with a peer, which may come back. */
  disconnect: Command<{ peerId: string }>

  /** Puts count nodes, or signed IPNI advertisements, on top of the chain; the last one is the new root. Lists are newest first. */
  chain: Command<
    { count: number, payload?: number, seed?: number, kind?: 'node' | 'ad', codec?: ChainCodec, entries?: number, list?: boolean },
    { head: string, cids: string[], entries: string[] }
  >
  has: Command<{ cids: string[] }, { has: boolean[], blocks: number }>
  /** Until all of them are stored. */
  waitHas: Command<{ cids: string[] }>
  drop: Command<{ cids: string[] }>
  /** Unchecked. */
  put: Command<{ cid: string, bytes: string }>
  get: Command<{ cid: string }, string | null>

  /**
   * dtsync (v0.4.0 only) takes `topic`, the peers to `allow` (absent: all, empty: none) and `existing`: over a data transfer
   * manager that was made before.
   */
  publisher: Command<
    {
      transport?: Transport
      listen?: string
      handlerPath?: string
      headTopic?: string
      topic?: string
      allow?: string[]
      existing?: boolean
    },
    PublisherAddress
  >
  /** Without a CID: no head. */
  setRoot: Command<{ cid?: string }>
  closePublisher: Command<{}>
  /** `at`: just before it was sent, microseconds of the machine's monotonic clock. Default: head and addresses of the publisher. */
  announce: Command<
    { via: 'gossip' | 'http' | 'json', urls?: string[], cid?: string, addrs?: string[], extraData?: string },
    { at: number }
  >

  /** anySelector: follow all links, not PreviousID alone. */
  subscriber: Command<{
    topic?: string
    receive?: boolean
    resend?: boolean
    segmentDepthLimit?: number
    anySelector?: boolean
  }>
  closeSubscriber: Command<{}>
  /** To the head, to `cid`, or the entries of an advertisement from `entries`; up to the latest sync, or to `stop`. */
  sync: Command<
    PublisherAddress & { cid?: string, stop?: string, entries?: string, kind?: EntriesKind, depthLimit?: number, resync?: boolean },
    Synced
  >
  /** The chains of entry chunks of many advertisements: Go one after the other, ours so many at once. */
  syncEntries: Command<PublisherAddress & { cids: string[], concurrency?: number }, Synced>
  /** Ours only: so many pieces of so many bytes over one stream, and nothing else. */
  serveRaw: Command<{ count: number, size: number }>
  pullRaw: Command<PublisherAddress, { bytes: number, ms: number }>
  /** What a selector reaches, by v0.4.0's dtsync alone; not on a peer with a subscriber or publisher, whose streams it takes over. */
  dtsync: Command<PublisherAddress & { topic: string, cid: string, selector: DagJson }, Synced>
  /**
   * So many sync from one publisher at once. What each has of its own: with "subscribers" a Subscriber on its own host, with "hosts" a
   * dtsync.Sync on its own host, with "syncs" a dtsync.Sync on the one host, with "syncers" a Syncer alone (hooks and blocks are
   * counted together then). To `roots`, shared out between them, or to the head; each waits for `wait` ms.
   */
  crowd: Command<
    PublisherAddress & {
      shape: 'subscribers' | 'hosts' | 'syncs' | 'syncers', count: number, topic: string, selector: DagJson, roots?: string[], wait: number
    },
    Array<{ error?: string, hooks: number, blocks: number, ms: number }>
  >
  /** Cancels the contexts of all `sync` and `dtsync` that run. */
  cancelSyncs: Command<{}, { count: number }>
  latest: Command<{ peerId: string }, string | null>
  setLatest: Command<{ peerId: string, cid: string }>
  /** Since the last `sync` began or since they were asked for. */
  hooks: Command<{}, HookCalls>
  /** Waits for so many since the last `sync` began. */
  waitHooks: Command<{ count: number }, HookCalls>
  /** Takes HTTP announces as storetheindex does, and hands them to the subscriber. */
  announceServer: Command<{}, { url: string }>

  /** Collects garbage and makes the memory that is left the peak. */
  idle: Command<{}, Stats>
  stats: Command<{}, Stats>
}

/** `at`: microseconds of the machine's monotonic clock. */
export interface SyncFinished { cid: string, peerId: string, count: number, error?: string, at: number }
/** What a peer tells unasked. */
export interface Events {
  held: {}
  syncFinished: SyncFinished
  announced: { cid: string, addrs: string[], extraData: string | null, contentType: string, userAgent: string }
}

type CommandTable<C> = { [K in keyof C]: Command<any, any> }

interface Waiter { resolve (value: any): void, reject (error: Error): void }

const TIMEOUT = 30_000
const STOP_TIMEOUT = 5_000

/** A process that is driven by JSON lines (the language: Commands). Every wait ends by itself. */
export class Peer<C extends CommandTable<C> = Commands, E extends object = Events> implements AsyncDisposable {
  readonly name: string
  readonly #child: ChildProcessWithoutNullStreams
  readonly #answers = new Map<number, Waiter>()
  readonly #events = new Map<string, { queue: any[], waiters: Waiter[] }>()
  readonly #exited: Promise<unknown>
  #lastId = 0
  #stderr = ''
  #ended?: Error
  #frozen = false

  constructor (name: string, command: string, args: string[] = []) {
    this.name = name
    this.#child = spawn(command, args, { env: { ...process.env, GOLOG_LOG_LEVEL: 'error' } })
    this.#exited = once(this.#child, 'close').catch(() => {})
    this.#child.on('error', error => { this.#end(error.message) })
    this.#child.on('close', (code, signal) => { this.#end(`ended with ${signal ?? code}`) })
    this.#child.stdin.on('error', () => {}) // told by close
    this.#child.stderr.setEncoding('utf8').on('data', text => { this.#stderr = (this.#stderr + text).slice(-10_000) })
    createInterface(this.#child.stdout).on('line', line => { this.#read(line) })
  }

  /** Rejects with the peer's own error text as the message. */
  async call<K extends keyof C> (cmd: K, args: C[K][0], timeout = TIMEOUT): Promise<C[K][1]> {
    if (this.#ended != null) { throw this.#ended }
    const id = ++this.#lastId
    try {
      return await this.#wait(`${String(cmd)} took more than ${timeout} ms`, timeout + 1_000, waiter => {
        this.#answers.set(id, waiter)
        this.#child.stdin.write(`${JSON.stringify({ id, cmd, timeout, ...args })}\n`)
      })
    } finally {
      this.#answers.delete(id)
    }
  }

  /** The next event of that name which was not taken yet. */
  async event<K extends keyof E & string> (name: K, timeout = TIMEOUT): Promise<E[K]> {
    const { queue, waiters } = this.#eventsOf(name)
    if (queue.length > 0) { return queue.shift() }
    if (this.#ended != null) { throw this.#ended }
    let mine: Waiter | undefined
    try {
      return await this.#wait(`no ${name} for ${timeout} ms`, timeout, waiter => { waiters.push(mine = waiter) })
    } finally {
      if (mine != null && waiters.includes(mine)) { waiters.splice(waiters.indexOf(mine), 1) }
    }
  }

  /** Events that came and were not taken. */
  pending<K extends keyof E & string> (name: K): Array<E[K]> {
    return [...this.#eventsOf(name).queue]
  }

  /** SIGKILL waits for its end; SIGSTOP freezes it with all its connections open, until SIGCONT. */
  async kill (signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    this.#child.kill(signal)
    this.#frozen = signal === 'SIGSTOP'
    if (signal === 'SIGKILL') { await this.#exited }
    if (this.#frozen) {
      while (!/\) T /.test(readFileSync(`/proc/${this.#child.pid}/stat`, 'latin1'))) { await setImmediate() }
    }
  }

  async stop (): Promise<void> {
    if (this.#frozen) { await this.kill('SIGKILL') }
    this.#child.stdin.end()
    const timer = setTimeout(() => { this.#child.kill('SIGKILL') }, STOP_TIMEOUT)
    await this.#exited
    clearTimeout(timer)
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    await this.stop()
  }

  #read (line: string): void {
    let message: any
    try {
      message = JSON.parse(line)
    } catch {
      this.#stderr += `not JSON: ${line}\n`
      return
    }
    if (message.event != null) {
      const { queue, waiters } = this.#eventsOf(message.event)
      const waiter = waiters.shift()
      if (waiter == null) { queue.push(message) } else { waiter.resolve(message) }
    } else if (message.error != null) {
      this.#answers.get(message.id)?.reject(new Error(message.error))
    } else {
      this.#answers.get(message.id)?.resolve(message.ok)
    }
  }

  async #wait (late: string, timeout: number, begin: (waiter: Waiter) => void): Promise<any> {
    let timer: NodeJS.Timeout | undefined
    try {
      return await new Promise((resolve, reject) => {
        timer = setTimeout(() => { reject(new Error(`${this.name}: ${late}\n${this.#stderr}`)) }, timeout)
        begin({ resolve, reject })
      })
    } finally {
      clearTimeout(timer)
    }
  }

  #eventsOf (name: string): { queue: any[], waiters: Waiter[] } {
    let events = this.#events.get(name)
    if (events == null) { this.#events.set(name, events = { queue: [], waiters: [] }) }
    return events
  }

  #end (why: string): void {
    this.#ended ??= new Error(`${this.name} ${why}\n${this.#stderr}`)
    for (const waiter of this.#answers.values()) { waiter.reject(this.#ended) }
    for (const { waiters } of this.#events.values()) {
      for (const waiter of waiters.splice(0)) { waiter.reject(this.#ended) }
    }
  }
}

/**
 * A started Go peer: `await using peer = await GoPeer.start('v078', { seed: 1 })`. With the seed and the addresses of one that
 * was killed it takes that one's place.
 */
export class GoPeer extends Peer {
  peerId = ''
  /** Of the libp2p node, without /p2p. */
  addrs: string[] = []

  static async start (version: GoVersion, init: { seed?: number, keyType?: KeyType, listen?: string[] } = {}): Promise<GoPeer> {
    const { dir, toolchain } = GO_PEERS[version]
    const peer = new GoPeer(`Go ${version}`, await buildGo(dir, toolchain))
    try {
      const seed = Buffer.alloc(32, init.seed ?? 1).toString('base64')
      Object.assign(peer, await peer.call('start', { seed, keyType: init.keyType, listen: init.listen }))
      return peer
    } catch (error) {
      await peer.stop()
      throw error
    }
  }
}
