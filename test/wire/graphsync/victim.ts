// A process that serves graphsync to a test and says how much memory it took: what is resident counts here, without the attackers.
import { createLinkSystem } from '../../../src/store/link-system.ts'
import { createGraphsync } from '../../../src/wire/graphsync/index.ts'
import { createNode } from '../nodes.ts'
import { chainOf } from './kit.ts'

const libp2p = await createNode()
const linkSystem = createLinkSystem()
const [one] = await chainOf(linkSystem, 1, 100, 1)
const [root] = await chainOf(linkSystem, 2_000, 5_000, 2)
const graphsync = createGraphsync({ libp2p, linkSystem })
graphsync.addValidator(() => ({ accept: true }))
await graphsync.start()
process.on('message', () => { process.send?.({ maxRss: process.resourceUsage().maxRSS / 1024 }) })
process.send?.({ address: libp2p.getMultiaddrs()[0].toString(), one: one.toString(), root: root.toString() })
