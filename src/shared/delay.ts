/** Waits; rejects with the reason of the signal that ends the wait. */
export async function delay (ms: number, ...signals: Array<AbortSignal | undefined>): Promise<void> {
  for (const signal of signals) { signal?.throwIfAborted() }
  let timer: ReturnType<typeof setTimeout> | undefined
  let abort = (): void => {}
  try {
    await new Promise<void>((resolve, reject) => {
      abort = () => { reject(signals.find(signal => signal?.aborted)?.reason) }
      for (const signal of signals) { signal?.addEventListener('abort', abort) }
      timer = setTimeout(resolve, ms)
    })
  } finally {
    clearTimeout(timer)
    for (const signal of signals) { signal?.removeEventListener('abort', abort) }
  }
}
