import { equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Libp2p } from '@libp2p/interface'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { DATA_TRANSFER_EXTENSION } from '../../src/wire/data-transfer/constants.ts'
import { Manager } from '../../src/wire/data-transfer/manager.ts'
import { messageToNode } from '../../src/wire/data-transfer/message.ts'
import { GRAPHSYNC_PROTOCOL } from '../../src/wire/graphsync/constants.ts'
import { encodeGraphsyncMessage } from '../../src/wire/graphsync/message.ts'
import { VOUCHER } from '../wire/data-transfer/kit.ts'
import { requestOf } from '../wire/data-transfer/raw-peer.ts'
import { createNode } from '../wire/nodes.ts'
import { chainOf, everything, outcome } from '../wire/graphsync/kit.ts'
import { framed } from '../wire/graphsync/raw-peer.ts'
import { alive, MiB, peersOf, until, untilHeldBack } from './kit.ts'

const PEERS = 200
const voucher = { voucher: VOUCHER.value, voucherType: VOUCHER.type }
describe('graphsync and data transfer: 200 peers that take nothing of what they ask for', () => {
  it('are held within 256 MiB together, let others be served, and leave nothing when they vanish in the middle', async () => {
    const nodes: Libp2p[] = await Promise.all(Array.from({ length: PEERS + 2 }, async () => await createNode('noise')))
    await using stack = new AsyncDisposableStack()
    stack.defer(async () => { await Promise.all(nodes.map(async node => { await node.stop() })) })
    const [server, guest, ...slow] = nodes
    const remote = createLinkSystem()
    const chain = await chainOf(remote, 600, 7_000) // more than a peer is sent unread; blocks that are copied into frames
    await using responder = new Manager({ libp2p: server, linkSystem: remote })
    responder.addVoucherType(VOUCHER.type, () => ({ accept: true }))
    responder.graphsync.addValidator((_, { extensions = {} }) => DATA_TRANSFER_EXTENSION in extensions ? undefined : { accept: true })
    await using good = new Manager({ libp2p: guest, linkSystem: createLinkSystem() })
    await Promise.all([responder.start(), good.start()])
    const { total } = (responder.graphsync as any).network
    const channels = (responder as any).server.channels
    const before = await alive()
    await guest.dial(server.getMultiaddrs())
    for (const node of slow) {
      await node.handle(GRAPHSYNC_PROTOCOL, stream => { stream.pause() })
      await node.dial(server.getMultiaddrs())
    }
    let most = 0
    await Promise.all(slow.map(async (node, i) => {
      const stream = await node.dialProtocol(server.peerId, GRAPHSYNC_PROTOCOL)
      const transfer = requestOf({ baseCid: chain[0], selector: everything, transferId: 1n, ...voucher })
      const extensions = i % 2 === 0 ? undefined : { [DATA_TRANSFER_EXTENSION]: messageToNode(transfer) }
      const id = crypto.getRandomValues(new Uint8Array(16))
      const request = { id, type: 'new' as const, root: chain[0], selector: everything, extensions }
      stream.send(framed(encodeGraphsyncMessage({ requests: [request], responses: [], blocks: [] })))
      most = Math.max(most, total.bytes)
    }))
    await untilHeldBack(responder.graphsync, PEERS)
    most = Math.max(most, total.bytes)
    equal(channels.running.size, PEERS / 2)
    ok(most > 100 * MiB, `${Math.round(most / MiB)} MiB wait: too little to show anything`)
    ok(most <= 256 * MiB, `${Math.round(most / MiB)} MiB wait`)
    const held = await alive() - before
    ok(held < 400, `${Math.round(held)} MiB more are alive, with what the peers' own streams hold`)
    const pulled = await outcome(good.pull(server.peerId, VOUCHER, chain[0], everything))
    equal(pulled.error, undefined)
    equal(pulled.cids.length, chain.length)
    await Promise.all(slow.map(async node => { await node.stop() }))
    await until(() => peersOf(responder.graphsync).size <= 1)
    equal(total.bytes, 0)
    equal(channels.running.size, 0)
    const more = await alive() - before
    ok(more < 25, `${more.toFixed(1)} MiB more`)
    const again = await outcome(good.pull(server.peerId, VOUCHER, chain[0], everything, { linkSystem: createLinkSystem() }))
    equal(again.cids.length, chain.length)
  })
})
