import { equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { LEAST_REMEMBERED_LINKS, MAX_REMEMBERED_LINKS } from '../../../src/wire/graphsync/constants.ts'
import { Dedup } from '../../../src/wire/graphsync/dedup.ts'

describe('graphsync: links that are remembered for a peer', () => {
  it('are few, however many keys it has', () => {
    const dedup = new Dedup()
    const users = Array.from({ length: 1_000 }, (_, i) => ({ key: `${i}` }))
    const visits = users.map(user => dedup.join(user.key, user))
    for (let i = 0; i < 400; i++) {
      for (const visit of visits) { equal(visit(`link ${i}`), false) }
    }
    ok(visits[0]('link 399'))
    const kept = [...(dedup as any).buckets.values()].reduce((sum, { links, older }) => sum + links.size + older.size, 0)
    ok(kept <= users.length * LEAST_REMEMBERED_LINKS, `${kept} links`)

    for (const user of users.slice(1)) { dedup.leave(user.key, user) }
    for (let i = 0; i < MAX_REMEMBERED_LINKS; i++) { visits[0](`one of many ${i}`) }
    ok(visits[0](`one of many ${MAX_REMEMBERED_LINKS / 2}`), 'a single one remembers many')
    dedup.leave(users[0].key, users[0])
    equal((dedup as any).buckets.size, 0)
  })
})
