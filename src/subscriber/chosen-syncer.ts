import type { AbortOptions, Libp2p, PeerId, Stream } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { CID } from 'multiformats/cid'
import { HeadQueryError, StalledError, TimeoutError, TransferFailedError, TransportUnavailableError } from '../shared/errors.ts'
import { makeReachable } from '../shared/reachable.ts'
import type { SelectorNode, SyncedBlock, Syncer, SyncerSyncOptions, SyncTransport } from '../shared/types.ts'
import { unlessAborted } from '../shared/unless-aborted.ts'
import { within } from '../shared/within.ts'
import { endStream } from '../wire/http-stream/end.ts'
import { StreamReader } from '../wire/streams.ts'

/** For a peer that is connected and has not said yet what it speaks, in milliseconds. */
const IDENTIFY_TIMEOUT = 1_000

/** How far down the reason of a failure is looked for: causes may go in a circle. */
const MAX_CAUSES = 8

export type RoutedSyncer = Syncer & { readonly workingAddr?: Multiaddr }

/** A way to sync from a peer, if the peer has it. */
export interface Candidate {
  transport: SyncTransport

  /** A peer that has it speaks one of them; empty: it is not over libp2p, and always to be had. */
  protocols: string[]

  /** Less of a sign: looked for when no candidate's protocols are spoken. */
  lesserProtocols?: string[]

  /** Of what a peer is said to speak: what shows that it is not meant to be synced from over it. */
  signsAgainst?: (protocols: string[]) => string[]

  /** Takes a stream of one of its protocols that was opened to ask, for its first request. */
  adopt?: (stream: Stream) => void
  make (): RoutedSyncer
}

export interface ChosenSyncerInit {
  peerId: PeerId

  /** Where to find it over libp2p. */
  addrs: Multiaddr[]

  /** The preferred one first; at least one. */
  candidates: Candidate[]

  /** Why the other transports are not among them. */
  lacking: string[]

  /** For finding out which one the peer speaks, in milliseconds. */
  timeout: number
}

/** A negotiation that is under way, and how many wait for what it finds. */
interface Question {
  found: Promise<Candidate | undefined>
  controller: AbortController
  waiting: number
}

/**
 * Syncs over the first of several transports that the peer speaks. Which one that is is found by one negotiation and kept; one that
 * fails goes behind the others, and it is asked again.
 */
export class ChosenSyncer implements RoutedSyncer {
  private readonly libp2p: Libp2p
  private readonly init: ChosenSyncerInit
  private candidates: Candidate[]
  private readonly syncers = new Map<Candidate, RoutedSyncer>()
  private chosen: Candidate | undefined
  private readonly questions = new Map<string, Question>()

  /** Those whose protocols were asked for last and not spoken: the peer store may not have heard of it. */
  private readonly unspoken = new Set<Candidate>()

  constructor (libp2p: Libp2p, init: ChosenSyncerInit) {
    this.libp2p = libp2p
    this.init = init
    this.candidates = init.candidates
  }

  get workingAddr (): Multiaddr | undefined {
    return this.chosen == null ? undefined : this.syncers.get(this.chosen)?.workingAddr
  }

  /** From the next transport that the peer speaks when one does not answer. Throws as these do; TransportUnavailableError: none does. */
  async head (options: AbortOptions = {}): Promise<CID | undefined> {
    const failures: Array<[Candidate, Error]> = []
    for (;;) {
      const left = this.candidates.filter(candidate => !failures.some(([failed]) => failed === candidate))
      let next: Candidate | undefined
      try {
        next = await this.choose(left, options, failures.length > 0)
      } catch (cause) {
        options.signal?.throwIfAborted()
        if (failures.length > 0) { throw this.failed(failures) }
        throw cause instanceof TransportUnavailableError ? cause : new HeadQueryError(this.init.peerId, { cause })
      }
      if (next == null) { throw this.failed(failures) }
      try {
        return await this.syncer(next).head(options)
      } catch (error) {
        options.signal?.throwIfAborted()
        this.noteFailure(next, error)
        if (!isTransportFailure(error)) { throw error }
        failures.push([next, error])
      }
    }
  }

