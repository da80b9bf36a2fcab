const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
const known: string[] = new Array(64).fill('')

/** The text of a key. Blocks of one chain have the same few keys: those are not made again. */
export function keyText (bytes: Uint8Array, from: number, to: number): string {
  const size = to - from
  if (size === 0) { return '' }
  const slot = (size * 7 + bytes[from] * 3 + bytes[to - 1]) & 63
  const name = known[slot]
  return name.length === size && same(name, bytes, from) ? name : decode(bytes, from, to, slot)
}

function same (name: string, bytes: Uint8Array, from: number): boolean {
  for (let i = 0; i < name.length; i++) {
    if (name.charCodeAt(i) !== bytes[from + i]) { return false }
  }
  return true
}

function decode (bytes: Uint8Array, from: number, to: number, slot: number): string {
  const name = decoder.decode(bytes.subarray(from, to))
  // as long as its bytes, and not replaced: ASCII
  if (name.length === to - from && name.length <= 32 && same(name, bytes, from)) { known[slot] = name }
  return name
}
