import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { createHttpClient } from '../../src/syncers/httpsync/client.node.ts'
import { encodeSignedHead } from '../../src/syncers/httpsync/signed-head.ts'
import { createHttpSyncer, HttpSyncer } from '../../src/syncers/index.ts'
import { chain } from '../../src/testing/chain.ts'
import { exploreAll, exploreRecursive, exploreRecursiveEdge } from '../../src/traversal/builders.ts'
import { carriers } from '../syncers/carriers.ts'
import { addrOf, closedPort, httpServer, publish, rawServer } from '../syncers/httpsync-servers.ts'
import type { TestServer } from '../syncers/httpsync-servers.ts'
import type { ServerResponse } from 'node:http'
import type { Writable } from 'node:stream'
import type { CID } from 'multiformats/cid'

const ALL = exploreRecursive({ none: {} }, exploreAll(exploreRecursiveEdge()))
const QUICK = { retries: 3, minDelay: 1, maxDelay: 5 }

/** Writes for as long as somebody takes it. */
function pour (into: Writable | null, text: string, first = ''): void {
  into?.write(first)
  const more = (): void => { while (into?.writable === true && into.write(text)); }
  into?.on('drain', more).on('error', () => {})
  more()
}

for (const carrier of carriers) {
  /** A chain whose block at `index` is served badly, and what a sync of it came to. */
  async function syncWithFault (
    index: number, fault: (res: ServerResponse) => void, httpTimeout: number
  ): Promise<{ error: any, hooked: number, stored: boolean[] }> {
    const source = createLinkSystem()
    const cids = await chain(source, 4)
    await using publisher = await carrier.publish(source, cids[0], (resource, res) => {
      if (resource !== cids[index].toString()) { return false }
      fault(res)
      return true
    })
    const linkSystem = createLinkSystem()
    await using syncer = carrier.syncer(publisher, linkSystem, {
      httpTimeout, httpRetry: { ...QUICK, retries: 1 }, maxBlockSize: 10_000
    })
    let hooked = 0
    const error = await syncer.sync(cids[0], ALL, { onBlock: () => { hooked++ } }).catch(err => err)
    return { error, hooked, stored: await Promise.all(cids.map(cid => linkSystem.has(cid))) }
  }

  describe(`a publisher over ${carrier.name} that misbehaves`, () => {
    const faults: Array<[string, (res: ServerResponse) => void, string]> = [
      ['sends the wrong bytes', res => { res.end('{}') }, 'HashMismatchError'],
      ['sends a body without end', res => { pour(res, 'x'.repeat(5000)) }, 'BlockTooLargeError'],
      ['sends a head without end', res => { pour(res.socket, 'X-Padding: x\r\n', 'HTTP/1.1 200 OK\r\n') }, 'TransferFailedError'],
      ['sends a head of one line without end', res => { pour(res.socket, 'x'.repeat(5000), 'HTTP/1.1 200 O') }, 'TransferFailedError'],
      ['sends early hints without end', res => { pour(res.socket, 'HTTP/1.1 103 Early Hints\r\n\r\n') }, 'TransferFailedError'],
      ['sends a chunk size without end', res => { pour(res.socket, '0'.repeat(5000), 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n') }, 'TransferFailedError'],
      ['speaks no HTTP', res => { res.socket?.end('SSH-2.0-OpenSSH_9.6\r\n\r\n') }, 'TransferFailedError'],
      ['sends two lengths', res => { res.socket?.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}') }, 'TransferFailedError'],
      ['encodes as was not asked for', res => { res.writeHead(200, { 'content-encoding': 'br' }).end('{}') }, 'TransferFailedError'],
      ['says that its body is huge', res => { res.writeHead(200, { 'content-length': 2 ** 50 }).write('x') }, 'BlockTooLargeError'],
      ['sends half a body', res => { res.writeHead(200, { 'content-length': 100 }).write('half', () => { res.destroy() }) }, 'TransferFailedError'],
      ['resets the connection', res => { res.socket?.resetAndDestroy() }, 'TransferFailedError'],
      ['says nothing', () => {}, 'TimeoutError'],
      ['drips', res => {
        res.writeHead(200, { 'content-length': 1000 })
        const drip = setInterval(() => { res.write('x') }, 10)
        res.on('close', () => { clearInterval(drip) })
      }, 'TimeoutError'],
      ['fails for ever', res => { res.writeHead(503).end() }, 'HttpStatusError'],
      ['redirects in a circle', res => { res.writeHead(302, { location: res.req.url }).end() }, 'TransferFailedError']
    ]
    for (const [what, fault, name] of faults) {
      it(`${what}: the sync ends by name, what came before is stored, nothing false is`, async () => {
        const { error, hooked, stored } = await syncWithFault(2, fault, name === 'TimeoutError' ? 400 : 30_000)
        equal(error.name, name)
        equal(hooked, 2)
        deepEqual(stored, [true, true, false, false])
      })
    }

    it('signs with another key, or sends no head at all: neither is taken', async () => {
      const source = createLinkSystem()
      const root = await source.store({})
      const signed = await encodeSignedHead(root, await generateKeyPair('Ed25519'))
      await using one = await carrier.publish(source, root, (_, res) => { res.end(signed); return true })
      await using other = await carrier.publish(source, root, (_, res) => { res.end('\0'.repeat(100)); return true })
      await using stranger = carrier.syncer(one, createLinkSystem())
      await rejects(stranger.head(), { name: 'UnexpectedSignerError' })
      await using garbled = carrier.syncer(other, createLinkSystem())
      await rejects(garbled.head(), { name: 'InvalidSignedHeadError' })
    })
  })

  describe(`a network under ${carrier.name} that misbehaves`, () => {
    it('10,000 blocks with 1 % random 5xx, resets and closed connections all arrive, in order', async () => {
      const source = createLinkSystem()
      const cids = await chain(source, 10_000, { payload: 20 })
      let state = 1
      const random = (): number => (state = (state * 48_271) % 0x7fffffff) / 0x7fffffff // the same faults in each run
      let faults = 0
      await using publisher = await carrier.publish(source, cids[0], (_, res) => {
        const dice = random()
        if (dice < 0.02) { faults++ }
        if (dice < 0.01) { res.writeHead(dice < 0.005 ? 500 : 429).end() }
        if (dice >= 0.01 && dice < 0.015) { res.socket?.destroy() }
        if (dice >= 0.015 && dice < 0.02) { res.setHeader('connection', 'close') }
        return dice < 0.015
      })
      const linkSystem = createLinkSystem()
      await using syncer = carrier.syncer(publisher, linkSystem, { httpRetry: QUICK })
      const seen: CID[] = []
      await syncer.sync(cids[0], ALL, { onBlock: ({ cid }) => { seen.push(cid) } })
      equal(seen.length, cids.length)
      ok(seen.every((cid, i) => cid.equals(cids[i])))
      ok(faults > 100)
      ok(publisher.requests.length < cids.length + faults + 10)
    })

    it('waits as long as Retry-After asks', async () => {
      const source = createLinkSystem()
      const root = await source.store({})
      let refusedAt = 0
      await using publisher = await carrier.publish(source, root, (_, res) => {
        if (refusedAt > 0) { return false }
        refusedAt = performance.now()
        res.writeHead(429, { 'retry-after': '1' }).end()
        return true
      })
      await using syncer = carrier.syncer(publisher, createLinkSystem())
      await syncer.sync(root, ALL)
      ok(performance.now() - refusedAt > 990)
    })
  })
}

describe('connections', () => {
  it('a server that closes kept connections at random moments costs no request', async () => {
    let open = 0
    await using server = await httpServer((_, res) => {
      res.end('x')
      if (open++ % 7 === 0) { setImmediate(() => { res.socket?.end() }) }
    })
    const client = createHttpClient()
    for (let i = 0; i < 500; i++) {
      equal((await client.request(server.url, { timeout: 5000, maxBodySize: 10 })).status, 200)
    }
    await client.stop()
  })

  it('a first address that flaps is used when it is up, and never used up', async () => {
    const source = createLinkSystem()
    const cids = await chain(source, 60)
    let up = true
    await using first = await publish(source, cids[0], (_, res) => {
      if (!up) { res.socket?.destroy() }
      return !up
    })
    await using second = await publish(source, cids[0], (_, res) => {
      if (up) { res.socket?.destroy() }
      return up
    })
    await using syncer = createHttpSyncer({ linkSystem: createLinkSystem() }, {
      peerId: first.peerId, addrs: [addrOf({ port: await closedPort() }), first.addr, second.addr], httpRetry: QUICK
    })
    let count = 0
    await syncer.sync(cids[0], ALL, { onBlock: () => { up = ++count % 20 < 10 } })
    equal(count, 60)
    ok(first.requests.length >= 30 && second.requests.length >= 30)
  })
})

describe('what is left behind', () => {
  it('10,000 answers of 404 use one socket, and one signal without a warning', async () => {
    const source = createLinkSystem()
    const cids = await chain(source, 1)
    await using publisher = await publish(createLinkSystem(), cids[0])
    await using syncer = createHttpSyncer({ linkSystem: createLinkSystem() }, { peerId: publisher.peerId, addrs: [publisher.addr] })
    const { signal } = new AbortController()
    await syncer.head()
    for (let i = 0; i < 10_000; i++) { await rejects(syncer.sync(cids[0], ALL, { signal }), { name: 'ContentNotFoundError' }) }
    equal(publisher.connections, 1)
    equal(publisher.requests.length, 10_001)
  })

  it('1,000 syncs over a shared client use one connection', async () => {
    const source = createLinkSystem()
    const root = await source.store({})
    await using publisher = await publish(source, root)
    const client = createHttpClient()
    for (let i = 0; i < 1000; i++) {
      const syncer = new HttpSyncer({ linkSystem: createLinkSystem(), client }, { peerId: publisher.peerId, addrs: [publisher.addr] })
      await syncer.sync(root, ALL)
    }
    equal(publisher.connections, 1)
    await client.stop()
  })

  it('stop() ends a sync at any moment, at once, with every socket and timer', async () => {
    const source = createLinkSystem()
    const cids = await chain(source, 200, { payload: 10 })
    await using publisher = await publish(source, cids[0], (_, res) => {
      if (publisher.requests.length % 5 === 0) { res.writeHead(503, { 'retry-after': '10' }).end() }
      return publisher.requests.length % 5 === 0
    })
    const timers = (): number => process.getActiveResourcesInfo().filter(kind => kind === 'Timeout').length
    const before = timers() // those of the carriers
    for (let i = 0; i < 20; i++) {
      const init = { peerId: publisher.peerId, addrs: [publisher.addr], httpRetry: { ...QUICK, maxDelay: 10_000 } }
      const syncer = createHttpSyncer({ linkSystem: createLinkSystem() }, init)
      const synced = syncer.sync(cids[0], ALL)
      const failed = rejects(synced, { name: 'TransferFailedError', message: /stopped/ })
      setTimeout(() => { void syncer.stop() }, i)
      await failed
      await syncer.stop()
    }
    while (publisher.sockets.size > 0) { await once([...publisher.sockets][0], 'close') }
    ok(timers() <= before)
  })

  it('connections that idle are closed after 4 seconds, those to each host on their own, and none is looked for when there is none', async t => {
    const sweeps = new Map<object, () => void>()
    t.mock.method(globalThis, 'setInterval', (sweep: () => void) => {
      const timer = { unref () {} }
      sweeps.set(timer, sweep)
      return timer as never
    })
    t.mock.method(globalThis, 'clearInterval', (timer: object) => { sweeps.delete(timer) })
    let later = 0
    const now = performance.now.bind(performance)
    t.mock.method(performance, 'now', () => now() + later)
    const pass = (seconds: number): void => {
      later += 1000 * seconds
      for (const sweep of sweeps.values()) { sweep() }
    }
    const answer = (): string => 'HTTP/1.1 204 No Content\r\n\r\n'
    await using first = await rawServer(answer)
    await using second = await rawServer(answer)
    const client = createHttpClient()
    const ask = async ({ url }: TestServer): Promise<unknown> => client.request(url, { timeout: 60_000, maxBodySize: 1 })
    for (const connections of [1, 2]) {
      await ask(first)
      await ask(second)
      pass(3)
      await ask(first)
      const [[one], [other]] = [first, second].map(({ sockets }) => [...sockets])
      pass(3)
      await once(other, 'close')
      equal(sweeps.size, 1)
      await ask(first)
      deepEqual([first, second].map(({ connections }) => connections), [connections, connections])
      pass(4)
      await once(one, 'close')
      equal(sweeps.size, 0)
      equal((client as any).pools.size, 0)
    }
    await ask(first)
    await client.stop()
    equal(sweeps.size, 0)
  })

  it('a process with kept connections ends by itself, at once', async () => {
    await using server = await rawServer(() => 'HTTP/1.1 204 No Content\r\n\r\n')
    const script = `
      import { createHttpClient } from './src/syncers/httpsync/client.node.ts'
      await createHttpClient().request(new URL('${server.url}'), { timeout: 60000, maxBodySize: 1 })
      if (process.getActiveResourcesInfo().includes('Timeout')) { process.exitCode = 1 }`
    const child = spawn(process.execPath, ['--conditions=dagsync-source', '--input-type=module', '--eval', script], { stdio: 'inherit' })
    const [code] = await once(child, 'exit')
    equal(code, 0)
    equal(server.requests.length, 1)
  })
})
