import { LEAST_REMEMBERED_LINKS, MAX_REMEMBERED_LINKS } from './constants.ts'
import type { Key } from './keys.ts'

/** Links that requests in progress have come to, so that no block is sent twice. It forgets the oldest ones: they are sent again. */
class Bucket {
  private links = new Map<Key, object>()
  private older = new Map<Key, object>()
  readonly users = new Set<object>()

  /**
   * Notes that a request came to a link; true when another visit of a request in progress was before. Remembers at least `count`
   * links, and twice as many at most.
   */
  visit (key: Key, user: object, count: number): boolean {
    const known = this.links.get(key) ?? this.older.get(key)
    this.links.set(key, user)
    if (this.links.size >= count) {
      this.older = this.links
      this.links = new Map()
    }
    return known != null && this.users.has(known)
  }
}

/** The links sent to one peer, by the key that its requests give. */
export class Dedup {
  private readonly buckets = new Map<string, Bucket>()

  join (key: string | undefined, user: object): (link: Key) => boolean {
    const name = key == null ? '' : `k${key}`
    let bucket = this.buckets.get(name)
    if (bucket == null) { this.buckets.set(name, bucket = new Bucket()) }
    bucket.users.add(user)
    const joined = bucket
    const { buckets } = this
    return link => joined.visit(link, user, Math.max(MAX_REMEMBERED_LINKS / buckets.size, LEAST_REMEMBERED_LINKS) / 2)
  }

  leave (key: string | undefined, user: object): void {
    const name = key == null ? '' : `k${key}`
    const bucket = this.buckets.get(name)
    bucket?.users.delete(user)
    if (bucket?.users.size === 0) { this.buckets.delete(name) }
  }
}
