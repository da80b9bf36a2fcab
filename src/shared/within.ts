import { TimeoutError } from './errors.ts'

/**
 * Runs something under a signal that fires after a time, with a TimeoutError, or when one of the signals does. Timer and listeners are
 * gone when it is over: AbortSignal.timeout() keeps all that hangs on it until its time has come.
 *
 * @throws what `run` does
 */
export async function within<T> (
  limit: string, ms: number, signals: Array<AbortSignal | undefined>, run: (signal: AbortSignal) => Promise<T>
): Promise<T> {
  const controller = new AbortController()
  const abort = (): void => { controller.abort(signals.find(signal => signal?.aborted)?.reason) }
  const timer = setTimeout(() => { controller.abort(new TimeoutError(limit, ms)) }, ms)
  for (const signal of signals) { signal?.addEventListener('abort', abort) }
  try {
    if (signals.some(signal => signal?.aborted)) { abort() }
    return await run(controller.signal)
  } finally {
    clearTimeout(timer)
    for (const signal of signals) { signal?.removeEventListener('abort', abort) }
  }
}
