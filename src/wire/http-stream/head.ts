import { InvalidMessageError } from '../../shared/errors.ts'

// Beyond one byte a character would be cut to another one, LF among them.
const UNWRITABLE = /[^\t\x20-\x7e\x80-\xff]/
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9][0-9]{2})(?: .*)?$/
const REQUEST_LINE = /^([A-Z]+) ([!-~]+) HTTP\/1\.([01])$/

/** Those that most heads have, as they are mostly written, and their keys: they need not be checked and changed each time. */
const COMMON = new Map([
  'Accept', 'Accept-Encoding', 'Connection', 'Content-Length', 'Content-Type', 'Date', 'Etag', 'ETag', 'Host', 'Ipni-Cid-Schema-Type',
  'Transfer-Encoding', 'User-Agent', 'X-Content-Type-Options'
].map(name => [name, name.toLowerCase()]))

// Said twice they contradict each other or hide something.
const ONCE = new Set(['content-length', 'transfer-encoding', 'host'])

/** The headers of one message, by name in any case; repeated ones joined by a comma. */
export class HttpHeaders {
  private readonly values = new Map<string, string>()

  get (name: string): string | undefined {
    return this.values.get(name.toLowerCase())
  }

  /** Throws InvalidMessageError for a repeated header that may be there once only. */
  add (name: string, value: string): void {
    const key = COMMON.get(name) ?? name.toLowerCase()
    const before = this.values.get(key)
    if (before == null) {
      this.values.set(key, value)
      return
    }
    if (ONCE.has(key)) {
      throw new InvalidMessageError(`HTTP header ${key} is repeated`)
    }
    this.values.set(key, `${before}, ${value}`)
  }
}

/** Whether the Connection header has this option, given in lower case. */
export function hasConnectionOption (headers: HttpHeaders, option: string): boolean {
  const value = headers.get('connection')
  return value != null && (value === option || value.toLowerCase().split(',').some(one => one.trim() === option))
}

/** The head of a response. */
export interface ResponseHead {
  minor: number
  status: number
  headers: HttpHeaders
}

/** The head of a request. */
export interface RequestHead {
  minor: number
  method: string
  target: string
  headers: HttpHeaders
}

/** Reads a head that HttpParser has found to be lines, the last one empty. Throws InvalidMessageError. */
export function parseResponseHead (text: string): ResponseHead {
  const { start, headers } = parseHead(text)
  const match = STATUS_LINE.exec(start)
  if (match == null) {
    throw new InvalidMessageError('not an HTTP/1.x status line')
  }
  return { minor: Number(match[1]), status: Number(match[2]), headers }
}

/** The same for a request. Throws InvalidMessageError. */
export function parseRequestHead (text: string): RequestHead {
  const { start, headers } = parseHead(text)
  const match = REQUEST_LINE.exec(start)
  if (match == null) {
    throw new InvalidMessageError('not an HTTP/1.x request line')
  }
  return { method: match[1], target: match[2], minor: Number(match[3]), headers }
}

/**
 * Writes the head of a GET-like request, without body; headers are names and values in turn. Throws InvalidMessageError for a name or
 * value that would break it.
 */
export function writeRequestHead (method: string, target: string, headers: readonly string[]): string {
  return writeHead(`${method} ${target} HTTP/1.1`, headers)
}

/** The same for a response. */
export function writeResponseHead (status: number, headers: readonly string[], reason = ''): string {
  return writeHead(`HTTP/1.1 ${status} ${reason}`, headers)
}

/** A written head as it is sent, one byte for each character, and what goes out in one piece with it. */
export function headBytes (text: string, body?: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(text.length + (body?.length ?? 0))
  for (let i = 0; i < text.length; i++) { bytes[i] = text.charCodeAt(i) }
  if (body != null) { bytes.set(body, text.length) }
  return bytes
}

function writeHead (start: string, headers: readonly string[]): string {
  let text = `${start}\r\n`
  let checked = start
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]
    if (!COMMON.has(name) && !TOKEN.test(name)) {
      throw new InvalidMessageError('not a name of an HTTP header')
    }
    text += `${name}: ${headers[i + 1]}\r\n`
    checked += headers[i + 1]
  }
  if (UNWRITABLE.test(checked)) {
    throw new InvalidMessageError('HTTP head that would hold a control character')
  }
  return text + '\r\n'
}

function parseHead (text: string): { start: string, headers: HttpHeaders } {
  const headers = new HttpHeaders()
  let end = text.indexOf('\r\n')
  const start = text.slice(0, end)
  for (let at = end + 2; (end = text.indexOf('\r\n', at)) > at; at = end + 2) {
    parseHeaderLine(text.slice(at, end), headers)
  }
  return { start, headers }
}

/** Without spaces and tabs around it; trim() takes off 0xa0 too, which may be the end of a letter. */
function trimmed (line: string, from: number): string {
  let to = line.length
  while (from < to && isBlank(line.charCodeAt(from))) { from++ }
  while (from < to && isBlank(line.charCodeAt(to - 1))) { to-- }
  return line.slice(from, to)
}

function isBlank (code: number): boolean {
  return code === 0x20 || code === 0x09
}

/** Folded lines and spaces before the colon are refused, as RFC 9112 5.1 and 5.2 ask. */
export function parseHeaderLine (line: string, headers: HttpHeaders): void {
  const colon = line.indexOf(':')
  const name = line.slice(0, Math.max(colon, 0))
  if (!COMMON.has(name) && !TOKEN.test(name)) {
    throw new InvalidMessageError('not an HTTP header line')
  }
  headers.add(name, trimmed(line, colon + 1))
}