  /** From the next transport that the peer speaks when the one of before fails at once: the peer may have changed. Throws as these do. */
  async sync (root: CID, selector: SelectorNode, options: SyncerSyncOptions = {}): Promise<void> {
    const kept = this.chosen
    const candidate = await this.choose(this.candidates, options)
    if (candidate == null) { throw this.failed([]) }
    if (candidate !== kept) { return this.syncOver(candidate, root, selector, options) }
    let begun = false
    const onBlock = (block: SyncedBlock): void | Promise<void> => {
      begun = true
      return options.onBlock?.(block)
    }
    try {
      await this.syncOver(candidate, root, selector, { ...options, onBlock })
    } catch (error) {
      if (begun || !isTransportFailure(error) || this.libp2p.getConnections(this.init.peerId).length === 0) { throw error }
      const next = await this.choose(this.candidates.filter(other => other !== candidate), options, true)
      if (next == null) { throw error }
      await this.syncOver(next, root, selector, options)
    }
  }

  private async syncOver (candidate: Candidate, root: CID, selector: SelectorNode, options: SyncerSyncOptions): Promise<void> {
    try {
      await this.syncer(candidate).sync(root, selector, options)
    } catch (error) {
      this.noteFailure(candidate, error)
      throw error
    }
  }

  private syncer (candidate: Candidate): RoutedSyncer {
    let syncer = this.syncers.get(candidate)
    if (syncer == null) {
      syncer = candidate.make()
      this.syncers.set(candidate, syncer)
    }
    return syncer
  }

  private noteFailure (candidate: Candidate, error: unknown): void {
    if (!isTransportFailure(error)) { return }
    if (isUnsupported(error)) { this.unspoken.add(candidate) }
    if (this.chosen === candidate) { this.chosen = undefined }
    this.candidates = [...this.candidates.filter(other => other !== candidate), candidate]
  }

  /** Unless told to `ask`, without a question where there is only one. undefined: the peer speaks none. Throws why it cannot be asked. */
  private async choose (among: Candidate[], options: AbortOptions, ask = false): Promise<Candidate | undefined> {
    if (this.chosen != null && among.includes(this.chosen)) { return this.chosen }
    const sure = among.findIndex(({ protocols }) => protocols.length === 0)
    const asked = sure === -1 ? among : among.slice(0, sure)
    let found: Candidate | undefined
    if (asked.length > 0) {
      try {
        found = ask || among.length > 1 ? await this.spoken(asked, options) : asked[0]
      } catch (error) {
        if (sure === -1 || options.signal?.aborted === true) { throw error }
      }
    }
    if (found?.signsAgainst != null && await this.speaks(found.signsAgainst(await this.protocols(options)), options)) {
      return this.choose(among.filter(other => other !== found), options, true)
    }
    this.chosen = found ?? among[sure]
    return this.chosen
  }

  /** What the peer says that it speaks, without what it was found not to. */
  private async protocols (options: AbortOptions): Promise<string[]> {
    const protocols = await identified(this.libp2p, this.init.peerId, options)
    return protocols.filter(protocol => ![...this.unspoken].some(candidate => candidate.protocols.includes(protocol)))
  }

  /** Whether it is so that the peer speaks one of them: the peer store tells of a peer that was started again what it spoke before. */
  private async speaks (protocols: string[], { signal }: AbortOptions): Promise<boolean> {
    if (protocols.length === 0) { return false }
    try {
      const stream = await within('httpTimeout', this.init.timeout, [signal], async signal => this.open(protocols, signal))
      void endStream(stream, new StreamReader(stream))
      return true
    } catch (error: any) {
      signal?.throwIfAborted()
      return error?.name !== 'UnsupportedProtocolError'
    }
  }

  /** The first one that the peer speaks: syncs that begin at once ask once. */
  private async spoken (among: Candidate[], { signal }: AbortOptions): Promise<Candidate | undefined> {
    signal?.throwIfAborted()
    const key = among.map(({ transport }) => transport).join()
    const question = this.questions.get(key) ?? this.question(key, among)
    question.waiting++
    try {
      return await unlessAborted(question.found, signal)
    } finally {
      if (--question.waiting === 0) {
        if (this.questions.get(key) === question) { this.questions.delete(key) }
        question.controller.abort()
      }
    }
  }

  private question (key: string, among: Candidate[]): Question {
    const controller = new AbortController()
    const question = { found: this.negotiate(among, controller.signal), controller, waiting: 0 }
    this.questions.set(key, question)
    return question
  }

