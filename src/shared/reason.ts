/** What a failure says, of whatever was thrown. Does not throw, as String() does for an object without a prototype. */
export function reason (cause: unknown): string {
  if (cause instanceof Error) { return cause.message }
  try {
    return String(cause)
  } catch {
    return Object.prototype.toString.call(cause)
  }
}
