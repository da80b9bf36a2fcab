/** Bytes of one call, where each is an argument: an engine takes so many only. */
const PIECE = 8192

const latin1Slice: ((this: Uint8Array, from: number, to: number) => string) | undefined =
  (globalThis as any).Buffer?.prototype?.latin1Slice

/** Bytes as a string of one character each: it compares and hashes as fast as any string, and is made faster than text in a base. */
export const latin1: (bytes: Uint8Array, from?: number, to?: number) => string = latin1Slice == null
  ? inPieces
  : (bytes, from = 0, to = bytes.length) => latin1Slice.call(bytes, from, to)

/** Where there is no Node. */
function inPieces (bytes: Uint8Array, from = 0, to = bytes.length): string {
  let text = ''
  for (let at = from; at < to; at += PIECE) {
    text += String.fromCharCode.apply(undefined, bytes.subarray(at, Math.min(at + PIECE, to)) as any)
  }
  return text
}

/** The bytes of such a string. */
export function latin1Bytes (text: string): Uint8Array {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) { bytes[i] = text.charCodeAt(i) }
  return bytes
}

/** What no CID is written with; the decoders of base58, base36 and base10 take it for the first letter of theirs. */
export const NOT_ASCII = /[^\n\r -~]/
