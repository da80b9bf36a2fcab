import { describe, it } from 'node:test'
import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import fc from 'fast-check'
import { turnOfEventLoop } from '../../src/shared/event-loop.ts'
import { parseRequestHead, parseResponseHead, writeRequestHead, writeResponseHead } from '../../src/wire/http-stream/head.ts'
import { HttpParser } from '../../src/wire/http-stream/parser.ts'
import type { MessageOptions } from '../../src/wire/http-stream/parser.ts'

const bytes = (text: string): Uint8Array => Uint8Array.from(text, character => character.charCodeAt(0))
const text = (body: Uint8Array): string => String.fromCharCode(...body)

interface Read { parser: HttpParser, used: number, body: string }

/** Reads one message that comes in chunks of `step` bytes; `close` when the other side closes after it. */
function read (message: string, init: Partial<MessageOptions> & { role?: 'request' | 'response', step?: number, close?: boolean } = {}): Read {
  const { role = 'response', step = Infinity, close = false, ...options } = init
  const parser = new HttpParser(role)
  parser.begin({ maxBodySize: 1000, ...options })
  const all = bytes(message)
  let used = 0
  while (used < all.length && !parser.done) {
    used += parser.push(all.slice(used, used + step))
  }
  if (close) { parser.end() }
  return { parser, used, body: parser.done ? text(parser.takeBody()) : '' }
}

const OK = 'HTTP/1.1 200 OK\r\n'

