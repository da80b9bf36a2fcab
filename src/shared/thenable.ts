/** Whether it is to be awaited: a promise may be of another realm. */
export function isThenable (value: unknown): value is PromiseLike<unknown> {
  return typeof (value as any)?.then === 'function'
}
