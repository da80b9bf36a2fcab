/** What a failure says, of whatever was thrown. Does not throw, as String() does for an object without a prototype. */
export function reason (cause: unknown): string {
  if (cause instanceof Error) { return cause.message }
  try {
    return String(cause)
  } catch {
    return Object.prototype.toString.call(cause)
  }
}

/** What was thrown, as an error. */
export function toError (cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(reason(cause), { cause })
}
