/** Shorter names first, then by their bytes. */
export function dagCborOrder (names: string[]): string[] {
  const encoder = new TextEncoder()
  const encoded = names.map(name => ({ name, bytes: encoder.encode(name) }))
  return encoded.sort((a, b) => a.bytes.length - b.bytes.length || compare(a.bytes, b.bytes)).map(({ name }) => name)
}

function compare (a: Uint8Array, b: Uint8Array): number {
  const at = a.findIndex((byte, i) => byte !== b[i])
  return at < 0 ? 0 : a[at] - b[at]
}
