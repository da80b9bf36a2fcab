import { describe, it } from 'node:test'
import { deepEqual, equal, ok } from 'node:assert/strict'
import type { PeerId } from '@libp2p/interface'
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { identity } from 'multiformats/hashes/identity'
import type { Announce } from '../../src/shared/types.ts'
import { Handler } from '../../src/subscriber/handler.ts'
import { Slots } from '../../src/subscriber/slots.ts'

// "Latest only": a publisher has one sync that moves latest at a time, in the order of asking. Of the announces that come meanwhile
// only the newest is synced, when it is the turn of the first one; a relay's hint is never put before what the publisher said
// itself. None is lost but by a newer one or by removal.

const { signal } = new AbortController()

/** Enough for everything that can go on to have gone on. */
const settled = async (): Promise<void> => { for (let i = 0; i < 30; i++) { await null } }

const relay = { toString: () => 'relay' } as PeerId

/** Odd ones are hints of a relay. */
function announce (number: number, peerId: PeerId): Announce {
  const cid = CID.createV1(0x55, identity.digest(Uint8Array.of(number >> 8, number)))
  return { cid, peerId, addrs: [], ...(isHint(number) && { hintFrom: relay }) }
}

const isHint = (number?: number): boolean => number != null && number % 2 === 1

function numberOf ({ cid: { multihash: { digest } } }: Announce): number {
  return digest[0] << 8 | digest[1]
}

/** A publisher's handler, whose syncs end when they are told to. */
class Subject {
  readonly handler: Handler
  readonly ended: string[] = []
  running?: { name: string, end(ok: boolean): void }
  announcedRunning = false

  constructor (name: string, slots: Slots) {
    const peerId = { toString: () => name } as PeerId
    this.handler = new Handler(peerId, {
      slots,
      signal,
      dropped: () => {},
      idle: () => {},
      syncAnnounced: async (_handler, announce) => {
        this.announcedRunning = true
        await this.#work(`announce ${numberOf(announce)}`).catch(() => {}) // never rejects, as the session
        this.announcedRunning = false
      }
    })
  }

  offer (number: number): number | undefined {
    const replaced = this.handler.offer(announce(number, this.handler.peerId))
    return replaced == null ? undefined : numberOf(replaced)
  }

  explicit (name: string): void {
    this.handler.inTurn(signal, async () => this.#work(name)).catch(() => {})
  }

  async #work (name: string): Promise<void> {
    equal(this.running, undefined, 'two syncs of one publisher at once')
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.running = { name, end: ok => { ok ? resolve() : reject(new Error('failed')) } }
    try {
      await promise
    } finally {
      this.running = undefined
      this.ended.push(name)
    }
  }
}

interface Model {
  running?: string
  pending?: number

  /** Those that wait; undefined is whatever announce is pending when its turn comes. */
  queue: Array<string | undefined>
  ended: string[]
}

function startNext (model: Model): void {
  while (model.running == null && model.queue.length > 0) {
    const next = model.queue.shift()
    model.running = next ?? (model.pending == null ? undefined : `announce ${model.pending}`)
    if (next == null) { model.pending = undefined }
  }
}

/** One announced sync waits or runs; the next one lines up when it has ended. */
function lineUp (model: Model): void {
  const isAnnounce = model.running?.startsWith('announce') === true
  if (model.pending != null && !isAnnounce && !model.queue.includes(undefined)) { model.queue.push(undefined) }
}

async function agree (model: Model, { handler, running, ended }: Subject): Promise<void> {
  equal(running?.name, model.running)
  deepEqual(ended, model.ended)
  equal(handler.busy, model.running != null)
}

type Command = fc.AsyncCommand<Model, Subject>

const offer = (number: number): Command => ({
  check: () => true,
  async run (model, subject) {
    const dropped = isHint(number) && model.pending != null && !isHint(model.pending)
    equal(subject.offer(number), dropped ? number : model.pending)
    if (!dropped) { model.pending = number }
    lineUp(model)
    startNext(model)
    await settled()
    await agree(model, subject)
  },
  toString: () => `offer(${number})`
})

const explicit = (number: number): Command => ({
  check: () => true,
  async run (model, subject) {
    model.queue.push(`explicit ${number}`)
    startNext(model)
    subject.explicit(`explicit ${number}`)
    await settled()
    await agree(model, subject)
  },
  toString: () => `explicit(${number})`
})

const end = (ok: boolean): Command => ({
  check: model => model.running != null,
  async run (model, subject) {
    model.ended.push(model.running as string)
    model.running = undefined
    lineUp(model)
    startNext(model)
    subject.running?.end(ok)
    await settled()
    await agree(model, subject)
  },
  toString: () => ok ? 'finish()' : 'fail()'
})

const remove: Command = {
  check: () => true,
  async run (model, subject) {
    subject.handler.dropPending()
    model.pending = undefined
    await settled()
    await agree(model, subject)
  },
  toString: () => 'remove()'
}

describe('handler', () => {
  it('does as a model of "latest only" does', async () => {
    const number = fc.integer({ min: 0, max: 0xffff })
    const commands = fc.commands([
      number.map(offer), number.map(offer), number.map(explicit), fc.boolean().map(end), fc.boolean().map(end), fc.constant(remove)
    ], { maxCommands: 60 })
    await fc.assert(fc.asyncProperty(commands, async commands => {
      await fc.asyncModelRun(() => ({ model: { queue: [], ended: [] }, real: new Subject('publisher', new Slots(1)) }), commands)
    }), { numRuns: 300 })
  })

  it('syncs the newest announce of each of many publishers in the end, with never more at once than there are slots', async () => {
    const steps = fc.array(fc.record({
      publisher: fc.nat(5), act: fc.constantFrom('offer', 'offer', 'explicit', 'finish', 'finish', 'fail')
    }), { maxLength: 120 })
    await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 3 }), steps, async (count, steps) => {
      const slots = new Slots(count)
      const subjects = Array.from({ length: 6 }, (_, i) => new Subject(`publisher ${i}`, slots))
      const newest = new Map<Subject, string>()
      for (const [i, { publisher, act }] of steps.entries()) {
        const subject = subjects[publisher]
        if (act === 'offer') {
          subject.offer(2 * i)
          newest.set(subject, `announce ${2 * i}`)
        } else if (act === 'explicit') {
          subject.explicit(`explicit ${i}`)
        } else {
          subject.running?.end(act === 'finish')
        }
        await settled()
        ok(subjects.filter(({ announcedRunning }) => announcedRunning).length <= count)
      }
      while (subjects.some(({ handler }) => handler.busy)) {
        const running = subjects.flatMap(({ running }) => running ?? [])
        ok(running.length > 0, 'work that nobody does')
        for (const { end } of running) { end(true) }
        await settled()
      }
      for (const [{ ended }, name] of newest) {
        equal(ended.findLast(name => name.startsWith('announce')), name)
        equal(new Set(ended).size, ended.length)
      }
    }), { numRuns: 200 })
  })
})
