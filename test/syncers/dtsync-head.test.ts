import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import {
  createHeadServer, headProtocol, LEGS_VOUCHER_RESULT_TYPE, LEGS_VOUCHER_TYPE, previousHeadProtocol, queryHead, voucherFromNode,
  voucherToNode
} from '../../src/syncers/dtsync/index.ts'
import type { HeadServer, LegsVoucher } from '../../src/syncers/dtsync/index.ts'
import { HeadClient } from '../../src/syncers/dtsync/head.ts'
import { RawServer, RawStream, response, untilStreams } from '../wire/http-kit.ts'
import { createPair } from '../wire/nodes.ts'
import type { Pair } from '../wire/nodes.ts'

const raw = JSON.parse(readFileSync('test/vectors/head-raw.json', 'utf8'))
const { topic, protocol } = raw
const ROOT = CID.parse(raw.root)
const GO_REQUEST: string = raw.goServer[0].request

interface Served extends Pair {
  server: HeadServer
}

/** b serves a head to a. */
async function served (root: CID | null = ROOT, init: { topic?: string, previous?: boolean } = {}): Promise<Served> {
  const pair = await createPair()
  const server = createHeadServer({ libp2p: pair.b }, { topic, ...init })
  server.root = root ?? undefined
  await server.start()
  return { ...pair, server }
}

/** b plays a publisher by hand. */
async function played (play: RawServer['answer']): Promise<Pair & { raw: RawServer }> {
  const pair = await createPair()
  return { ...pair, raw: await RawServer.start(pair.b, protocol, play) }
}

interface Parts { status: string, type?: string, length: number, body: string }

/** What counts of a response: a length that is not said ends with the stream. */
function parts (message: string): Parts {
  const [head, body] = [message.slice(0, message.indexOf('\r\n\r\n')), message.slice(message.indexOf('\r\n\r\n') + 4)]
  return {
    status: head.split(' ')[1],
    type: /content-type: (.*)\r?/i.exec(head)?.[1].trim(),
    length: Number(/content-length: (\d+)/i.exec(head)?.[1] ?? body.length),
    body
  }
}

describe('head protocol ids', () => {
  it('are those of Go', () => {
    for (const [topic, current, previous] of [
      ['/indexer/ingest/mainnet', '/legs/head/indexer/ingest/mainnet/0.0.1', '/legs/head//indexer/ingest/mainnet/0.0.1'],
      ['t', '/legs/head/t/0.0.1', '/legs/head/t/0.0.1'],
      ['', '/legs/head/0.0.1', '/legs/head//0.0.1'],
      ['/a//b/./c/../d/', '/legs/head/a/b/d/0.0.1', '/legs/head//a//b/./c/../d//0.0.1'],
      ['../../..', '/0.0.1', '/legs/head/../../../0.0.1']
    ]) {
      deepEqual([headProtocol(topic), previousHeadProtocol(topic)], [current, previous])
    }
    equal(headProtocol(topic), protocol)
  })
})

describe('queryHead() gives what a Go client gives', () => {
  for (const { name, response, serverClosesAfter, resultCid, error } of raw.goClient) {
    it(name, async () => {
      await using pair = await played(async stream => {
        stream.write(response)
        if (serverClosesAfter) { await stream.stream.close() }
      })
      const options = { timeout: name === 'no length, server does not close' ? 200 : 10_000 }
      const head = queryHead({ libp2p: pair.a }, pair.b.peerId, topic, options)
      if (error == null) {
        equal((await head)?.toString() ?? '', resultCid)
      } else {
        await rejects(head, (err: any) => {
          equal(err.name, 'HeadQueryError')
          equal(err.cause.name, options.timeout === 200 ? 'TimeoutError' : 'InvalidMessageError')
          return err.peerId.equals(pair.b.peerId)
        })
      }
      await untilStreams(pair.a, protocol, 0)
      await untilStreams(pair.b, protocol, 0)
    })
  }
})

describe('a head server answers as a Go server', () => {
  for (const { name, request, clientHalfCloses, hasRoot, response } of raw.goServer) {
    it(name, async () => {
      await using pair = await served(hasRoot ? ROOT : null)
      const stream = await RawStream.open(pair.a, pair.b.peerId, protocol)
      stream.write(request)
      if (clientHalfCloses) { await stream.stream.close() }
      const expected = name === 'two requests' ? response.slice(0, response.length / 2) : response // the first one is the last here
      const got = await stream.readAll()
      deepEqual(parts(got), parts(expected))
      ok(got.includes('Connection: close\r\n'))
      await stream.stream.close()
      await untilStreams(pair.b, protocol, 0)
    })
  }

  it('two requests that ask to keep the stream', async () => {
    await using pair = await served()
    const stream = await RawStream.open(pair.a, pair.b.peerId, protocol)
    stream.write(GO_REQUEST.replace('\r\n\r\n', '\r\nConnection: keep-alive\r\n\r\n').repeat(2))
    for (let i = 0; i < 2; i++) { equal(parts(await stream.readResponse()).body, raw.root) }
    await untilStreams(pair.b, protocol, 1)
  })
})

