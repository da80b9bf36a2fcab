// What the docstrings say by @default is what the code does.
import { describe, it } from 'node:test'
import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import * as constants from '../../src/shared/constants.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { subscriberConfig } from '../../src/subscriber/options.ts'
import { recursionLimitNone } from '../../src/traversal/index.ts'
import { Manager } from '../../src/wire/data-transfer/manager.ts'
import { GraphsyncStatus } from '../../src/wire/graphsync/constants.ts'
import { Exchange } from '../../src/wire/graphsync/exchange.ts'

const sourceOf = (path: string): string => readFileSync(`src/${path}`, 'utf8')
const paths = globSync('**/*.ts', { cwd: 'src' }).map(path => path.replaceAll('\\', '/'))

/** A literal of the language: numbers with _, objects with bare keys. */
// eslint-disable-next-line no-new-func
const literal = (text: string): unknown => new Function(`return (${text})`)()

/** What stands in a source as the default of a field, or as a constant. */
function inCode (path: string, name: string): unknown {
  const [, text] = new RegExp(`\\b${name} = ('[^']*'|[\\w.* ]+)`).exec(sourceOf(path)) ?? []
  ok(text != null, `${path} has no default of ${name}`)
  return literal(text)
}

/** interface.field of one source file -> the text of its @default tag. */
function defaultTags (path: string): Array<[string, string]> {
  const tags: Array<[string, string]> = []
  for (const [, name, body] of sourceOf(path).matchAll(/^export interface (\w+)[^{]*\{\n([\s\S]*?)\n\}/gm)) {
    for (const [, comment, field] of body.matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*(?:readonly )?(\w+)\??/g)) {
      const tag = /@default (.*?)\s*(?:\*|$)/m.exec(comment)
      if (tag != null) { tags.push([`${path} ${name}.${field}`, tag[1]]) }
    }
  }
  return tags
}

const libp2p: any = {}
const { config } = new Manager({ libp2p }) as any
const { limits, memory } = new Exchange({ libp2p })
const subscriber = subscriberConfig({}) as Record<string, any>
const made = await createLinkSystem().store({})

/** By file and interface: for each field what the code does. */
const values: Record<string, Record<string, unknown>> = {
  'shared/types/announce.ts ReceiverInit': { filterIPs: false, resend: false, trustedRelays: [] },
  'shared/types/announce.ts AnnounceSender': { timeout: constants.ANNOUNCE_TIMEOUT },
  'shared/types/data-transfer.ts DataTransferInit': config,
  'shared/types/dtsync.ts HeadServerInit': { previous: false },
  'shared/types/graphsync.ts GraphsyncInit': {
    maxInboundRequests: limits.inbound,
    maxOutboundRequests: limits.outbound,
    maxPeerBytes: memory.perPeer,
    maxTotalBytes: memory.total
  },
  'shared/types/graphsync.ts RequestOptions': { stallTimeout: constants.STALL_TIMEOUT },
  'shared/types/publisher.ts DtsyncPublisherInit': { maxGraphsyncRequests: limits },
  'shared/types/selector.ts WalkOptions': { onMissing: 'throw' },
  'shared/types/subscriber.ts SubscriberInit': { ...subscriber, maxGraphsyncRequests: limits },
  'shared/types/subscriber.ts SyncOptions': { forceUpdateLatest: false, resync: false },
  'shared/types/subscriber.ts SyncEntriesOptions': { concurrency: constants.ENTRIES_CONCURRENCY },
  'shared/types/subscriber.ts SyncHamtEntriesOptions': { depthLimit: constants.HAMT_DEPTH_LIMIT, repeatLimit: constants.HAMT_REPEAT_LIMIT },
  'shared/address-book.ts AddressBookInit': { maxAddrsPerPeer: constants.MAX_ANNOUNCE_ADDRS },
  'shared/multiaddrs/url.ts UrlToMultiaddrOptions': { legacyPath: false },
  'announce/senders/http.ts HttpSenderInit': {
    encoding: inCode('announce/senders/http.ts', 'encoding'),
    timeout: constants.ANNOUNCE_TIMEOUT,
    userAgent: constants.USER_AGENT.replace(/\/.*/, '/<version>')
  },
  'syncers/dtsync/head.ts QueryHeadOptions': { timeout: constants.HTTP_TIMEOUT },
  'syncers/dtsync/sync.ts DtsyncSyncerInit': {
    headTimeout: constants.HTTP_TIMEOUT, stallTimeout: constants.STALL_TIMEOUT, maxBlockSize: constants.MAX_BLOCK_SIZE
  },
  'syncers/httpsync/http-client.ts HttpClientInit': { filterIPs: false },
  'syncers/httpsync/http-client.ts HttpRequestInit': { method: inCode('syncers/httpsync/client.node.ts', 'method') },
  'syncers/httpsync/serve.ts HttpHandlerInit': { wellKnown: false },
  'syncers/httpsync/sync.ts HttpSyncerInit': {
    httpTimeout: constants.HTTP_TIMEOUT,
    httpRetry: constants.HTTP_RETRY,
    maxBlockSize: constants.MAX_BLOCK_SIZE,
    filterIPs: false,
    prefetch: constants.PREFETCH
  },
  'testing/chain.ts ChainOptions': {
    payload: inCode('testing/chain.ts', 'payload'), index: inCode('testing/chain.ts', 'index'), seed: inCode('testing/chain.ts', 'seed')
  },
  'testing/faulty-publisher.ts FaultyPublisherInit': { port: inCode('testing/faulty-publisher.ts', 'port') },
  'testing/test-net.ts TestPublisherInit': { chain: inCode('testing/test-net.ts', 'chain: count') },
  'wire/http-stream/client.ts HttpStreamClientInit': {
    idleTimeout: inCode('wire/http-stream/client.ts', 'IDLE_TIMEOUT'),
    maxIdle: inCode('wire/http-stream/client.ts', 'MAX_IDLE'),
    openAhead: false
  },
  'wire/http-stream/client.ts StreamRequestInit': {
    method: inCode('wire/http-stream/client.ts', 'method'), limit: inCode('wire/http-stream/client.ts', 'limit')
  },
  'wire/http-stream/parser.ts MessageOptions': { what: inCode('wire/http-stream/parser.ts', 'what') },
  'wire/http-stream/serve.ts ServeOptions': {
    closeByDefault: false,
    idleTimeout: inCode('wire/http-stream/serve.ts', 'IDLE_TIMEOUT'),
    closeTimeout: inCode('wire/http-stream/end.ts', 'CLOSE_TIMEOUT')
  },
  'wire/streams/reader.ts StreamReaderInit': {
    highWater: inCode('wire/streams/reader.ts', 'HIGH_WATER'), maxWindow: inCode('wire/streams/window.ts', 'MAX_WINDOW')
  },
  'wire/http-stream/server.ts HttpStreamServerInit': { maxInboundStreams: inCode('wire/http-stream/server.ts', 'MAX_INBOUND_STREAMS') }
}

