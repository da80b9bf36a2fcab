// A process that serves graphsync and data transfer to a test and says how much memory it took: what is resident counts here, without
// the attackers.
import { createLinkSystem } from '../../../src/store/link-system.ts'
import { DATA_TRANSFER_EXTENSION } from '../../../src/wire/data-transfer/constants.ts'
import { createDataTransfer } from '../../../src/wire/data-transfer/index.ts'
import { VOUCHER } from '../data-transfer/kit.ts'
import { createNode } from '../nodes.ts'
import { chainOf } from './kit.ts'

const libp2p = await createNode()
const linkSystem = createLinkSystem()
const [one] = await chainOf(linkSystem, 1, 100, 1)
const [root] = await chainOf(linkSystem, 2_000, 5_000, 2)
const transfers = createDataTransfer({ libp2p, linkSystem })
transfers.graphsync.addValidator((_, { extensions = {} }) => DATA_TRANSFER_EXTENSION in extensions ? undefined : { accept: true })
transfers.addVoucherType(VOUCHER.type, () => ({ accept: true }))
await transfers.start()
process.on('message', () => { process.send?.({ maxRss: process.resourceUsage().maxRSS / 1024 }) })
process.send?.({ address: libp2p.getMultiaddrs()[0].toString(), one: one.toString(), root: root.toString() })
