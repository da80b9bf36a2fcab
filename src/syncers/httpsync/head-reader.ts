import { base64 } from 'multiformats/bases/base64'
import type { CID } from 'multiformats/cid'
import { parseCid } from '../../shared/cid-text.ts'
import { InvalidSignedHeadError } from '../../shared/errors.ts'

export interface HeadFields {
  head: CID
  pubkey: Uint8Array
  sig: Uint8Array
  topic?: string
}

/**
 * Reads the dag-json of a signed head: exactly its keys, in any order, with any white space.
 *
 * A reader of its own, since JSON.parse lets the last of two equal keys win, where a signed thing must have one meaning.
 * Throws InvalidSignedHeadError.
 */
export function readHead (bytes: Uint8Array): HeadFields {
  const reader = new Reader(decodeText(bytes))
  const fields: Partial<HeadFields> = {}
  reader.object(key => {
    if (Object.hasOwn(fields, key)) { throw invalid(`the key ${shorten(key)} comes twice`) }
    switch (key) {
      case 'head':
        fields.head = reader.link()
        break
      case 'pubkey':
      case 'sig':
        fields[key] = reader.bytes(key)
        break
      case 'topic':
        fields.topic = reader.string('topic')
        break
      default:
        throw invalid(`unknown key ${shorten(key)}`)
    }
  })
  reader.end()
  for (const key of ['head', 'pubkey', 'sig'] as const) {
    if (fields[key] == null) { throw invalid(`the key "${key}" is missing`) }
  }
  return fields as HeadFields
}

const SPACE = new Set([' ', '\t', '\n', '\r'])

class Reader {
  readonly #text: string
  #at = 0

  constructor (text: string) {
    this.#text = text
  }

  /** Calls back for each key; the callback reads its value. */
  object (entry: (key: string) => void): void {
    this.#expect('{')
    if (this.#skip('}')) { return }
    do {
      const key = this.string('a key')
      this.#expect(':')
      entry(key)
    } while (this.#skip(','))
    this.#expect('}')
  }

  link (): CID {
    const text = this.#single('head', '/', () => this.string('head'))
    try {
      return parseCid(text)
    } catch (cause) {
      throw invalid(`head is not a CID: ${shorten(text)}`, cause)
    }
  }

  bytes (field: string): Uint8Array {
    const text = this.#single(field, '/', () => this.#single(field, 'bytes', () => this.string(field)))
    try {
      return base64.baseDecode(text.length % 4 === 0 ? text.replace(/={1,2}$/, '') : text)
    } catch (cause) {
      throw invalid(`${field} is not base64`, cause)
    }
  }

  string (what: string): string {
    if (!this.#skip('"')) { throw this.#unexpected(`where ${what} must be, a string`) }
    const start = this.#at - 1
    for (let end = this.#text.indexOf('"', this.#at); end !== -1; end = this.#text.indexOf('"', end + 1)) {
      if (this.#escaped(end)) { continue }
      this.#at = end + 1
      try {
        return JSON.parse(this.#text.slice(start, this.#at))
      } catch (cause) {
        throw invalid(`${what} is not a JSON string`, cause)
      }
    }
    throw invalid(`${what} does not end`)
  }

  end (): void {
    this.#space()
    if (this.#at < this.#text.length) { throw invalid(`bytes after its end, at character ${this.#at}`) }
  }

  /** An object of exactly one key. */
  #single<T> (field: string, name: string, value: () => T): T {
    const found: T[] = []
    this.object(key => {
      if (key !== name || found.length > 0) { throw invalid(`${field} has a key ${shorten(key)}`) }
      found.push(value())
    })
    if (found.length === 0) { throw invalid(`${field} is empty`) }
    return found[0]
  }

  #expect (char: string): void {
    if (!this.#skip(char)) { throw this.#unexpected(`where "${char}" must be`) }
  }

  #skip (char: string): boolean {
    this.#space()
    if (this.#text[this.#at] !== char) { return false }
    this.#at++
    return true
  }

  #space (): void {
    while (SPACE.has(this.#text[this.#at])) { this.#at++ }
  }

  /** Whether an odd number of backslashes stands before it. Each is looked at for one quote only, so this stays linear. */
  #escaped (at: number): boolean {
    let first = at
    while (this.#text[first - 1] === '\\') { first-- }
    return (at - first) % 2 === 1
  }

  #unexpected (where: string): InvalidSignedHeadError {
    const found = this.#at < this.#text.length ? shorten(this.#text[this.#at]) : 'the end'
    return invalid(`${found} at character ${this.#at}, ${where}`)
  }
}

function decodeText (bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw invalid('not UTF-8', cause)
  }
}

/** What a peer sent, for a message. */
function shorten (text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}...` : text)
}

function invalid (problem: string, cause?: unknown): InvalidSignedHeadError {
  return new InvalidSignedHeadError(`signed head: ${problem}`, { cause })
}
