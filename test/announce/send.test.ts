import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { sendAnnounce } from '../../src/announce/index.ts'
import { parseMultiaddrs } from '../../src/shared/multiaddrs.ts'
import { cids } from './kit.ts'
import type { AnnounceMessage, AnnounceSender } from '../../src/announce/index.ts'

const [cid] = await cids(1)
const addrs = parseMultiaddrs(['/ip4/8.8.8.8/tcp/1/http/http-path/foo'])
const sender = (send: AnnounceSender['send']): AnnounceSender => ({ send })

describe('sendAnnounce', () => {
  it('gives a result for each sender, in order, one after the other', async () => {
    const log: string[] = []
    const messages: AnnounceMessage[] = []
    const slow = sender(async message => {
      messages.push(message)
      await new Promise(resolve => setImmediate(resolve))
      log.push('slow')
      return { recipients: 3 }
    })
    const failing = sender(async () => { log.push('failing'); throw new Error('no') })
    const plain = sender(async () => { log.push('plain'); return {} })
    const results = await sendAnnounce(cid, addrs, [slow, failing, plain])
    deepEqual(log, ['slow', 'failing', 'plain'])
    equal(results[1].error?.message, 'no')
    deepEqual(results.map(({ sender, recipients }) => [sender, recipients]), [[slow, 3], [failing, undefined], [plain, undefined]])
    deepEqual(messages, [{ cid, addrs: [addrs[0].bytes] }])
  })

  it('fails when all fail, with all errors', async () => {
    const failing = ['a', 'b'].map(text => sender(async () => { throw text === 'a' ? new Error(text) : text }))
    await rejects(sendAnnounce(cid, addrs, failing), err => {
      ok(err instanceof AggregateError)
      equal(err.name, 'AnnounceError')
      deepEqual(err.errors.map(error => error.message), ['a', 'b'])
      return true
    })
  })

  it('does nothing without senders or a CID', async () => {
    deepEqual(await sendAnnounce(cid, addrs, []), [])
    deepEqual(await sendAnnounce(undefined as any, addrs, [sender(async () => { throw new Error('no') })]), [])
  })

  it('takes no text for a CID', async () => {
    await rejects(sendAnnounce(String(cid) as any, addrs, [sender(async () => ({}))]), { name: 'InvalidOptionError', field: 'cid' })
  })

  it('ends by abort, with the reason', async () => {
    const controller = new AbortController()
    const reason = new Error('enough')
    let calls = 0
    const aborting = sender(async () => { calls++; controller.abort(reason); throw new Error('other') })
    await rejects(sendAnnounce(cid, addrs, [aborting, aborting], controller), err => err === reason)
    equal(calls, 1)
    await rejects(sendAnnounce(cid, addrs, [aborting], controller), err => err === reason)
    equal(calls, 1)
  })

  it('ends by abort though a sender does not listen to it', async () => {
    const reason = new Error('enough')
    const controller = new AbortController()
    const sent = sendAnnounce(cid, addrs, [sender(async () => new Promise(() => {}))], controller)
    controller.abort(reason)
    await rejects(sent, err => err === reason)
  })

  it('takes a sender that hangs as failed, after a minute unless it says otherwise, and goes on', async ({ mock }) => {
    const hang = async (): Promise<never> => new Promise(() => {})
    let signal: AbortSignal | undefined
    const hanging = sender(async (_message, options) => {
      signal = options?.signal
      return hang()
    })
    mock.timers.enable({ apis: ['setTimeout'] })
    const sent = sendAnnounce(cid, addrs, [hanging, sender(async () => ({ recipients: 1 }))])
    mock.timers.tick(59_999)
    await null
    equal(signal?.aborted, false)
    mock.timers.tick(1)
    const [failed, good] = await sent
    equal(failed.error?.name, 'TimeoutError')
    equal(signal?.aborted, true)
    equal(good.recipients, 1)

    const quick = rejects(sendAnnounce(cid, addrs, [{ send: hang, timeout: 10 }]), { name: 'AnnounceError' })
    mock.timers.tick(10)
    await quick
  })

  it('leaves the limit to a sender that has its own', async () => {
    let given: AbortSignal | undefined
    const { signal } = new AbortController()
    const own: AnnounceSender = { timeout: false, send: async (_message, options) => { given = options?.signal; return {} } }
    await sendAnnounce(cid, addrs, [own], { signal })
    equal(given, signal)
  })
})