describe('the head part of recorded conversations', () => {
  for (const name of ['success', 'empty-head', 'previous-head-protocol', 'head-wrong-topic']) {
    const { root, error, resultCid, topic, events } = JSON.parse(readFileSync(`test/vectors/transcripts/${name}.json`, 'utf8'))
    const writes = (from: string): string | undefined => events.find((one: any) => one.from === from && one.event === 'write')?.text
    const tried: string[] = events.filter(({ event }: any) => event === 'open-failed').map(({ protocol }: any) => protocol.slice(1, -1))
    const spoken = events.find(({ event }: any) => event === 'accept')?.protocol

    it(`${name}: the client understands the publisher`, async () => {
      await using pair = await createPair()
      const asked = name === 'head-wrong-topic' ? '/other/topic' : topic
      if (spoken == null) {
        await createHeadServer({ libp2p: pair.b }, { topic, previous: true }).start()
        await rejects(queryHead({ libp2p: pair.a }, pair.b.peerId, asked), (err: any) => {
          equal(err.name, 'HeadQueryError')
          ok(tried.length === 2 && tried.every(protocol => err.cause.message.includes(protocol)), err.cause.message)
          return error.includes('protocols not supported')
        })
        return
      }
      const { requests } = await RawServer.start(pair.b, spoken, stream => { stream.write(writes('publisher') ?? '') })
      equal((await queryHead({ libp2p: pair.a }, pair.b.peerId, asked))?.toString() ?? '', name === 'success' ? root : resultCid)
      equal(requests[0].split('\r\n')[0], writes('subscriber')?.split('\r\n')[0])
    })

    if (spoken == null) { continue }
    it(`${name}: the server is understood by the subscriber`, async () => {
      const cid = resultCid === '' ? null : CID.parse(resultCid)
      await using pair = await served(cid, { topic, previous: tried.length > 0 })
      const stream = await RawStream.open(pair.a, pair.b.peerId, spoken)
      stream.write(writes('subscriber') ?? '')
      deepEqual(parts(await stream.readAll()), parts(writes('publisher') ?? ''))
    })
  }
})

describe('queryHead()', () => {
  it('takes no text for a peer', async () => {
    await using pair = await createPair()
    await rejects(queryHead({ libp2p: pair.a }, pair.b.peerId.toString() as any, topic), { name: 'InvalidOptionError', field: 'peer' })
  })

  it('asks the current protocol first, and the previous one of older peers', async () => {
    await using pair = await createPair()
    await RawServer.start(pair.b, previousHeadProtocol(topic), stream => { stream.write(response('')) })
    equal(await queryHead({ libp2p: pair.a }, pair.b.peerId, topic), undefined)
    await RawServer.start(pair.b, protocol, stream => { stream.write(response(raw.root)) })
    deepEqual(await queryHead({ libp2p: pair.a }, pair.b.peerId, topic), ROOT)
  })

  it('says why there is no answer', async () => {
    for (const [play, cause] of [
      [() => {}, 'TimeoutError'],
      [stream => { stream.write('HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n') }, 'BlockTooLargeError'],
      [stream => { stream.write(`HTTP/1.1 200 OK\r\n\r\n${'b'.repeat(2_000)}`) }, 'BlockTooLargeError'],
      [stream => { stream.write('X'.repeat(20_000)) }, 'InvalidMessageError'],
      [stream => { stream.write(response(`${raw.root}x`)) }, 'InvalidMessageError'],
      [stream => { stream.write(response('\xff\xfe')) }, 'InvalidMessageError'],
      [stream => { stream.stream.abort(new Error('test')) }, 'TransferFailedError']
    ] as Array<[RawServer['answer'], string]>) {
      await using pair = await played(play)
      const query = queryHead({ libp2p: pair.a }, pair.b.peerId, topic, { timeout: cause === 'TimeoutError' ? 50 : 10_000 })
      await rejects(query, (err: any) => {
        equal(err.cause.name, cause)
        return err.name === 'HeadQueryError'
      })
      await untilStreams(pair.a, protocol, 0)
      await untilStreams(pair.b, protocol, 0)
    }
  })

  it('fails by name when the peer is not there', async () => {
    const pair = await served()
    await pair[Symbol.asyncDispose]()
    await using other = await createPair()
    await rejects(queryHead({ libp2p: other.a }, pair.b.peerId, topic), { name: 'HeadQueryError' })
  })

  it('rethrows what it was aborted with', async () => {
    const asked = Promise.withResolvers<void>()
    await using pair = await played(() => { asked.resolve() })
    const controller = new AbortController()
    const query = queryHead({ libp2p: pair.a }, pair.b.peerId, topic, { signal: controller.signal })
    await asked.promise
    const reason = new Error('not needed')
    controller.abort(reason)
    await rejects(query, error => error === reason)
    await untilStreams(pair.b, protocol, 0)
  })

  it('leaves no stream behind', async () => {
    await using pair = await served()
    for (let i = 0; i < 100; i++) { deepEqual(await queryHead({ libp2p: pair.a }, pair.b.peerId, topic), ROOT) }
    await untilStreams(pair.a, protocol, 0)
    await untilStreams(pair.b, protocol, 0)
  })
})

