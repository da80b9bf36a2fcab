import type { HttpRetry } from '../../shared/types.ts'

/** "Not now": too many requests, or trouble at the other side. */
export function isRetryStatus (status: number): boolean {
  return status === 429 || status >= 500
}

/** Milliseconds until retry `attempt` (0 for the first): doubling, half of it random, and no less than the server asks for. */
export function retryDelay (attempt: number, { minDelay, maxDelay }: HttpRetry, retryAfter?: string, now = Date.now()): number {
  const backoff = minDelay * 2 ** Math.min(attempt, 32) * (0.5 + Math.random() / 2)
  return Math.min(maxDelay, Math.max(backoff, parseRetryAfter(retryAfter, now)))
}

/** Seconds or a date (RFC 9110 10.2.3), as milliseconds from now; 0 when it says nothing. */
function parseRetryAfter (value: string | undefined, now: number): number {
  if (value == null) { return 0 }
  const ms = /^[0-9]+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now
  return ms > 0 ? ms : 0
}
