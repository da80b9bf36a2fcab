/** Whether it is to be awaited: a promise may be of another realm. */
export function isThenable (value: unknown): value is PromiseLike<unknown> {
  return typeof (value as any)?.then === 'function'
}

/** Whether a promise came where none is taken. Nobody is going to await it: one that rejects must not end the process. */
export function isStrayPromise (value: unknown): boolean {
  if (!isThenable(value)) { return false }
  value.then(undefined, () => {})
  return true
}
