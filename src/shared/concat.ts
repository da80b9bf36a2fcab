/** The parts in one array; the only part as it is. */
export function concat (parts: Uint8Array[]): Uint8Array {
  if (parts.length === 1) { return parts[0] }
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
