/**
 * Settles as the work does, or rejects with the signal's reason, whichever comes first: for work that may not listen to signals. It is
 * left behind then.
 */
export async function unlessAborted<T> (work: Promise<T>, signal?: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const abort = (): void => { reject(signal?.reason) }
  signal?.addEventListener('abort', abort)
  if (signal?.aborted === true) { abort() }
  try {
    return await Promise.race([work, promise])
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}
