/**
 * Which keys were seen lately, per owner: an owner's announcements never push out those of another. Both are bounded, the
 * ones that were seen longest ago go first. Go: announce/string_lru.go, one for all owners.
 */
export class Seen {
  private readonly owners = new Map<string, Set<string>>()
  private readonly maxOwners: number
  private readonly maxKeys: number

  constructor (maxOwners: number, maxKeys: number) {
    this.maxOwners = maxOwners
    this.maxKeys = maxKeys
  }

  /** Whether the key was seen; from now on it is. */
  update (owner: string, key: string): boolean {
    const keys = this.owners.get(owner) ?? new Set<string>()
    this.owners.delete(owner)
    this.owners.set(owner, keys)
    if (this.owners.size > this.maxOwners) { this.owners.delete(this.owners.keys().next().value as string) }
    const seen = keys.delete(key)
    keys.add(key)
    if (keys.size > this.maxKeys) { keys.delete(keys.values().next().value as string) }
    return seen
  }

  /** Without an owner: from all of them. */
  remove (key: string, owner?: string): void {
    const from = owner == null ? this.owners.values() : [this.owners.get(owner)]
    for (const keys of from) { keys?.delete(key) }
  }

  clear (): void {
    this.owners.clear()
  }
}
