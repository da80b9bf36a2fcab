import type { GraphsyncMessage } from '../../../src/shared/types/graphsync.ts'
import type { LinkSystem } from '../../../src/shared/types.ts'
import { encodeTransferMessage, messageFromNode } from '../../../src/wire/data-transfer/message.ts'
import { keyOfBlock } from '../../../src/wire/graphsync/hash.ts'
import { cidOfKey, parsePrefix } from '../../../src/wire/graphsync/keys.ts'

/** All that a publisher answers to one request; how it is spread over messages does not count. */
export interface Answer {
  id: string

  /** All but 14: it goes on. */
  statuses: number[]

  /** Links and actions, in the order of the walk. */
  metadata: string[]

  /** Those whose blocks came along. */
  blocks: string[]

  /** Names of extensions, and the bytes of the message that they hold. */
  transfers: string[]
}

export function answersIn (linkSystem: LinkSystem, messages: GraphsyncMessage[]): Answer[] {
  const answers = new Map<string, Answer>()
  for (const { responses, blocks } of messages) {
    const keys = blocks.map(({ prefix, data }) => keyOfBlock(linkSystem, parsePrefix(prefix), data) as string)
    const sent = keys.map(key => String(cidOfKey(key)))
    for (const { requestId, status, metadata = [], extensions = {} } of responses) {
      const id = Buffer.from(requestId).toString('hex')
      const answer = answers.get(id) ?? { id, statuses: [], metadata: [], blocks: [], transfers: [] }
      answers.set(id, answer)
      if (status !== 14) { answer.statuses.push(status) }
      const cids = metadata.map(([cid]) => String(cid))
      answer.metadata.push(...metadata.map(([cid, action]) => `${cid} ${action}`))
      answer.blocks.push(...cids.filter((cid, i) => sent.includes(cid) && cids.indexOf(cid) === i))
      for (const [name, node] of Object.entries(extensions)) {
        answer.transfers.push(`${name}: ${Buffer.from(encodeTransferMessage(messageFromNode(node))).toString('hex')}`)
      }
    }
  }
  return [...answers.values()]
}
