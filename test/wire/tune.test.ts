import { equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { TestNet } from '../../src/testing/test-net.ts'
import { subscribed, TOPIC } from '../announce/kit.ts'
import type { Node } from '../announce/kit.ts'
import { countWrites } from './nodes.ts'

const ANNOUNCES = 50

describe('connections of a publisher and a subscriber', () => {
  it('carry an announcement in one write, and nothing back; stop() listens to them no more', async () => {
    await using net = new TestNet()
    const privateKey = await generateKeyPair('Ed25519')
    const [from, to] = [await net.node({ privateKey }), await net.node()]
    const nodes = [from, to]
    const listeners = nodes.map(node => (node as any).listenerCount('connection:open'))
    await from.dial(to.getMultiaddrs()) // before they start: these count as well
    const served = await net.publisher({ components: { libp2p: from, privateKey }, topic: TOPIC })
    const { subscriber } = await net.subscriber({ components: { libp2p: to }, topic: TOPIC, receiver: {} })
    await subscribed(from as Node, to as Node)
    const finished = subscriber.onSyncFinished()
    const announced = async (): Promise<void> => {
      await served.extend(1)
      await served.publisher.announce()
      await finished.next()
    }
    await announced()
    const counts = nodes.map(node => node.getConnections().map(countWrites))
    for (let i = 0; i < ANNOUNCES; i++) { await announced() }
    const [sent, answered] = counts.map(count => count.reduce((sum, { writes }) => sum + writes, 0))
    ok(sent >= ANNOUNCES && sent < 1.5 * ANNOUNCES, `${sent} writes for ${ANNOUNCES} announcements`) // with a heartbeat of gossip or two
    ok(answered < ANNOUNCES / 2, `${answered} writes back`)
    await Promise.all([served.publisher.stop(), subscriber.stop()])
    nodes.forEach((node, i) => { equal((node as any).listenerCount('connection:open'), listeners[i]) })
  })
})
