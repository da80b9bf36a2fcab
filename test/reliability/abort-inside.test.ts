import { describe, it } from 'node:test'
import { equal, ok } from 'node:assert/strict'
import { MemoryDatastore } from 'datastore-core'
import { sha256 } from 'multiformats/hashes/sha2'
import { createLinkSystem } from '../../src/store/link-system.ts'
import type { Subscriber } from '../../src/subscriber/subscriber.ts'
import { TestNet } from '../../src/testing/index.ts'
import { inTime } from '../support/hall.ts'
import { transports } from '../support/transports.ts'

const CLOSED = new Error('the store is closed')

/** What is called by a sync, by whose it is. */
const CALLED = [['blocks', 'has'], ['blocks', 'get'], ['blocks', 'put'], ['hasher', 'digest'], ['latest', 'get']] as const

/** What it may do once it has ended the sync that it is called by. */
const AFTER: Record<string, (answer: () => unknown) => unknown> = {
  'answers at once': answer => answer(),
  'answers later': async answer => answer(),
  'fails at once': () => { throw CLOSED },
  'fails later': async () => { throw CLOSED },
  'never answers': async () => Promise.withResolvers<never>().promise
}

const HOW: Record<string, (controller: AbortController, subscriber: Subscriber) => void> = {
  aborts: controller => { controller.abort(CLOSED) },
  stops: (_, subscriber) => { void subscriber.stop() }
}

/** As get() of a blockstore gives it. */
async function * chunks (answer: Promise<unknown>): AsyncGenerator<Uint8Array> {
  yield * await answer as Iterable<Uint8Array>
}

for (const transport of transports) {
  describe(`a sync that what it calls ends (${transport.name})`, () => {
    for (const [how, end] of Object.entries(HOW)) {
      for (const [what, after] of Object.entries(AFTER)) {
        it(`rejects with the reason, and nothing else does: it ${how} it, then ${what}`, async () => {
          await using net = new TestNet()
          const { info, cids, linkSystem: source } = await transport.publisher(net, { chain: 5 })
          const libp2p = transport.isHttp ? undefined : await net.node()
          for (const [of, method] of CALLED) {
            if (of === 'hasher' && what === 'never answers') { continue } // the messages of its peer wait for it
            for (const at of [0, 2]) {
              const hasher = { ...sha256, digest: sha256.digest.bind(sha256) }
              const linkSystem = createLinkSystem({ hashers: [hasher] })
              const { blockstore: blocks } = linkSystem
              for (const cid of cids.slice(0, 2)) { await blocks.put(cid, source.blockstore.get(cid)) }
              const latest = new MemoryDatastore()
              const components = { linkSystem, datastore: latest, ...(libp2p != null && { libp2p }) }
              const { subscriber } = await transport.subscriber(net, { components })
              const called: any = { blocks, hasher, latest }[of]
              const own = called[method].bind(called)
              const controller = new AbortController()
              let calls = 0
              called[method] = (...args: unknown[]) => {
                if (calls++ !== at) { return own(...args) }
                end(controller, subscriber)
                const answer = after(() => own(...args))
                return called === blocks && method === 'get' && answer instanceof Promise ? chunks(answer) : answer
              }
              const error = await inTime(subscriber.sync(info, { signal: controller.signal }).then(() => undefined, error => error))
              called[method] = own
              if (calls <= at) {
                equal(error, undefined)
              } else if (how === 'aborts') {
                equal(error, CLOSED, `${of}.${method} ${at}`)
              } else {
                equal(error?.name, 'SubscriberStoppedError', `${of}.${method} ${at}`)
                await inTime(subscriber.stop())
                await subscriber.start()
              }
              ok((await inTime(subscriber.sync(info)))?.equals(cids[0]))
              await inTime(subscriber.stop())
            }
          }
        })
      }
    }
  })
}