describe('reading HTTP/1.1', () => {
  it('reads a response with content-length and leaves what follows it', () => {
    const message = `${OK}Content-Length: 5\r\nETag:  "x"  \r\n\r\nhello`
    const { parser, used, body } = read(message + 'HTTP/1.1')
    ok(parser.done)
    equal(used, message.length)
    equal(parser.status, 200)
    equal(parser.headers.get('etag'), '"x"')
    equal(parser.headers.get('missing'), undefined)
    equal(body, 'hello')
    ok(parser.keepAlive)
  })

  it('reads the same message from chunks of any size', () => {
    const messages = [
      `${OK}Content-Length: 5\r\n\r\nhello`,
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${OK}Transfer-Encoding: chunked\r\n\r\n3;x=1\r\nhel\r\n02\r\nlo\r\n0\r\nT: 1\r\n\r\n`
    ]
    for (const message of messages) {
      for (let step = 1; step <= message.length; step++) {
        const { parser, used, body } = read(message, { step })
        deepEqual([parser.done, used, body, parser.keepAlive], [true, message.length, 'hello', true])
      }
    }
  })

  it('reads a body without length until the connection closes', () => {
    const { parser, body } = read(`${OK}\r\nhel` + 'lo', { close: true })
    equal(body, 'hello')
    equal(parser.keepAlive, false)
  })

  it('knows the messages without a body', () => {
    for (const status of [204, 304]) {
      const { parser, body } = read(`HTTP/1.1 ${status} x\r\nContent-Length: 5\r\n\r\n`)
      deepEqual([parser.done, body, parser.keepAlive], [true, '', true])
    }
    ok(read(`${OK}Content-Length: 5\r\n\r\n`, { bodyless: true }).parser.done)
    ok(read(`${OK}Content-Length: 0\r\n\r\n`).parser.done)
  })

  it('keeps the connection of 1.1 unless told to close, and of 1.0 only when told to keep it', () => {
    const keeps = (message: string): boolean => read(message).parser.keepAlive
    equal(keeps(`${OK}Content-Length: 0\r\nConnection: x, Close\r\n\r\n`), false)
    equal(keeps('HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n'), false)
    equal(keeps('HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n'), true)
  })

  it('is used again after begin()', () => {
    const parser = new HttpParser('response')
    for (const word of ['one', 'three']) {
      parser.begin({ maxBodySize: 10 })
      equal(parser.started, false)
      parser.push(bytes(`${OK}Content-Length: ${word.length}\r\nX: ${word}\r\n\r\n${word}`))
      deepEqual([parser.done, parser.headers.get('x'), text(parser.takeBody())], [true, word, word])
    }
  })

  it('copies the body: the chunk may be overwritten', () => {
    const chunk = bytes(`${OK}Content-Length: 5\r\n\r\nhello`)
    const parser = new HttpParser('response')
    parser.begin({ maxBodySize: 10 })
    parser.push(chunk)
    chunk.fill(0)
    equal(text(parser.takeBody()), 'hello')
  })

  it('reads requests, which have no body unless they say so', () => {
    const { parser } = read('GET /a/head?x=1 HTTP/1.1\r\nHost:\r\n\r\n', { role: 'request' })
    deepEqual([parser.done, parser.method, parser.target, parser.headers.get('host')], [true, 'GET', '/a/head?x=1', ''])
    equal(read('PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi', { role: 'request' }).body, 'hi')
  })

  it('refuses what two readers could read as two messages', () => {
    const heads = {
      'a bare LF': 'HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n',
      'a bare CR': `${OK}X: a\rb\r\n\r\n`,
      'a NUL': `${OK}X: a\0b\r\n\r\n`,
      'a folded line': `${OK}X: a\r\n b\r\n\r\n`,
      'a space before the colon': `${OK}Content-Length : 0\r\n\r\n`,
      'a line without colon': `${OK}what\r\n\r\n`,
      'no name': `${OK}: x\r\n\r\n`,
      'two lengths': `${OK}Content-Length: 1\r\nContent-Length: 1\r\n\r\n`,
      'a signed length': `${OK}Content-Length: +1\r\n\r\n`,
      'a length in hex': `${OK}Content-Length: 0x1\r\n\r\n`,
      'two values of one length': `${OK}Content-Length: 1, 1\r\n\r\n`,
      'length and chunks': `${OK}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`,
      'another transfer encoding': `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n`,
      'chunks in 1.0': 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
      'another version': 'HTTP/2 200 OK\r\n\r\n',
      'another protocol': 'SSH-2.0-OpenSSH_9.6\r\n\r\n',
      'a status that is none': 'HTTP/1.1 20 OK\r\n\r\n',
      'a switch of protocols': 'HTTP/1.1 101 Switching Protocols\r\n\r\n',
      'interim responses without end': 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(20)
    }
    for (const [what, head] of Object.entries(heads)) {
      throws(() => read(head), { name: 'InvalidMessageError' }, what)
    }
    const chunked = `${OK}Transfer-Encoding: chunked\r\n\r\n`
    for (const body of ['x\r\n', '-1\r\n', '1 1\r\n', '1\nx', '1\r\nxy\r\n', '000000001\r\n', `1;${'e'.repeat(300)}`, '0\r\nbad\r\n', '\r\n']) {
      throws(() => read(chunked + body), { name: 'InvalidMessageError' }, body)
    }
    throws(() => read(`${chunked}0\r\n${`T: ${'x'.repeat(4000)}\r\n`.repeat(3)}`), { name: 'InvalidMessageError' })
  })

  it('takes spaces and tabs around a value for nothing, and no other character', () => {
    equal(read(`${OK}X: \t\xa0a\xa0\t \r\nContent-Length: 0\r\n\r\n`).parser.headers.get('x'), '\xa0a\xa0')
    throws(() => read(`${OK}Content-Length: \xa05\r\n\r\nhello`), { name: 'InvalidMessageError' })
  })

  it('holds no body that was taken', async () => {
    const parser = new HttpParser('response')
    parser.begin({ maxBodySize: 100_000 })
    parser.push(bytes(`${OK}Content-Length: 100000\r\n\r\n${'x'.repeat(100_000)}`))
    const body = new WeakRef(parser.takeBody())
    await turnOfEventLoop()
    globalThis.gc?.()
    ok(body.deref() == null && parser.done)
  })

  it('takes a head of 16 KiB, and none that is longer, in chunks of any size', () => {
    const head = (size: number): string => `${OK}Content-Length: 0\r\nX: ${'y'.repeat(size - OK.length - 26)}\r\n\r\n`
    for (const step of [1, 1_000, Infinity]) {
      const { parser, used } = read(head(16_384), { step })
      deepEqual([parser.done, used], [true, 16_384])
      throws(() => read(head(16_385), { step }), { name: 'InvalidMessageError', message: /16384/ })
    }
  })

  it('skips 8 interim answers, and refuses more, broken chunks that nobody wants and control characters', () => {
    const interim = 'HTTP/1.1 103 Early Hints\r\n\r\n'
    equal(read(`${interim.repeat(8)}${OK}Content-Length: 2\r\n\r\nhi`).body, 'hi')
    throws(() => read(`${interim.repeat(9)}${OK}Content-Length: 2\r\n\r\nhi`), { name: 'InvalidMessageError' })
    throws(() => read(`${OK}Transfer-Encoding: chunked\r\n\r\nx\r\n`, { skipBody: () => true }), { name: 'InvalidMessageError' })
    throws(() => read(`${OK}X: a\x7fb\r\n\r\n`), { name: 'InvalidMessageError' })
  })

  it('refuses a head without end', () => {
    throws(() => read(`${OK}${'X: y\r\n'.repeat(5000)}`, { step: 1000 }), { name: 'InvalidMessageError', message: /16384/ })
  })

  it('refuses a body over the limit before it is allocated', () => {
    for (const length of ['1001', '18446744073709551616', '9'.repeat(1000)]) {
      throws(() => read(`${OK}Content-Length: ${length}\r\n\r\n`), { name: 'BlockTooLargeError', limit: 1000 })
    }
    throws(() => read(`${OK}Transfer-Encoding: chunked\r\n\r\nffffffff\r\n`), { name: 'BlockTooLargeError' })
    throws(() => read(`${OK}Transfer-Encoding: chunked\r\n\r\n${'1\r\nx\r\n'.repeat(1001)}`, { what: 'http://a/b' }), { message: /http:\/\/a\/b/ })
    throws(() => read(`${OK}\r\n${'x'.repeat(1001)}`, { step: 100 }), { name: 'BlockTooLargeError' })
    equal(read(`${OK}Content-Length: 1000\r\n\r\n${'x'.repeat(1000)}`).body.length, 1000)
  })

  it('tells a message that is cut short', () => {
    for (const part of ['', OK, `${OK}Content-Length: 5\r\n\r\nhell`, `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`]) {
      throws(() => read(part, { close: true }), { name: 'InvalidMessageError' }, part)
    }
  })

  it('drops a body that is not wanted, and gives the connection up where it is long', () => {
    const skipBody = (status: number): boolean => status === 404
    const head = 'HTTP/1.1 404 Not Found\r\n'
    const short = read(`${head}Content-Length: 9\r\n\r\nnot found`, { skipBody, maxBodySize: 1 })
    deepEqual([short.parser.done, short.body, short.parser.keepAlive], [true, '', true])
    for (const rest of ['Content-Length: 100000\r\n\r\n', `\r\n${'x'.repeat(100_000)}`, 'Transfer-Encoding: chunked\r\n\r\nfffff\r\n']) {
      const long = read(head + rest, { skipBody, step: 8192 })
      deepEqual([long.parser.done, long.parser.status, long.body, long.parser.keepAlive], [true, 404, '', false])
    }
  })

  it('throws nothing but named errors, whatever comes', () => {
    const word = fc.constantFrom('HTTP/1.1 ', '200', '\r\n', '\r\n\r\n', 'Content-Length: ', 'Transfer-Encoding: chunked', '5', 'x', ':', '\0', 'ÿ', ' ')
    fc.assert(fc.property(fc.array(word, { maxLength: 30 }), fc.integer({ min: 1, max: 9 }), (words, step) => {
      try {
        read(words.join(''), { step, close: true, maxBodySize: 20 })
      } catch (err) {
        ok(['InvalidMessageError', 'BlockTooLargeError'].includes((err as Error).name), String(err))
      }
    }), { numRuns: 500 })
  })
})

describe('writing HTTP/1.1', () => {
  it('writes heads that it reads', () => {
    const request = parseRequestHead(writeRequestHead('GET', '/head', ['Host', 'a:1', 'Accept-Encoding', 'gzip']))
    deepEqual([request.method, request.target, request.minor, request.headers.get('HOST')], ['GET', '/head', 1, 'a:1'])
    const response = parseResponseHead(writeResponseHead(404, ['Content-Length', '0'], 'Not Found'))
    deepEqual([response.status, response.headers.get('content-length')], [404, '0'])
  })

  it('refuses to write a head that would be read as another', () => {
    for (const [name, value] of [['X', 'a\r\nY: b'], ['X', 'a\nb'], ['X', 'a\0'], ['X', '\u010a'], ['X y', 'a'], ['', 'a']]) {
      throws(() => writeRequestHead('GET', '/', [name, value]), { name: 'InvalidMessageError' })
    }
    throws(() => writeRequestHead('GET', '/ HTTP/1.1\r\nX: y', []), { name: 'InvalidMessageError' })
  })
})
