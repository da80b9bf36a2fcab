/** First in, first out. The shift() of an array moves all that wait, which takes minutes where a million do. */
export class Queue<T> {
  private items: T[] = []
  private head = 0

  get length (): number {
    return this.items.length - this.head
  }

  push (item: T): void {
    this.items.push(item)
  }

  shift (): T | undefined {
    const { items } = this
    if (this.head === items.length) { return undefined }
    const item = items[this.head]
    items[this.head++] = undefined as T
    if (this.head === items.length) {
      items.length = this.head = 0
    } else if (this.head > 4096 && this.head * 2 > items.length) {
      items.splice(0, this.head)
      this.head = 0
    }
    return item
  }

  clear (): void {
    this.items = []
    this.head = 0
  }
}
