/** Some 27 CIDs. Who keeps one of them keeps so much. */
const PIECE = 1024

let piece = new Uint8Array(PIECE)
let used = 0

/**
 * Bytes for a CID, all zero, that share a piece of memory with others: a CID object is made of views of its bytes, for which V8 gives
 * each array memory outside of its heap, and that takes several times as long as all the rest.
 */
export function smallBytes (length: number): Uint8Array<ArrayBuffer> {
  if (length > PIECE / 8) { return new Uint8Array(length) }
  if (used + length > piece.length) { // also where somebody has transferred it
    piece = new Uint8Array(PIECE)
    used = 0
  }
  used += length
  return piece.subarray(used - length, used)
}

/** A copy of a part of a block, which does not keep the block. */
export function smallCopy (bytes: Uint8Array, from: number, to: number): Uint8Array {
  const copy = smallBytes(to - from)
  for (let i = from; i < to; i++) { copy[i - from] = bytes[i] } // so few are set sooner one by one
  return copy
}
