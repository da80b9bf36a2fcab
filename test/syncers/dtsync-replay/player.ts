import { once } from 'node:events'
import type { Libp2p, PeerId, Stream } from '@libp2p/interface'
import type { GraphsyncMessage } from '../../../src/shared/types/graphsync.ts'
import { StreamReader } from '../../../src/wire/streams.ts'
import { RawStream } from '../../wire/http-kit.ts'
import { RawPeer } from '../../wire/graphsync/raw-peer.ts'
import type { Conversation, Event, Side } from './conversation.ts'

const TRANSFER = '/fil/datatransfer/1.2.0'

export interface PlayerInit {
  ours: Libp2p
  conversation: Conversation

  /** Whose part it has; ours is the other one. */
  side: Side

  /** What Go's peer said, as ours has to hear it: with our ids. */
  translate?: (bytes: Uint8Array) => Uint8Array

  /** Whether ours has said what Go's peer had said when this, the n-th event of its on this wire, was recorded. */
  heard: (event: Event, n: number) => boolean

  /** What the test in Go did where the recording has these notes. */
  acts?: Record<string, () => unknown>

  /** Hook calls of ours, where it has a hook. */
  hooks?: () => number

  /** Whether ours takes streams of data transfer of this player. Default true. */
  takesTransfers?: boolean
}

/** One side of a recorded conversation: it says what that side said, after it has heard what that one had heard. */
export class Player extends RawPeer {
  /** Whole bodies of data transfer streams; empty ones are probes. */
  readonly transfers: Uint8Array[] = []

  /** Requests or answers of the head protocol. */
  readonly heads: string[] = []

  /** Streams of data transfer that ours opened. */
  private opened = 0
  private readonly init: PlayerInit
  private readonly peer: PeerId
  private readonly own = new Map<number, Stream>()
  private headStream: RawStream | undefined
  private hookNotes: number
  private over = false

  constructor (node: Libp2p, init: PlayerInit) {
    super(node, init.ours.peerId)
    this.peer = init.ours.peerId
    this.init = init
    const { events, hook } = init.conversation
    this.hookNotes = events.some(({ note }) => note.startsWith('block hook ')) ? 0 : hook.length // in some it is not said when they came
  }

  override async start (): Promise<void> {
    const { conversation: { events }, side, takesTransfers = true } = this.init
    await super.start()
    if (takesTransfers) {
      await this.node.handle(TRANSFER, async stream => {
        this.opened++
        const bytes = await new StreamReader(stream).rest(1 << 20)
        this.transfers.push(bytes.slice())
        await stream.close()
        this.wake()
      })
    }
    if (side === 'subscriber') { return }
    const protocols = new Set(events.filter(({ wire, from }) => wire === 'head' && from === side).map(({ protocol }) => protocol))
    for (const protocol of protocols) {
      await this.node.handle(protocol, async stream => {
        this.headStream = new RawStream(stream)
        this.heads.push(await this.headStream.readUntil('\r\n\r\n'))
        this.wake()
      })
    }
  }

  get messages (): GraphsyncMessage[] {
    return this.received.map(({ message }) => message)
  }

  /** Does all that the side did. `ended`: ours has nothing more to say. */
  async play (ended: Promise<unknown>): Promise<void> {
    void ended.then(() => {
      this.over = true
      this.wake()
    })
    const counts: Record<string, number> = {}
    for (const event of this.init.conversation.events) {
      if (event.event === 'note') {
        await this.note(event.note)
      } else if (event.from === this.init.side) {
        await this.say(event)
      } else {
        await this.hear(event, counts)
      }
    }
  }

  /** Ours is stopped: all that it said is here when its streams have ended, and what it opened last has come. */
  async heardAll (): Promise<void> {
    await roundTrip(this.init.ours, this.node)
    await this.until(() => this.inbound.every(({ remoteWriteStatus }) => remoteWriteStatus === 'closed') && this.opened === this.transfers.length)
  }

  /** Something has happened that a wait may be for. */
  poke (): void { this.wake() }

  /** Unless ours has ended. */
  private async soon (condition: () => boolean): Promise<void> {
    await this.until(() => this.over || condition())
  }

  private async note (note: string): Promise<void> {
    if (note.startsWith('block hook ')) {
      this.hookNotes++
      return
    }
    const act = this.init.acts?.[note]
    if (act == null) { return }
    await this.hooked()
    await act()
  }

  /** Ours has called its hook as often as Go's had. */
  private async hooked (): Promise<void> {
    const { hooks } = this.init
    if (hooks != null) { await this.soon(() => hooks() >= this.hookNotes) }
  }

  private async say ({ event, wire, stream: number, bytes, protocol }: Event): Promise<void> {
    const { translate = bytes => bytes } = this.init
    const known = this.own.get(number)
    if (event === 'reset' && known != null) {
      await this.hooked() // else nobody knows what is cut off
      await roundTrip(this.node, this.init.ours)
      known.abort(new Error('played'))
    }
    if (event === 'close' || event === 'closeWrite') { await known?.close().catch(() => {}) } // it may have gone with its connection
    if (event !== 'write' && !(event === 'open' && wire === 'transfer')) { return }
    if (wire === 'head') {
      await this.sayHead(protocol, bytes)
    } else if (event === 'open') {
      const stream = await this.node.dialProtocol(this.peer, TRANSFER)
      stream.addEventListener('close', () => { this.wake() })
      this.own.set(number, stream)
    } else {
      const stream = known ?? await this.stream(number)
      this.own.set(number, stream)
      stream.send(translate(bytes))
    }
  }

  private async sayHead (protocol: string, bytes: Uint8Array): Promise<void> {
    const text = Buffer.from(bytes).toString('latin1')
    if (this.init.side === 'publisher') {
      this.headStream?.write(text)
      return
    }
    const stream = await RawStream.open(this.node, this.peer, protocol)
    stream.write(text)
    this.heads.push(await stream.readResponse())
  }

  private async hear (event: Event, counts: Record<string, number>): Promise<void> {
    const { wire, stream: number } = event
    const mine = this.own.get(number)
    if (mine != null && wire === 'transfer' && event.event === 'read-eof') { await this.soon(() => mine.status !== 'open') }
    if (wire == null || mine != null || !isWhole(event)) { return }
    const count = counts[wire] = (counts[wire] ?? 0) + 1
    await this.soon(() => this.init.heard(event, count))
  }
}

/** A message of data transfer is whole when its stream is closed. */
function isWhole ({ event, wire }: Event): boolean {
  return wire === 'transfer' ? event === 'close' : event === 'write'
}

/** What was sent before has arrived. */
async function roundTrip (from: Libp2p, to: Libp2p): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  await to.handle('/round-trip', stream => {
    resolve()
    void stream.close()
  })
  const stream = await from.dialProtocol(to.peerId, '/round-trip')
  stream.send(new Uint8Array(1))
  await promise
  await stream.close()
  await to.unhandle('/round-trip')
}

/** Until ours has seen it too: what it sends before would be lost. */
export async function disconnect (theirs: Libp2p, ours: Libp2p): Promise<void> {
  const seen = once(ours, 'peer:disconnect')
  await theirs.hangUp(ours.peerId)
  await seen
}
