import { InvalidOptionError } from '../../shared/errors.ts'
import { checkWhole, LONGEST_TIMER, positive } from '../../shared/positive.ts'
import type { HttpRetry, Prefetch } from '../../shared/types.ts'

/** What a subscriber and its HTTP syncers have in common. */
export interface HttpLimits {
  httpTimeout: number
  httpRetry: HttpRetry | false
  maxBlockSize: number
  prefetch: Prefetch | false
}

/** Throws InvalidOptionError. */
export function checkHttpLimits ({ httpTimeout, httpRetry, maxBlockSize, prefetch }: HttpLimits): void {
  positive('httpTimeout', httpTimeout, LONGEST_TIMER)
  positive('maxBlockSize', maxBlockSize)
  for (const [field, value] of Object.entries({ httpRetry, prefetch })) {
    if (value !== false && (value == null || typeof value !== 'object')) { throw new InvalidOptionError(field, 'must be an object or false') }
  }
  if (httpRetry !== false) {
    for (const field of ['retries', 'minDelay', 'maxDelay'] as const) { checkWhole(`httpRetry.${field}`, httpRetry[field], 0, LONGEST_TIMER) }
  }
  if (prefetch !== false) {
    for (const field of ['requests', 'bytes'] as const) { positive(`prefetch.${field}`, prefetch[field]) }
  }
}
