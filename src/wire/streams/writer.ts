import { ConnectionClosedError } from '@libp2p/interface'
import type { AbortOptions, Stream, StreamCloseEvent } from '@libp2p/interface'
import { TimeoutError } from '../../shared/errors.ts'
import { within } from '../../shared/within.ts'
import { checkOpen } from './state.ts'

export interface DrainOptions extends AbortOptions {
  /** How long the remote may take nothing, in milliseconds; then the stream is reset with a TimeoutError. */
  timeout: number
}

/**
 * Writes the parts one after the other, without copying them: they belong to the stream then. Gives a promise only when the remote
 * is slow; it is to be awaited before the next write.
 *
 * @throws {TimeoutError} nothing was taken for `timeout` ms; the stream is reset
 * @throws what the stream failed with, and the signal's reason
 */
export function send (stream: Stream, parts: Uint8Array[], options: DrainOptions): void | Promise<void> {
  for (const part of parts) { stream.send(part) }
  if (stream.writableNeedsDrain) { return drained(stream, options) }
}

/** Not onDrain(): it works once, then back-pressure is gone. */
async function drained (stream: Stream, { signal, timeout }: DrainOptions): Promise<void> {
  // a drain may be for a part of what waits: writableNeedsDrain says
  while (stream.writableNeedsDrain) {
    signal?.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const onDrain = (): void => { resolve() }
    const onClose = (event: StreamCloseEvent): void => { reject(event.error ?? new ConnectionClosedError('the connection was closed')) }
    const onAbort = (): void => { reject(signal?.reason) }
    const timer = setTimeout(() => { reject(new TimeoutError('write timeout', timeout)) }, timeout)
    stream.addEventListener('drain', onDrain)
    stream.addEventListener('close', onClose)
    signal?.addEventListener('abort', onAbort)
    try {
      checkOpen(stream)
      await promise
    } catch (error: any) {
      if (error instanceof TimeoutError) { stream.abort(error) }
      throw error
    } finally {
      clearTimeout(timer)
      stream.removeEventListener('drain', onDrain)
      stream.removeEventListener('close', onClose)
      signal?.removeEventListener('abort', onAbort)
    }
  }
}

/** Half-closes the stream when all is written; resets it when that takes longer than `timeout`. Does not throw. */
export async function closeWrite (stream: Stream, timeout: number): Promise<void> {
  try {
    await within('close timeout', timeout, [], async signal => { await stream.close({ signal }) })
  } catch {
    // libp2p may reject with an event here
    stream.abort(new TimeoutError('close timeout', timeout))
  }
}
