import { smallBytes } from './small-bytes.ts'

/** The letters of multibase 'b'. */
export const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567'

const VALUES = new Uint8Array(256).fill(255)
for (let i = 0; i < 32; i++) { VALUES[BASE32.charCodeAt(i)] = i }

/** The bytes of multibase text within a block: of lower case base32 without odd bits at the end; undefined for any other text. */
export function canonicalBase32 (block: Uint8Array, from: number, to: number): Uint8Array | undefined {
  if (block[from] !== 0x62 || to - from < 4) { return undefined }
  const bytes = smallBytes(((to - from - 1) * 5) >> 3)
  let bits = 0
  let held = 0
  let at = 0
  for (let i = from + 1; i < to; i++) {
    const value = VALUES[block[i]]
    if (value === 255) { return undefined }
    held = ((held << 5) | value) & 0xfff
    bits += 5
    if (bits >= 8) {
      bits -= 8
      bytes[at++] = held >> bits
    }
  }
  return bits < 5 && (held & ((1 << bits) - 1)) === 0 ? bytes : undefined
}

/** Multibase text of bytes, in lower case base32. */
export function base32Text (bytes: Uint8Array): string {
  const codes = [0x62]
  let bits = 0
  let held = 0
  for (let i = 0; i < bytes.length; i++) {
    held = ((held << 8) | bytes[i]) & 0xfff
    for (bits += 8; bits >= 5;) {
      bits -= 5
      codes.push(BASE32.charCodeAt((held >> bits) & 31))
    }
  }
  if (bits > 0) { codes.push(BASE32.charCodeAt((held << (5 - bits)) & 31)) }
  return String.fromCharCode.apply(undefined, codes)
}
