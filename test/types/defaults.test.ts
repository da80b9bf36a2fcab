// What the docstrings say by @default is what the code does.
import { describe, it } from 'node:test'
import { deepEqual, equal, ok } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import * as constants from '../../src/shared/constants.ts'
import { subscriberConfig } from '../../src/subscriber/options.ts'
import { MAX_REQUESTS } from '../../src/wire/graphsync/constants.ts'
import { recursionLimitNone } from '../../src/traversal/index.ts'

/** interface.field -> the text of its @default tag, of one source file. */
function defaultTags (path: string): Map<string, string> {
  const tags = new Map<string, string>()
  const source = readFileSync(new URL(`../../src/${path}`, import.meta.url), 'utf8')
  for (const [, name, body] of source.matchAll(/export interface (\w+)[^{]*\{\n([\s\S]*?)\n\}/g)) {
    for (const [, comment, field] of body.matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*(?:readonly )?(\w+)\??/g)) {
      const tag = /@default (.*?)\s*(?:\*|$)/m.exec(comment)
      if (tag != null) { tags.set(`${name}.${field}`, tag[1]) }
    }
  }
  return tags
}

/** A literal of the language: numbers with _, objects with bare keys. */
// eslint-disable-next-line no-new-func
const literal = (text: string): unknown => new Function(`return (${text})`)()

describe('@default tags', () => {
  const tags = defaultTags('shared/types/subscriber.ts')
  const config = subscriberConfig({}) as Record<string, any>

  it('are found', () => {
    ok(tags.size >= 11, [...tags.keys()].join())
  })

  for (const [key, text] of tags) {
    const [owner, field] = key.split('.')
    if (owner !== 'SubscriberInit' || field === 'defaultSelectorSequence' || field === 'maxGraphsyncRequests') { continue }
    it(`of ${key} is that of the code`, () => {
      deepEqual(config[field], literal(text))
    })
  }

  it('of the selector are those of a sync without options', () => {
    equal(tags.get('SubscriberInit.defaultSelectorSequence'), 'explore all, recursive')
    equal(config.defaultSelectorSequence, undefined) // exploreRecursiveWithStop() without a sequence
    equal(config.syncRecursionLimit, recursionLimitNone)
    equal(tags.get('SyncOptions.forceUpdateLatest'), 'false')
    equal(tags.get('SyncOptions.resync'), 'false')
  })

  for (const [path, key, value] of [
    ['shared/types/announce.ts', 'ReceiverInit.filterIPs', false],
    ['shared/types/announce.ts', 'ReceiverInit.resend', false],
    ['shared/types/announce.ts', 'ReceiverInit.trustedRelays', []],
    ['shared/types/selector.ts', 'WalkOptions.onMissing', 'throw'],
    ['announce/senders/http.ts', 'HttpSenderInit.encoding', 'cbor'],
    ['announce/senders/http.ts', 'HttpSenderInit.timeout', constants.ANNOUNCE_HTTP_TIMEOUT],
    ['shared/types/subscriber.ts', 'SubscriberInit.maxGraphsyncRequests', { inbound: MAX_REQUESTS, outbound: MAX_REQUESTS }],
    ['shared/types/publisher.ts', 'DtsyncPublisherInit.maxGraphsyncRequests', { inbound: MAX_REQUESTS, outbound: MAX_REQUESTS }],
    ['shared/types/graphsync.ts', 'GraphsyncInit.maxInboundRequests', MAX_REQUESTS],
    ['shared/types/graphsync.ts', 'GraphsyncInit.maxOutboundRequests', MAX_REQUESTS],
    ['syncers/dtsync/sync.ts', 'DtsyncSyncerInit.headTimeout', constants.HTTP_TIMEOUT],
    ['syncers/dtsync/sync.ts', 'DtsyncSyncerInit.stallTimeout', constants.STALL_TIMEOUT],
    ['syncers/dtsync/sync.ts', 'DtsyncSyncerInit.maxBlockSize', constants.MAX_BLOCK_SIZE],
    ['syncers/httpsync/sync.ts', 'HttpSyncerInit.httpTimeout', constants.HTTP_TIMEOUT],
    ['syncers/httpsync/sync.ts', 'HttpSyncerInit.httpRetry', constants.HTTP_RETRY],
    ['syncers/httpsync/sync.ts', 'HttpSyncerInit.maxBlockSize', constants.MAX_BLOCK_SIZE],
    ['syncers/httpsync/sync.ts', 'HttpSyncerInit.filterIPs', false],
    ['syncers/httpsync/sync.ts', 'HttpSyncerInit.prefetch', constants.PREFETCH],
    ['shared/types/subscriber.ts', 'SyncEntriesOptions.concurrency', constants.ENTRIES_CONCURRENCY]
  ] as const) {
    it(`of ${key} is that of the code`, () => { deepEqual(literal(defaultTags(path).get(key) ?? ''), value) })
  }

  it('have the same values in the constants that they name', () => {
    equal(config.addrTTL, constants.ADDR_TTL)
    equal(config.idleHandlerTTL, constants.IDLE_HANDLER_TTL)
    equal(config.httpTimeout, constants.HTTP_TIMEOUT)
    equal(config.httpRetry, constants.HTTP_RETRY)
    equal(config.maxBlockSize, constants.MAX_BLOCK_SIZE)
    equal(config.maxAsyncSyncs, constants.MAX_ASYNC_SYNCS)
    equal(config.stallTimeout, constants.STALL_TIMEOUT)
    equal(config.prefetch, constants.PREFETCH)
  })

  it('name the version that package.json has', () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
    equal(constants.USER_AGENT, `dagsync/${version}`)
  })
})
