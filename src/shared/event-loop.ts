const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => unknown }

/** Lets the event loop turn: what was written goes out, and what came in is seen. In a browser it may take some ms. */
export async function turnOfEventLoop (): Promise<void> {
  await new Promise<void>(resolve => { if (setImmediate == null) { setTimeout(resolve, 0) } else { setImmediate(resolve) } })
}
