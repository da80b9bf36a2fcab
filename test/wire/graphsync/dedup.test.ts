import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as dagCbor from '@ipld/dag-cbor'
import type { CID } from 'multiformats/cid'
import { createLinkSystem } from '../../../src/store/link-system.ts'
import {
  DO_NOT_SEND_CIDS, DO_NOT_SEND_FIRST_BLOCKS, GraphsyncStatus, LEAST_REMEMBERED_LINKS, MAX_REMEMBERED_LINKS
} from '../../../src/wire/graphsync/constants.ts'
import { Dedup } from '../../../src/wire/graphsync/dedup.ts'
import { Exchange } from '../../../src/wire/graphsync/exchange.ts'
import { until } from '../../memory/kit.ts'
import { gate } from '../data-transfer/kit.ts'
import { createPair } from '../nodes.ts'
import { chainOf, everything, forget } from './kit.ts'
import { RawPeer } from './raw-peer.ts'

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

describe('graphsync: which blocks are sent', () => {
  it('is counted by links, those that lack too; what was passed over is not sent when the walk comes to it again, as in Go', async () => {
    await using pair = await createPair()
    const linkSystem = createLinkSystem()
    await using exchange = new Exchange({ libp2p: pair.b, linkSystem })
    exchange.addValidator(() => ({ accept: true }))
    await exchange.start()
    const raw = new RawPeer(pair.a, pair.b.peerId)
    await raw.start()
    const blocks: Record<string, CID> = {}
    for (const name of ['x', 'lacks', 'y', 'z', 'known']) { blocks[name] = await linkSystem.store({ name }, { codec: dagCbor }) }
    const { x, lacks, y, z, known } = blocks
    blocks.root = await linkSystem.store([x, lacks, y, x, known, known, z, y], { codec: dagCbor })
    await forget(linkSystem, lacks)

    const id = new Uint8Array(16).fill(1)
    const extensions = { [DO_NOT_SEND_FIRST_BLOCKS]: 3, [DO_NOT_SEND_CIDS]: [known] }
    await raw.send({ requests: [{ id, type: 'new', root: blocks.root, selector: everything, extensions }] })
    equal(await raw.terminal(id), GraphsyncStatus.completedPartial)

    const nameOf = (cid: CID): string | undefined => Object.keys(blocks).find(name => blocks[name].equals(cid))
    const links = raw.responses.flatMap(({ metadata = [] }) => metadata.map(([cid, action]) => `${nameOf(cid)} ${action}`))
    deepEqual(links, ['root', 'x', 'lacks', 'y', 'x', 'known', 'known', 'z', 'y'].map(name => `${name} ${name === 'lacks' ? 'missing' : 'present'}`))
    const sent = raw.received.flatMap(({ message }) => message.blocks.map(({ data }) => (dagCbor.decode(data) as { name: string }).name))
    deepEqual(sent, ['y', 'z'])
  })

  it('is all of them for a request that comes with the cancel of another one: the peer has dropped what came for that', async () => {
    await using pair = await createPair()
    const linkSystem = createLinkSystem()
    const chain = await chainOf(linkSystem, 3)
    const held = gate(linkSystem, chain[1], { once: true })
    await using exchange = new Exchange({ libp2p: pair.b, linkSystem })
    exchange.addValidator(() => ({ accept: true }))
    await exchange.start()
    const raw = new RawPeer(pair.a, pair.b.peerId)
    await raw.start()
    const sent = (): number => raw.received.reduce((sum, { message }) => sum + message.blocks.length, 0)

    const [id, next] = [1, 2].map(n => new Uint8Array(16).fill(n))
    await raw.send({ requests: [{ id, type: 'new', root: chain[0], selector: everything }] })
    await held.reached
    await until(() => sent() === 1)
    await raw.send({ requests: [{ id, type: 'cancel' }, { id: next, type: 'new', root: chain[0], selector: everything }] })
    await until(() => raw.responses.some(({ status }) => status === GraphsyncStatus.completedFull))
    equal(sent(), 1 + 3)
  })
})
