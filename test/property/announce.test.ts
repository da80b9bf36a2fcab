import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { announceFromJson, announceToJson, decodeAnnounce, encodeAnnounce, messageAddrs } from '../../src/announce/index.ts'
import { Pending } from '../../src/announce/pending.ts'
import { multiaddrFromBytes, multiaddrToUrl, parseMultiaddrs, urlToMultiaddr } from '../../src/shared/multiaddrs.ts'
import { newPeer, vectors } from '../announce/kit.ts'
import type { AnnounceMessage } from '../../src/announce/index.ts'
import type { PeerId } from '@libp2p/interface'

const peers = await Promise.all(Array.from({ length: 6 }, newPeer))
const good: Uint8Array[] = vectors('announce-messages').messages.map(({ cbor }: any) => new Uint8Array(Buffer.from(cbor, 'base64')))
const bytes = (max: number, min = 0): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: min, maxLength: max })

const cids = fc.tuple(fc.nat(0xffff), bytes(40)).map(([codec, digest]) => CID.createV1(codec, Digest.create(0x12, digest)))

const announceMessages = (): fc.Arbitrary<AnnounceMessage> => fc.record({
  cid: cids,
  addrs: fc.array(bytes(300), { maxLength: 64 }),
  extraData: bytes(300, 1),
  origPeer: fc.string({ minLength: 1, unit: 'grapheme', maxLength: 60 })
}, { requiredKeys: ['cid', 'addrs'] })

function same (a: AnnounceMessage, b: AnnounceMessage): void {
  ok(a.cid.equals(b.cid))
  deepEqual({ ...a, cid: undefined }, { ...b, cid: undefined })
}

/** What a decoder does with bad input: its own error, and none other. */
function ownError (name: string, fn: () => unknown): void {
  try {
    fn()
  } catch (err) {
    equal((err as Error).name, name, String((err as Error).stack))
  }
}

describe('announce messages', () => {
  it('are read as they were written', () => {
    fc.assert(fc.property(announceMessages(), message => {
      same(decodeAnnounce(encodeAnnounce(message)), message)
      same(announceFromJson(announceToJson(message)), message)
    }))
  })

  it('fail with InvalidMessageError or not at all, whatever the bytes', () => {
    const mutated = fc.tuple(fc.constantFrom(...good), fc.nat(), fc.nat(255), fc.nat(40)).map(([message, at, byte, cut]) => {
      const copy = message.slice(0, message.length - cut % message.length)
      copy[at % copy.length] = byte
      return copy
    })
    fc.assert(fc.property(fc.oneof(bytes(200), mutated), input => {
      ownError('InvalidMessageError', () => messageAddrs(decodeAnnounce(input)))
    }), { numRuns: 2_000 })
  })

  it('are written again with the bytes that were read', () => {
    fc.assert(fc.property(fc.constantFrom(...good), fc.nat(), fc.nat(255), (message, at, byte) => {
      const copy = message.slice()
      copy[at % copy.length] = byte
      let decoded: AnnounceMessage
      try { decoded = decodeAnnounce(copy) } catch { return }
      // one form only: what is read has no second spelling, but for bytes behind it and an empty or a broken OrigPeer
      const again = encodeAnnounce(decoded)
      if (decoded.origPeer == null && copy[0] === 0x83) { deepEqual(again, copy.subarray(0, again.length)) }
    }), { numRuns: 2_000 })
  })

  it('fail with InvalidMessageError or not at all, whatever the JSON', () => {
    const keys = fc.constantFrom('Cid', 'cid', 'Addrs', 'EXTRADATA', 'OrigPeer', '/', '__proto__')
    const objects = fc.dictionary(keys, fc.jsonValue()).map(value => JSON.stringify(value))
    fc.assert(fc.property(fc.oneof(fc.json(), objects, fc.string()), json => {
      ownError('InvalidMessageError', () => announceFromJson(json))
    }))
  })
})

describe('addresses', () => {
  const urls = fc.webUrl({ validSchemes: ['http', 'https', 'ws', 'wss'] }).filter(url => URL.canParse(url))

  it('have the URL that they were made from, but for query and fragment', () => {
    fc.assert(fc.property(urls, fc.boolean(), (text, legacyPath) => {
      const url = new URL(text)
      url.search = ''
      url.hash = ''
      const back = multiaddrToUrl(urlToMultiaddr(url, { legacyPath }))
      equal(back.origin, url.origin)
      // a path may be spelt in several ways, and slashes before it are one
      equal(decodeURIComponent(back.pathname), decodeURIComponent(url.pathname).replace(/^\/+/, '/'))
    }))
  })

  it('are the same read from text or from bytes', () => {
    fc.assert(fc.property(urls, fc.boolean(), (url, legacyPath) => {
      const addr = urlToMultiaddr(url, { legacyPath })
      deepEqual(parseMultiaddrs([addr.toString()])[0].bytes, addr.bytes)
      equal(multiaddrFromBytes(addr.bytes).toString(), addr.toString())
    }))
  })

  it('keep their bytes, or fail with InvalidMultiaddrError', () => {
    const component = fc.oneof(
      bytes(4, 4).map(ip => [4, ...ip]), bytes(2, 2).map(port => [6, ...port]), bytes(20, 1).map(name => [54, name.length, ...name]),
      bytes(20).map(path => [0xe1, 3, path.length, ...path]), fc.constant([0xe0, 3]), bytes(5).map(junk => [...junk])
    )
    fc.assert(fc.property(fc.array(component, { maxLength: 5 }), components => {
      const input = Uint8Array.from(components.flat())
      ownError('InvalidMultiaddrError', () => {
        const addr = multiaddrFromBytes(input)
        deepEqual(Uint8Array.from(addr.bytes), input)
        ownError('InvalidMultiaddrError', () => multiaddrToUrl(addr))
      })
    }), { numRuns: 2_000 })
  })
})

describe('pending announces', () => {
  it('are the newest of each publisher, as in a model', () => {
    const step = fc.record({ peer: fc.nat(5), n: fc.nat(), hint: fc.boolean(), take: fc.boolean() })
    fc.assert(fc.property(fc.array(step, { maxLength: 60 }), steps => {
      const pending = new Pending(4)
      let model: Array<{ peer: PeerId, n: number, hint: boolean }> = []
      const first = (hint: boolean): number => model.findIndex(entry => entry.hint === hint)
      for (const { peer: i, n, hint, take } of steps) {
        const peer = peers[i]
        if (take) {
          const at = Math.max(0, first(false))
          equal((pending.take() as any)?.n, model.splice(at, 1)[0]?.n)
          continue
        }
        const at = model.findIndex(entry => entry.peer === peer)
        if (at >= 0 && model[at].hint === hint) {
          model[at].n = n
        } else if (!hint || at < 0) {
          model = model.filter(entry => entry.peer !== peer)
          model.push({ peer, n, hint })
        }
        const over = model.length > 4 ? model.splice(Math.max(0, first(true)), 1)[0] : undefined
        const announce: any = { peerId: peer, n, ...(hint && { hintFrom: peers[0] }) }
        equal((pending.offer(announce) as any)?.n, over?.n)
        equal(pending.size, model.length)
      }
    }))
  })
})
