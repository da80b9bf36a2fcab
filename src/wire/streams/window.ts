import type { Stream } from '@libp2p/interface'

/** A stream that is not read stops its sender at the muxer's window: yamux lets it grow to this. */
const MAX_WINDOW = 4 * 1024 * 1024

/** What libp2p may hold of a paused stream: the window, what was on its way when it grew, and the chunk that was being read. */
const MAX_PAUSED = 2 * MAX_WINDOW + 1024 * 1024

/** The state of a stream that is open on both sides and read. */
const ESTABLISHED = 3

/** What is used of a stream of @libp2p/yamux. */
interface YamuxStream extends Stream {
  maxStreamWindowSize: number
  readonly state: number
  readonly recvWindow: number
  readonly recvWindowCapacity: number
  sendWindowUpdate (): void
}

/**
 * Sets up how much the other side may send unread. A paused stream must take its whole window: libp2p resets it at 4 MiB, and yamux
 * opens windows up to 16 MiB.
 */
export function limitWindow (stream: Stream, maxWindow = MAX_WINDOW): void {
  if (!isYamux(stream)) {
    stream.maxReadBufferLength = Math.max(stream.maxReadBufferLength, 5 * MAX_WINDOW)
    return
  }
  stream.maxStreamWindowSize = Math.min(stream.maxStreamWindowSize, maxWindow)
  stream.maxReadBufferLength = Math.max(stream.maxReadBufferLength, MAX_PAUSED)
  updateByHalves(stream)
}

/**
 * @libp2p/yamux tells of each frame that was read by a frame: a write here and a read there. As long as half of the window is open
 * nobody waits for it. Go's tells of halves. Other streams are left alone.
 */
export function updateByHalves (stream: Stream): void {
  if (!isYamux(stream) || Object.hasOwn(stream, 'sendWindowUpdate')) { return }
  const update = stream.sendWindowUpdate
  stream.sendWindowUpdate = () => {
    if (stream.state !== ESTABLISHED || stream.recvWindowCapacity <= stream.recvWindow / 2) { update.call(stream) }
  }
}

function isYamux (stream: Stream): stream is YamuxStream {
  const { maxStreamWindowSize, sendWindowUpdate, recvWindow } = stream as Partial<YamuxStream>
  return typeof maxStreamWindowSize === 'number' && typeof sendWindowUpdate === 'function' && typeof recvWindow === 'number'
}
