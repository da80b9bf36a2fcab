const latin1Slice: ((this: Uint8Array, from: number, to: number) => string) | undefined =
  (globalThis as any).Buffer?.prototype?.latin1Slice

/** Bytes as a string of one character each: it compares and hashes as fast as any string, and is made faster than text in a base. */
export const latin1: (bytes: Uint8Array, from?: number, to?: number) => string = latin1Slice == null
  ? (bytes, from = 0, to = bytes.length) => String.fromCharCode.apply(undefined, bytes.subarray(from, to) as any)
  : (bytes, from = 0, to = bytes.length) => latin1Slice.call(bytes, from, to)

/** The bytes of such a string. */
export function latin1Bytes (text: string): Uint8Array {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) { bytes[i] = text.charCodeAt(i) }
  return bytes
}
