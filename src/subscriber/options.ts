import type { CID } from 'multiformats/cid'
import { Receiver } from '../announce/index.ts'
import { checkObject, checkSignal, toCid } from '../shared/check.ts'
import {
  ADDR_TTL, HTTP_RETRY, HTTP_TIMEOUT, IDLE_HANDLER_TTL, MAX_ASYNC_SYNCS, MAX_BLOCK_SIZE, PREFETCH, REPEAT_LIMIT, STALL_TIMEOUT,
  TRANSPORTS
} from '../shared/constants.ts'
import { InvalidOptionError, InvalidSelectorError } from '../shared/errors.ts'
import { LONGEST_TIMER, positive } from '../shared/positive.ts'
import type { SubscriberInit, SyncEntriesOptions, SyncHamtEntriesOptions, SyncOptions, SyncTransport } from '../shared/types.ts'
import { checkNodeInit } from '../syncers/dtsync/node.ts'
import { checkHttpLimits } from '../syncers/httpsync/limits.ts'
import { exploreRecursiveWithStop, parseSelector, recursionLimitNone } from '../traversal/index.ts'
import { depthOf } from '../traversal/limits.ts'

const DEFAULTS = {
  addrTTL: ADDR_TTL,
  idleHandlerTTL: IDLE_HANDLER_TTL,
  segmentDepthLimit: false as number | false,
  syncRecursionLimit: recursionLimitNone,
  adsDepthLimit: false as number | false,
  firstSyncDepth: false as number | false,
  entriesDepthLimit: false as number | false,
  repeatLimit: REPEAT_LIMIT as number | false,
  prefetch: PREFETCH as NonNullable<SubscriberInit['prefetch']>,
  httpTimeout: HTTP_TIMEOUT,
  httpRetry: HTTP_RETRY as NonNullable<SubscriberInit['httpRetry']>,
  maxBlockSize: MAX_BLOCK_SIZE,
  maxAsyncSyncs: MAX_ASYNC_SYNCS,
  stallTimeout: STALL_TIMEOUT,
  transports: TRANSPORTS as readonly SyncTransport[]
}

/** SubscriberInit with its defaults, checked. */
export type SubscriberConfig = Readonly<Omit<SubscriberInit, 'transports'> & typeof DEFAULTS>

/** Throws InvalidOptionError. */
export function subscriberConfig (init: SubscriberInit): SubscriberConfig {
  checkObject('init', init)
  const given = Object.fromEntries(Object.entries(init).filter(([, value]) => value !== undefined))
  const config = Object.freeze({ ...DEFAULTS, ...given }) as SubscriberConfig
  for (const field of ['addrTTL', 'idleHandlerTTL', 'maxAsyncSyncs'] as const) { positive(field, config[field]) }
  positive('stallTimeout', config.stallTimeout, LONGEST_TIMER)
  if (config.topic != null && (typeof config.topic !== 'string' || config.topic === '')) {
    throw new InvalidOptionError('topic', 'must be a string that is not empty')
  }
  for (const field of ['blockHook', 'lastKnownSync', 'fetch'] as const) {
    if (config[field] != null && typeof config[field] !== 'function') { throw new InvalidOptionError(field, 'must be a function') }
  }
  for (const field of ['segmentDepthLimit', 'adsDepthLimit', 'firstSyncDepth', 'entriesDepthLimit', 'repeatLimit'] as const) {
    checkLimit(field, config[field])
  }
  checkStrict(config)
  checkHttpLimits(config)
  checkReceiver(config.receiver)
  checkTransports(config.transports)
  checkNodeInit(config)
  checkSelector(config)
  return config
}

