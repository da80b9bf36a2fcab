import { ConnectionClosedError } from '@libp2p/interface'
import type { Stream } from '@libp2p/interface'
import { TimeoutError } from '../../shared/errors.ts'
import type { StreamReader } from '../streams.ts'

const CLOSE_TIMEOUT = 5_000

/**
 * Closes our side and drops what still comes until the other side is closed, for only then a stream is gone; resets it when that
 * takes longer than `timeout` milliseconds. Does not throw.
 */
export async function endStream (stream: Stream, reader: StreamReader, timeout = CLOSE_TIMEOUT): Promise<void> {
  const timer = setTimeout(() => { stream.abort(new TimeoutError('close timeout', timeout)) }, timeout)
  try {
    await stream.close()
    while (await reader.read() != null) { /* dropped */ }
  } catch {
    stream.abort(new ConnectionClosedError('the stream could not be closed')) // does nothing where it was reset
  } finally {
    clearTimeout(timer)
    reader.release()
  }
}