describe('HeadClient', () => {
  it('keeps one stream, and sees each new root', async () => {
    await using pair = await served(null)
    const client = new HeadClient({ libp2p: pair.a }, { topic })
    const roots = [undefined, ROOT, CID.parse('QmPNHBy5h7f19yJDt7ip9TvmMRbqmYsa6aetkrsc1ghjLB')]
    for (let i = 0; i < 30; i++) {
      pair.server.root = roots[i % 3]
      equal(String(await client.query(pair.b.peerId)), String(roots[i % 3]))
      await untilStreams(pair.b, protocol, 1)
    }
    client.stop()
    await untilStreams(pair.b, protocol, 0)
    await rejects(client.query(pair.b.peerId), { name: 'HeadQueryError', message: /stopped/ })
  })

  it('goes on when the server was started anew meanwhile', async () => {
    await using pair = await served()
    const client = new HeadClient({ libp2p: pair.a }, { topic })
    await client.query(pair.b.peerId)
    await pair.server.stop()
    await rejects(client.query(pair.b.peerId), { name: 'HeadQueryError' })
    await pair.server.start()
    deepEqual(await client.query(pair.b.peerId), ROOT)
    client.stop()
  })
})

describe('createHeadServer()', () => {
  it('answers 200 queries on one connection of a client that leaves its side open', async () => {
    await using pair = await served()
    for (let i = 0; i < 200; i++) {
      const stream = await RawStream.open(pair.a, pair.b.peerId, protocol)
      stream.write(GO_REQUEST)
      equal(parts(await stream.readAll()).body, raw.root)
    }
    await untilStreams(pair.b, protocol, 0) // those that were left are reset
  })

  it('answers on the previous protocol only when it is told to', async () => {
    for (const previous of [false, true]) {
      await using pair = await served(ROOT, { previous })
      equal(pair.b.getProtocols().includes(previousHeadProtocol(topic)), previous)
      deepEqual(await queryHead({ libp2p: pair.a }, pair.b.peerId, topic), ROOT)
    }
  })

  it('takes a topic for which both protocols are one', async () => {
    await using pair = await served(ROOT, { topic: 't', previous: true })
    deepEqual(await queryHead({ libp2p: pair.a }, pair.b.peerId, 't'), ROOT)
  })

  it('starts and stops at any moment, and frees its protocols', async () => {
    await using pair = await served(ROOT, { previous: true })
    await Promise.all([pair.server.start(), pair.server.stop(), pair.server.stop(), pair.server.start(), pair.server.stop()])
    deepEqual(pair.b.getProtocols().filter(name => name.startsWith('/legs')), [])
    {
      await using server = createHeadServer({ libp2p: pair.b }, { topic })
      await server.start()
      equal(await queryHead({ libp2p: pair.a }, pair.b.peerId, topic), undefined)
    }
    deepEqual(pair.b.getProtocols().filter(name => name.startsWith('/legs')), [])
  })

  it('takes no root that is not a CID', async () => {
    await using pair = await served()
    throws(() => { pair.server.root = 'baguqeera' as any }, { name: 'InvalidOptionError', field: 'root' })
    deepEqual(pair.server.root, ROOT)
    pair.server.root = undefined
    equal(await queryHead({ libp2p: pair.a }, pair.b.peerId, topic), undefined)
  })
})

describe('vouchers', () => {
  const { vouchers } = JSON.parse(readFileSync('test/vectors/datatransfer-messages.json', 'utf8'))

  for (const { name, type, cbor } of vouchers) {
    it(`are those of Go: ${name}`, () => {
      const bytes = new Uint8Array(Buffer.from(cbor, 'base64'))
      const node = dagCbor.decode(bytes)
      if (type === LEGS_VOUCHER_TYPE) {
        const voucher = voucherFromNode(node)
        equal(voucher.head == null, name.endsWith('null'))
        deepEqual(dagCbor.encode(voucherToNode(voucher)), bytes)
        deepEqual(dagCbor.encode(voucherToNode({ head: undefined, ...voucher })), bytes)
      } else {
        equal(type, LEGS_VOUCHER_RESULT_TYPE)
        throws(() => voucherFromNode(node), { name: 'InvalidMessageError' })
      }
    })
  }

  it('are refused when they are something else', () => {
    for (const node of [
      undefined, null, 1, 'Head', '', [], [null], {}, { head: null }, { Head: undefined }, { Head: 1 }, { Head: String(ROOT) }, { Head: {} },
      { Head: ROOT.bytes }, { Head: ROOT, More: 1 }, ROOT, new Map([['Head', null]])
    ]) {
      throws(() => voucherFromNode(node), { name: 'InvalidMessageError' }, String(node))
    }
    throws(() => voucherToNode({ head: String(ROOT) as any }), { name: 'InvalidOptionError', field: 'head' })
    const voucher: LegsVoucher = voucherFromNode({ Head: ROOT })
    deepEqual(voucher, { head: ROOT })
  })
})
