// Reader and writer over a stream of libp2p 3. Its own helpers lose back-pressure, reset bursts over 4 MiB or miss the end of a
// stream that was half-closed early, so these use send(), pause(), resume() and the events only.
export { StreamReader, type ByteBudget, type StreamReaderInit } from './streams/reader.ts'
export { checkOpen, isBroken } from './streams/state.ts'
export { tuneConnection, tuneConnections } from './streams/tune.ts'
export { closeWrite, send, type DrainOptions } from './streams/writer.ts'
