import { ConnectionClosedError } from '@libp2p/interface'
import type { Stream } from '@libp2p/interface'
import { InvalidMessageError, TimeoutError } from '../../shared/errors.ts'
import type { StreamReader } from '../streams.ts'

const CLOSE_TIMEOUT = 5_000

/** What is read of it meanwhile, in bytes: as much as Go's server reads of a body that nobody wants. */
const MAX_DROPPED = 256 * 1024

/**
 * Closes our side and drops what still comes until the other side is closed, for only then a stream is gone; resets it when that
 * takes longer than `timeout` milliseconds, or is much. Does not throw.
 */
export async function endStream (stream: Stream, reader: StreamReader, timeout = CLOSE_TIMEOUT): Promise<void> {
  const timer = setTimeout(() => { stream.abort(new TimeoutError('close timeout', timeout)) }, timeout)
  try {
    await stream.close()
    let dropped = 0
    for (let chunk = await reader.read(); chunk != null; chunk = await reader.read()) {
      dropped += chunk.length
      if (dropped > MAX_DROPPED) { throw new InvalidMessageError('more comes than was asked for') }
    }
  } catch {
    stream.abort(new ConnectionClosedError('the stream could not be closed')) // does nothing where it was reset
  } finally {
    clearTimeout(timer)
    reader.release()
  }
}
