/** Things that are kept, and the bytes of one. With more all are forgotten, which costs no more than to make them again. */
const MAX_KEPT = 1_024
const MAX_SIZE = 256

/** What bytes stand for: publishers say the same again and again, and it is read once. */
export class Recent<T> {
  private readonly kept = new Map<string, T>()

  /** Throws as `make` does. */
  get (bytes: Uint8Array, make: (bytes: Uint8Array) => T): T {
    if (bytes.length > MAX_SIZE) { return make(bytes) }
    const key = String.fromCharCode(...bytes)
    let made = this.kept.get(key)
    if (made == null) {
      made = make(bytes)
      if (this.kept.size >= MAX_KEPT) { this.kept.clear() }
      this.kept.set(key, made)
    }
    return made
  }
}
