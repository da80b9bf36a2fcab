// What the docstrings say by @default is what the code does.
import { describe, it } from 'node:test'
import { deepEqual, equal, ok } from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { subscriberConfig } from '../../src/subscriber/options.ts'
import { recursionLimitNone } from '../../src/traversal/index.ts'

const folder = new URL('../../src/shared/types/', import.meta.url)

/** interface.field -> the text of its @default tag. */
function defaultTags (): Map<string, string> {
  const tags = new Map<string, string>()
  for (const file of readdirSync(folder)) {
    const source = readFileSync(new URL(file, folder), 'utf8')
    for (const [, name, body] of source.matchAll(/export interface (\w+)[^{]*\{\n([\s\S]*?)\n\}/g)) {
      for (const [, comment, field] of body.matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*(?:readonly )?(\w+)\??/g)) {
        const tag = /@default (.*?)\s*(?:\*|$)/m.exec(comment)
        if (tag != null) { tags.set(`${name}.${field}`, tag[1]) }
      }
    }
  }
  return tags
}

describe('@default tags', () => {
  const tags = defaultTags()
  const config = subscriberConfig({}) as Record<string, any>

  it('are found', () => {
    ok(tags.size >= 14, [...tags.keys()].join())
  })

  for (const [key, text] of tags) {
    const [owner, field] = key.split('.')
    if (owner !== 'SubscriberInit' || field === 'defaultSelectorSequence') { continue }
    it(`of ${key} is that of the code`, () => {
      // a literal of the language: numbers with _, objects with bare keys
      // eslint-disable-next-line no-new-func
      deepEqual(config[field], new Function(`return (${text})`)())
    })
  }

  it('of the others are known here, so that a new one is looked at', () => {
    const others = [...tags].filter(([key]) => !key.startsWith('SubscriberInit.'))
    deepEqual(Object.fromEntries(others), {
      'ReceiverInit.filterIPs': 'false',
      'ReceiverInit.resend': 'false',
      'ReceiverInit.trustedRelays': '[]',
      'SyncOptions.forceUpdateLatest': 'false',
      'StoreOptions.codec': 'dag-json',
      'StoreOptions.hasher': 'sha2-256',
      'WalkOptions.onMissing': "'throw'"
    })
    equal(tags.get('SubscriberInit.defaultSelectorSequence'), 'explore all, recursive')
    equal(config.defaultSelectorSequence, undefined) // exploreRecursiveWithStop() without a sequence
    equal(config.syncRecursionLimit, recursionLimitNone)
  })

  it('have the same values in the constants that they name', async () => {
    const constants = await import('../../src/shared/constants.ts')
    equal(config.addrTTL, constants.ADDR_TTL)
    equal(config.idleHandlerTTL, constants.IDLE_HANDLER_TTL)
    equal(config.httpTimeout, constants.HTTP_TIMEOUT)
    equal(config.httpRetry, constants.HTTP_RETRY)
    equal(config.maxBlockSize, constants.MAX_BLOCK_SIZE)
    equal(config.maxAsyncSyncs, constants.MAX_ASYNC_SYNCS)
    equal(config.stallTimeout, constants.STALL_TIMEOUT)
  })

  it('name the version that package.json has', async () => {
    const { USER_AGENT } = await import('../../src/shared/constants.ts')
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
    equal(USER_AGENT, `dagsync/${version}`)
  })
})