/** Throws InvalidOptionError, InvalidSelectorError and, where the signal has fired, its reason. */
export function checkSyncOptions (options: SyncOptions): SyncOptions {
  checkPullOptions(options)
  const { cid, stopAt, selector } = options
  for (const field of ['resync', 'forceUpdateLatest'] as const) {
    if (options[field] !== undefined && typeof options[field] !== 'boolean') { throw new InvalidOptionError(field, 'must be true or false') }
  }
  if (selector != null) {
    parseSelector(selector)
    const { resync, depthLimit } = options
    for (const [field, given] of Object.entries({ stopAt, resync: resync || undefined, depthLimit })) {
      if (given != null) { throw new InvalidOptionError(field, 'cannot be given beside a selector, which is used as it is') }
    }
  }
  if (options.resync === true && options.forceUpdateLatest === true) {
    throw new InvalidOptionError('forceUpdateLatest', 'cannot be given beside resync, which leaves latest where it is')
  }
  return cid == null && stopAt == null
    ? options
    : { ...options, cid: cid == null ? undefined : toCid('cid', cid), stopAt: stopAt == null ? undefined : toCid('stopAt', stopAt) }
}

/** Throws InvalidOptionError and, where the signal has fired, its reason. */
export function checkPullOptions (options: Omit<SyncEntriesOptions & SyncHamtEntriesOptions, 'blockHook'> & { blockHook?: unknown }): void {
  checkSignal(options)
  for (const field of ['segmentDepthLimit', 'depthLimit', 'repeatLimit'] as const) {
    if (options[field] !== undefined) { checkLimit(field, options[field]) }
  }
  if (options.concurrency !== undefined) { positive('concurrency', options.concurrency) }
  for (const field of ['blockHook', 'onProgress'] as const) {
    if (options[field] != null && typeof options[field] !== 'function') { throw new InvalidOptionError(field, 'must be a function') }
  }
}

/** Each once, in their order. Throws InvalidOptionError. */
export function toCids (field: string, value: unknown): CID[] {
  const cids = Array.isArray(value) ? value : [value]
  return [...new Map(cids.map(cid => toCid(field, cid)).map(cid => [cid.toString(), cid])).values()]
}

function checkLimit (field: string, limit: unknown): void {
  if (limit !== false) { positive(field, limit) }
}

function checkStrict ({ strictAdsSelector, defaultSelectorSequence }: SubscriberConfig): void {
  if (strictAdsSelector !== undefined && typeof strictAdsSelector !== 'boolean') {
    throw new InvalidOptionError('strictAdsSelector', 'must be true or false')
  }
  if (strictAdsSelector === true && defaultSelectorSequence != null) {
    throw new InvalidOptionError('strictAdsSelector', 'cannot be given beside defaultSelectorSequence')
  }
}

/** As a Receiver does, which is made at each start. */
function checkReceiver (receiver: SubscriberConfig['receiver']): void {
  if (receiver == null) { return }
  if (typeof receiver !== 'object') { throw new InvalidOptionError('receiver', 'must be an object') }
  void new Receiver({}, receiver)
}

function checkTransports (transports: unknown): void {
  if (!Array.isArray(transports) || transports.length === 0 || new Set(transports).size < transports.length) {
    throw new InvalidOptionError('transports', 'must be a list of transports, each once')
  }
  for (const transport of transports) {
    if (!TRANSPORTS.includes(transport)) { throw new InvalidOptionError('transports', `must hold ${TRANSPORTS.join(', ')} only`) }
  }
}

function checkSelector ({ syncRecursionLimit, defaultSelectorSequence }: SubscriberConfig): void {
  for (const [field, limit, sequence] of [
    ['syncRecursionLimit', syncRecursionLimit, undefined],
    ['defaultSelectorSequence', recursionLimitNone, defaultSelectorSequence]
  ] as const) {
    try {
      parseSelector(exploreRecursiveWithStop(limit, sequence))
    } catch (cause) {
      if (cause instanceof InvalidSelectorError || cause instanceof InvalidOptionError) {
        throw new InvalidOptionError(field, `is not valid: ${cause.message}`, { cause })
      }
      throw cause
    }
    if (depthOf(limit) < 0) { throw new InvalidOptionError(field, 'must not be negative') }
  }
}
