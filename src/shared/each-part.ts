/**
 * Reads the body of a response of fetch, to its end or until `take` returns false or throws; then it is cancelled. Also by the signal,
 * to which a fetch of the user's may not listen.
 */
export async function eachPart (response: Response, signal: AbortSignal, take: (part: Uint8Array) => boolean): Promise<void> {
  const reader = response.body?.getReader()
  const cancel = (): void => { reader?.cancel().catch(() => {}) }
  signal.addEventListener('abort', cancel)
  let done = reader == null
  try {
    while (!done && !signal.aborted) {
      const { value } = await reader!.read()
      done = value == null
      if (value != null && !take(value)) { return }
    }
  } finally {
    signal.removeEventListener('abort', cancel)
    if (!done) { await reader?.cancel().catch(() => {}) }
  }
}