/** Tags that are words: what they must be, and where that holds. */
const words: Record<string, string> = {
  // transfer.test.ts and exchange.test.ts show whose store is used
  'shared/types/data-transfer.ts PullOptions.linkSystem': 'that of the exchange',
  'shared/types/data-transfer.ts PullOptions.maxBlockSize': 'none',
  'shared/types/data-transfer.ts PullOptions.stallTimeout': 'that of DataTransferInit',
  'shared/types/data-transfer.ts VoucherDecision.linkSystem': 'that of the exchange',
  'shared/types/graphsync.ts RequestDecision.linkSystem': 'that of the exchange',
  'shared/types/graphsync.ts RequestDecision.status': `${GraphsyncStatus.rejected} (rejected), which the requestor throws as TransferRejectedError; data transfer sends ${GraphsyncStatus.failed}, as Go`,
  'shared/types/graphsync.ts RequestOptions.linkSystem': 'that of the exchange',
  'shared/types/graphsync.ts RequestOptions.maxBlockSize': 'none',
  'shared/types/store.ts StoreOptions.codec': made.code === 0x0129 ? 'dag-json' : 'another one',
  'shared/types/store.ts StoreOptions.hasher': made.multihash.code === 0x12 ? 'sha2-256' : 'another one',
  // exploreRecursiveWithStop() without a sequence
  'shared/types/subscriber.ts SubscriberInit.defaultSelectorSequence':
    subscriber.defaultSelectorSequence == null ? 'explore all, recursive' : 'another one'
}

function check (key: string, text: string): void {
  if (key in words) {
    equal(text, words[key])
    return
  }
  const [, owner, field] = /^(.*)\.(\w+)$/.exec(key) ?? []
  ok(field in (values[owner] ?? {}), 'nothing to compare it with')
  deepEqual(literal(text), values[owner][field])
}

describe('@default tags', () => {
  const tags = new Map(paths.flatMap(defaultTags))

  it('are all found', () => {
    const count = paths.reduce((sum, path) => sum + (sourceOf(path).match(/@default \S/g)?.length ?? 0), 0)
    equal(tags.size, count)
    ok(count >= 60)
  })

  for (const [key, text] of tags) {
    it(`of ${key} is that of the code`, () => { check(key, text) })
  }

  it('that were wrong would be noticed', () => {
    for (const [key, text] of tags) {
      for (const wrong of ['', `1${text}`, text.replace(/\d/, digit => `${9 - Number(digit)}`), text === 'false' ? 'true' : 'false']) {
        if (wrong !== text) { throws(() => { check(key, wrong) }, `${key}: ${wrong}`) }
      }
    }
  })

  it('are there for all options that have one, and for no other', () => {
    for (const owner of ['shared/types/data-transfer.ts DataTransferInit', 'shared/types/graphsync.ts GraphsyncInit']) {
      const tagged = [...tags.keys()].filter(key => key.startsWith(`${owner}.`)).map(key => key.slice(owner.length + 1))
      deepEqual(tagged.sort(), Object.keys(values[owner]).sort())
    }
    const known = [...Object.keys(words), ...Object.entries(values).flatMap(([owner, fields]) => Object.keys(fields).map(field => `${owner}.${field}`))]
    const configured = Object.keys(values).filter(owner => owner.endsWith('SubscriberInit'))
    deepEqual(known.filter(key => !tags.has(key) && !configured.some(owner => key.startsWith(owner))), [])
  })

  it('have the same values in the constants that they name', () => {
    equal(subscriber.addrTTL, constants.ADDR_TTL)
    equal(subscriber.idleHandlerTTL, constants.IDLE_HANDLER_TTL)
    equal(subscriber.httpTimeout, constants.HTTP_TIMEOUT)
    equal(subscriber.httpRetry, constants.HTTP_RETRY)
    equal(subscriber.maxBlockSize, constants.MAX_BLOCK_SIZE)
    equal(subscriber.maxAsyncSyncs, constants.MAX_ASYNC_SYNCS)
    equal(subscriber.stallTimeout, constants.STALL_TIMEOUT)
    equal(subscriber.prefetch, constants.PREFETCH)
    equal(subscriber.syncRecursionLimit, recursionLimitNone)
  })

  it('name the version that package.json has', () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8'))
    equal(constants.USER_AGENT, `dagsync/${version}`)
  })
})