  /** By one stream. */
  private async negotiate (among: Candidate[], signal: AbortSignal): Promise<Candidate | undefined> {
    const { peerId, addrs, timeout } = this.init
    const byProtocol = new Map<string, Candidate>()
    for (const list of ['protocols', 'lesserProtocols'] as const) {
      for (const candidate of among) {
        for (const protocol of candidate[list] ?? []) { byProtocol.set(protocol, candidate) }
      }
    }
    return within('httpTimeout', timeout, [signal], async signal => {
      try {
        await makeReachable(this.libp2p, peerId, addrs, 'libp2p', { signal })
        const stream = await this.open([...byProtocol.keys()], signal)
        const spoken = byProtocol.get(stream.protocol)
        for (const candidate of among) {
          if (candidate === spoken) { break }
          this.unspoken.add(candidate)
        }
        if (spoken != null) { this.unspoken.delete(spoken) }
        if (spoken?.adopt != null && spoken.protocols.includes(stream.protocol)) {
          spoken.adopt(stream)
        } else {
          void endStream(stream, new StreamReader(stream))
        }
        return spoken
      } catch (cause: any) {
        signal.throwIfAborted()
        if (cause?.name === 'UnsupportedProtocolError') { return undefined }
        if (cause instanceof TransportUnavailableError) { throw cause }
        throw new TransferFailedError(`no connection to ${peerId}: ${cause?.message ?? cause}`, { cause })
      }
    })
  }

  /** Once more where there was a connection: the peer may just have been closing it, as one does that is started again. */
  private async open (protocols: string[], signal: AbortSignal): Promise<Stream> {
    const { peerId, addrs } = this.init
    const connected = this.libp2p.getConnections(peerId).length > 0
    try {
      return await this.libp2p.dialProtocol(peerId, protocols, { signal })
    } catch (error: any) {
      if (!connected || signal.aborted || error?.name === 'UnsupportedProtocolError') { throw error }
      await makeReachable(this.libp2p, peerId, addrs, 'libp2p', { signal })
      return this.libp2p.dialProtocol(peerId, protocols, { signal })
    }
  }

  /** What to throw when nothing is left to try. A transport that failed as the only one that the peer has speaks for itself. */
  private failed (failures: Array<[Candidate, Error]>): Error {
    const [, last] = failures.at(-1) ?? []
    if (failures.length === 1 && last != null && !(last.cause instanceof TransportUnavailableError)) { return last }
    const tried = this.init.candidates.map(candidate => {
      const [, error] = failures.find(([failed]) => failed === candidate) ?? []
      if (error?.cause instanceof TransportUnavailableError) { return error.cause.tried.join('; ') }
      return `${candidate.transport}: ${error?.message ?? `it speaks none of ${candidate.protocols.join(', ')}`}`
    })
    return new TransportUnavailableError(this.init.peerId, [...this.init.lacking, ...tried], { cause: last })
  }
}

/** What a peer that we are connected to says that it speaks; only what we have seen where identify is not used, or takes long. */
async function identified (libp2p: Libp2p, peerId: PeerId, { signal }: AbortOptions): Promise<string[]> {
  const heard = Promise.withResolvers<void>()
  const onEnd = (): void => { heard.resolve() }
  const onIdentify = ({ detail }: CustomEvent<{ peerId: PeerId }>): void => { if (detail.peerId.equals(peerId)) { heard.resolve() } }
  const timer = setTimeout(onEnd, IDENTIFY_TIMEOUT)
  libp2p.addEventListener('peer:identify', onIdentify)
  signal?.addEventListener('abort', onEnd)
  try {
    const { protocols, metadata } = await libp2p.peerStore.get(peerId, { signal })
    if (metadata.has('AgentVersion') || !libp2p.getProtocols().some(protocol => protocol.endsWith('/id/1.0.0'))) { return protocols }
    await heard.promise
    signal?.throwIfAborted()
    return (await libp2p.peerStore.get(peerId, { signal })).protocols
  } catch {
    signal?.throwIfAborted()
    return []
  } finally {
    clearTimeout(timer)
    libp2p.removeEventListener('peer:identify', onIdentify)
    signal?.removeEventListener('abort', onEnd)
  }
}

/** Whether the reason of it all is that the peer does not speak a protocol: transports wrap that, each in its own way. */
function isUnsupported (error: Error): boolean {
  let cause: any = error
  for (let depth = 0; depth < MAX_CAUSES && cause != null; depth++, cause = cause.cause) {
    if (cause.name === 'UnsupportedProtocolError') { return true }
  }
  return false
}

/** Not an answer of the publisher: another transport may do better. */
function isTransportFailure (error: unknown): error is Error {
  return error instanceof HeadQueryError || error instanceof TransferFailedError || error instanceof TimeoutError ||
    error instanceof StalledError || error instanceof TransportUnavailableError
}
