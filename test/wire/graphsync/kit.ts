import * as dagCbor from '@ipld/dag-cbor'
import type { Libp2p } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import type { GraphsyncBlock, RequestOptions } from '../../../src/shared/types/graphsync.ts'
import type { LinkSystem, SelectorNode } from '../../../src/shared/types.ts'
import { createLinkSystem } from '../../../src/store/link-system.ts'
import { dagsyncSelector, recursionLimitNone } from '../../../src/traversal/index.ts'
import { Exchange } from '../../../src/wire/graphsync/exchange.ts'
import type { ExchangeInit } from '../../../src/wire/graphsync/exchange.ts'
import { createPair } from '../nodes.ts'
import type { Encrypter } from '../nodes.ts'

export const everything: SelectorNode = dagsyncSelector(recursionLimitNone)

/** A requestor and a responder, each with its exchange, both started. */
export interface ExchangePair extends AsyncDisposable {
  a: Libp2p
  b: Libp2p
  requestor: Exchange
  responder: Exchange
  local: LinkSystem
  remote: LinkSystem
}

export interface ExchangePairInit {
  encrypter?: Encrypter
  local?: LinkSystem
  remote?: LinkSystem
  requestor?: ExchangeInit
  responder?: ExchangeInit

  /** @default every request is served */
  accept?: boolean
}

export async function exchangePair (init: ExchangePairInit = {}): Promise<ExchangePair> {
  const { local = createLinkSystem(), remote = createLinkSystem() } = init
  const pair = await createPair(init.encrypter)
  const requestor = new Exchange({ libp2p: pair.a, linkSystem: local }, init.requestor)
  const responder = new Exchange({ libp2p: pair.b, linkSystem: remote }, init.responder)
  if (init.accept !== false) { responder.addValidator(() => ({ accept: true })) }
  await Promise.all([requestor.start(), responder.start()])
  return {
    ...pair,
    requestor,
    responder,
    local,
    remote,
    async [Symbol.asyncDispose] () {
      await Promise.all([requestor.stop(), responder.stop()])
      await pair[Symbol.asyncDispose]()
    }
  }
}

/** A chain of dag-cbor blocks, the newest first. */
export async function chainOf (linkSystem: LinkSystem, count: number, size = 100, seed = 0): Promise<CID[]> {
  const cids: CID[] = []
  for (let i = 0; i < count; i++) {
    const payload = new Uint8Array(size).fill(i & 255)
    const node = { Index: i, Seed: seed, Payload: payload, ...(i > 0 ? { PreviousID: cids[i - 1] } : {}) }
    cids.push(await linkSystem.store(node, { codec: dagCbor }))
  }
  return cids.reverse()
}

/** What a request gives, and how it ended. */
export async function outcome (blocks: AsyncIterable<GraphsyncBlock>): Promise<{ cids: string[], local: boolean[], error?: any }> {
  const cids: string[] = []
  const local: boolean[] = []
  try {
    for await (const block of blocks) {
      cids.push(block.cid.toString())
      local.push(block.local)
    }
    return { cids, local }
  } catch (error) {
    return { cids, local, error }
  }
}

export async function fetchAll (
  pair: ExchangePair, root: CID, options: RequestOptions = {}, selector = everything
): ReturnType<typeof outcome> {
  return await outcome(pair.requestor.request(pair.b.peerId, root, selector, options))
}

/** Leaves a block out of a store. */
export async function forget (linkSystem: LinkSystem, cid: CID): Promise<void> {
  await linkSystem.blockstore.delete(cid)
}

export async function copy (from: LinkSystem, to: LinkSystem, cids: CID[]): Promise<void> {
  for (const cid of cids) {
    for await (const bytes of from.blockstore.get(cid)) { await to.blockstore.put(cid, bytes) }
  }
}
