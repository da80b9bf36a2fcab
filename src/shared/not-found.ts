/** Whether a store says that it has no such thing. By the name alone: its error may be of another realm. */
export function isNotFound (error: any): boolean {
  return error?.name === 'NotFoundError'
}
