import { ok } from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { Libp2p, PeerId } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'
import { createNode } from '../nodes.ts'

/** What victim.ts serves, and nodes that are connected to it. */
export interface Victim {
  peer: PeerId
  nodes: Libp2p[]
  one: CID

  /** Of a chain of 2,000. */
  root: CID
}

/** Runs `play` against a process that serves graphsync and data transfer; that must have stayed below 350 MiB resident. */
export async function withVictim (play: (victim: Victim) => Promise<void>): Promise<void> {
  // young garbage would be the better part of what is resident
  const execArgv = ['--max-semi-space-size=8', '--conditions=dagsync-source', '--disable-warning=ExperimentalWarning']
  const victim = fork('test/wire/graphsync/victim.ts', { execArgv })
  const nodes = await Promise.all(Array.from({ length: 4 }, async () => await createNode()))
  try {
    const [{ address, one, root }] = await once(victim, 'message')
    const connections = await Promise.all(nodes.map(async node => await node.dial(multiaddr(address))))
    await play({ peer: connections[0].remotePeer, nodes, one: CID.parse(one), root: CID.parse(root) })
    victim.send('report')
    const [{ maxRss }] = await once(victim, 'message')
    ok(maxRss < 350, `${Math.round(maxRss)} MiB resident at most`)
  } finally {
    await Promise.all(nodes.map(async node => { await node.stop() }))
    victim.kill()
    await once(victim, 'exit')
  }
}
