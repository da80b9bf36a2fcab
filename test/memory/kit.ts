import { ok } from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'

export const MiB = 1024 * 1024

/** What is alive after collections, in MiB: what is resident would count garbage, and what the allocator keeps. */
export async function alive (): Promise<number> {
  for (let i = 0; i < 4; i++) {
    await delay(20)
    globalThis.gc?.()
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return (heapUsed + arrayBuffers) / MiB
}

export async function until (condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1_500 && !condition(); i++) { await delay(10) }
  ok(condition(), 'in time')
}

export const peersOf = (exchange: any): Map<string, any> => exchange.network.peers

/** Until the walks for so many peers of a responder wait for room, and nothing has moved for a while: these take nothing. */
export async function untilHeldBack (exchange: any, count = 1): Promise<void> {
  let last = -1
  let still = 0
  await until(() => {
    const waiting = [...peersOf(exchange).values()].filter(peer => peer.roomWaiters.length > 0)
    const { bytes } = exchange.network.total
    still = waiting.length >= count && bytes === last ? still + 1 : 0
    last = bytes
    return still >= 20
  })
}
