import type { Stream } from '@libp2p/interface'

/** A stream that is not read stops its sender at the muxer's window: yamux lets it grow to this. */
const MAX_WINDOW = 4 * 1024 * 1024

/** What libp2p may hold of a paused stream: the window, what was on its way when it grew, and the chunk that was being read. */
const MAX_PAUSED = 2 * MAX_WINDOW + 1024 * 1024

/** A paused stream must take its whole window: libp2p resets it at 4 MiB, and yamux opens windows up to 16 MiB. */
export function limitWindow (stream: Stream & { maxStreamWindowSize?: unknown }, maxWindow = MAX_WINDOW): void {
  if (typeof stream.maxStreamWindowSize === 'number') {
    stream.maxStreamWindowSize = Math.min(stream.maxStreamWindowSize, maxWindow)
    stream.maxReadBufferLength = Math.max(stream.maxReadBufferLength, MAX_PAUSED)
  } else {
    stream.maxReadBufferLength = Math.max(stream.maxReadBufferLength, 5 * MAX_WINDOW)
  }
}
