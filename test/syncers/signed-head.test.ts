import { deepEqual, equal, notEqual, ok, rejects } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { generateKeyPair, privateKeyFromProtobuf, publicKeyToProtobuf } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { base64 } from 'multiformats/bases/base64'
import { CID } from 'multiformats/cid'
import { InvalidSignedHeadError as shared } from '../../src/shared/errors.ts'
import { encodeSignedHead, InvalidSignedHeadError, openSignedHead } from '../../src/syncers/httpsync/signed-head.ts'

const older = JSON.parse(readFileSync('test/vectors/signed-heads-v0.3.2.json', 'utf8'))
const newer = JSON.parse(readFileSync('test/vectors/signed-heads-v0.7.8.json', 'utf8'))

const HEAD = CID.parse('baguqeerah5jbm4o22vrstcqv6bqibsilh3bgamxcbiyxgvwaslbeionwniiq')
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'))

function vectorKey (type: string): PrivateKey {
  const { privateKeyProtobuf } = older.keys.find(({ keyType }: any) => keyType === type)
  return privateKeyFromProtobuf(fromBase64(privateKeyProtobuf))
}

/** A body with parts replaced. */
function body (parts: { head?: string, pubkey?: string, sig?: string, more?: string } = {}): Uint8Array {
  const { head = `{"/":"${HEAD}"}`, pubkey = '{"/":{"bytes":"CAESIA"}}', sig = '{"/":{"bytes":"AAAA"}}', more = '' } = parts
  return utf8(`{"head":${head},"pubkey":${pubkey},"sig":${sig}${more}}`)
}

describe('signed heads of Go, v0.3.2', () => {
  for (const { name, expectedPeerId, body, error, resultCid } of older.heads) {
    if (/^HTTP status/.test(name)) { continue } // the client's part: no head is read there
    it(name, async () => {
      if (error != null && !/unexpected peer/.test(error)) {
        return rejects(openSignedHead(utf8(body)), { name: 'InvalidSignedHeadError', code: 'ERR_INVALID_SIGNED_HEAD' })
      }
      const { head, signer, topic } = await openSignedHead(utf8(body))
      equal(topic, undefined)
      if (error == null) {
        equal(head.toString(), resultCid)
        equal(signer.toString(), expectedPeerId)
      } else {
        notEqual(signer.toString(), expectedPeerId)
      }
    })
  }
})

describe('signed heads of Go, v0.7.8', () => {
  for (const { name, topic, body, error, signerPeerId, head } of newer.heads) {
    it(name, async () => {
      if (error != null) {
        return rejects(openSignedHead(utf8(body)), { name: 'InvalidSignedHeadError' })
      }
      const opened = await openSignedHead(utf8(body))
      equal(opened.head.toString(), head)
      equal(opened.signer.toString(), signerPeerId)
      equal(opened.topic, topic === '' ? undefined : topic ?? undefined) // an empty one is none
    })
  }
})

describe('encodeSignedHead', () => {
  for (const { name, keyType, topic, body, error } of newer.heads) {
    // other kinds of keys than these sign with random numbers, or are not for JavaScript
    if (error != null || !['ed25519', 'rsa', 'secp256k1'].includes(keyType) || !/^ok/.test(name)) { continue }
    it(`writes the bytes of Go: ${name}`, async () => {
      const bytes = await encodeSignedHead(HEAD, vectorKey(keyType), topic ?? undefined)
      equal(new TextDecoder().decode(bytes), body)
    })
  }

  for (const { keyType, peerId } of older.keys) {
    if (keyType === 'ecdsa') { continue }
    it(`signs what opens as the head of its peer, ${keyType}`, async () => {
      for (const topic of [undefined, '/t', 'a"b\\\u0008\u2028☃']) {
        const opened = await openSignedHead(await encodeSignedHead(HEAD, vectorKey(keyType), topic))
        equal(opened.signer.toString(), peerId)
        equal(opened.topic, topic)
        ok(opened.head.equals(HEAD))
      }
    })
  }

  it('takes an empty topic as none', async () => {
    const key = vectorKey('ed25519')
    deepEqual(await encodeSignedHead(HEAD, key, ''), await encodeSignedHead(HEAD, key))
  })

  it('refuses an ECDSA key and what is not a CID', async () => {
    const ecdsa = await generateKeyPair('ECDSA')
    await rejects(encodeSignedHead(HEAD, ecdsa), { name: 'InvalidOptionError', field: 'privateKey' })
    await rejects(encodeSignedHead(HEAD, {} as any), { name: 'InvalidOptionError', field: 'privateKey' })
    await rejects(encodeSignedHead('baguqeera' as any, vectorKey('ed25519')), { name: 'InvalidOptionError', field: 'head' })
  })
})

describe('openSignedHead', () => {
  it('exports the error that it throws', () => { equal(InvalidSignedHeadError, shared) })

  it('reads CIDs of other versions and bases', async () => {
    const key = vectorKey('ed25519')
    const v0 = CID.parse('QmPNHBy5h7f19yJDt7ip9TvmMRbqmYsa6aetkrsc1ghjLB')
    equal((await openSignedHead(await encodeSignedHead(v0, key))).head.toString(), v0.toString())
    const text = new TextDecoder().decode(await encodeSignedHead(HEAD, key))
    const upper = utf8(text.replace(HEAD.toString(), HEAD.toString().toUpperCase()))
    ok((await openSignedHead(upper)).head.equals(HEAD))
  })

  it('reads escapes in keys and values', async () => {
    const text = new TextDecoder().decode(await encodeSignedHead(HEAD, vectorKey('ed25519'), '/a"b'))
    const escaped = text.replace('"head"', '"\\u0068ead"').replace('/a', '\\/a').replace('\\"b', '\\u0022b')
    equal((await openSignedHead(utf8(escaped))).topic, '/a"b')
  })

  const bad: Array<[string, Uint8Array, RegExp]> = [
    ['an array', utf8('[]'), /where "\{" must be/],
    ['null', utf8('null'), /where "\{" must be/],
    ['an empty object', utf8('{}'), /"head" is missing/],
    ['a missing head', utf8('{"pubkey":{"/":{"bytes":"AA"}},"sig":{"/":{"bytes":"AA"}}}'), /"head" is missing/],
    ['an unknown key', body({ more: ',"x":1' }), /unknown key "x"/],
    ['__proto__', body({ more: ',"__proto__":{}' }), /unknown key "__proto__"/],
    ['a key twice', body({ more: `,"head":{"/":"${HEAD}"}` }), /"head" comes twice/],
    ['bytes behind it', utf8(`${new TextDecoder().decode(body())}{}`), /bytes after its end/],
    ['a trailing comma', utf8(new TextDecoder().decode(body()).replace(/}$/, ',}')), /where a key must be/],
    ['a head that is text', body({ head: `"${HEAD}"` }), /where "\{" must be/],
    ['a head that is no CID', body({ head: '{"/":"nope"}' }), /head is not a CID: "nope"/],
    ['a head with a second key', body({ head: `{"/":"${HEAD}","x":1}` }), /head has a key "x"/],
    ['a very long CID', body({ head: `{"/":"b${'a'.repeat(5000)}"}` }), /head is not a CID/],
    ['bytes that are text', body({ sig: '"AAAA"' }), /where "\{" must be/],
    ['bytes that are not base64', body({ sig: '{"/":{"bytes":"-_-_"}}' }), /sig is not base64/],
    ['a string without end', utf8('{"head'), /does not end/],
    ['a string with a raw line feed', utf8('{"he\nad":1}'), /is not a JSON string/],
    ['a number', body({ sig: '1' }), /"1" at character/],
    ['a byte order mark', utf8('\ufeff{}'), /where "\{" must be/],
    ['bytes that are not UTF-8', Uint8Array.of(0x7b, 0xff), /not UTF-8/],
    ['nothing', new Uint8Array(), /the end at character 0/],
    ['a pubkey without data', body({ pubkey: '{"/":{"bytes":"CAE"}}' }), /not a libp2p public key/],
    ['a pubkey that is cut off', body({ pubkey: '{"/":{"bytes":"CAESIAA"}}' }), /not a libp2p public key/],
    ['a pubkey of an unknown type', body({ pubkey: '{"/":{"bytes":"CAQSAQA"}}' }), /not a libp2p public key/],
    ['an ed25519 key of one byte', body({ pubkey: '{"/":{"bytes":"CAESAQA"}}' }), /cannot be used/],
    ['a huge pubkey', body({ pubkey: `{"/":{"bytes":"${'A'.repeat(40_000)}"}}` }), /too large/],
    ['an empty pubkey', body({ pubkey: '{"/":{"bytes":""}}' }), /pubkey is empty/],
    ['an empty sig', body({ sig: '{"/":{"bytes":""}}' }), /sig is empty/]
  ]
  for (const [name, bytes, message] of bad) {
    it(`says what is wrong: ${name}`, () => rejects(openSignedHead(bytes), { name: 'InvalidSignedHeadError', message }))
  }

  it('refuses RSA keys that go-libp2p refuses', async () => {
    const weak = await generateKeyPair('RSA', 1024)
    await rejects(openSignedHead(await encodeSignedHead(HEAD, weak)), { name: 'InvalidSignedHeadError', message: /RSA key of 1024 bits/ })
    const strong = await generateKeyPair('RSA', 3072)
    ok((await openSignedHead(await encodeSignedHead(HEAD, strong))).signer.equals(peerIdFromPrivateKey(strong)))
  })

  it('refuses a public key in another encoding than its own, which would be another peer', async () => {
    const key = vectorKey('ed25519')
    const text = new TextDecoder().decode(await encodeSignedHead(HEAD, key))
    const pubkey = publicKeyToProtobuf(key.publicKey)
    const plain = base64.baseEncode(pubkey)
    for (const other of [[...pubkey, 0x18, 0x01], [...pubkey.subarray(2), 0x08, 0x01]]) {
      const bytes = utf8(text.replace(plain, base64.baseEncode(Uint8Array.from(other))))
      await rejects(openSignedHead(bytes), { name: 'InvalidSignedHeadError' })
    }
  })

  for (const [curve, bits] of [['P-256', 256], ['P-384', 384], ['P-521', 521]] as const) {
    it(`reads ECDSA heads of ${curve}, and no other DER than the right one`, async () => {
      const { publicKey, privateKey } = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: curve }, true, ['sign', 'verify'])
      const spki = new Uint8Array(await crypto.subtle.exportKey('spki', publicKey))
      const pubkey = Uint8Array.from([8, 3, 0x12, ...(spki.length < 128 ? [spki.length] : [spki.length & 0x7f | 0x80, 1]), ...spki])
      const raw = new Uint8Array(await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, privateKey, new Uint8Array(HEAD.bytes)))
      const size = Math.ceil(bits / 8)
      const sig = der(raw.subarray(0, size), raw.subarray(size))
      const open = async (sig: Uint8Array, key = pubkey): ReturnType<typeof openSignedHead> => openSignedHead(body({
        pubkey: `{"/":{"bytes":"${base64.baseEncode(key)}"}}`, sig: `{"/":{"bytes":"${base64.baseEncode(sig)}"}}`
      }))
      equal((await open(sig)).signer.toString().slice(0, 2), 'Qm')
      for (let i = 0; i < sig.length; i += 7) {
        await rejects(open(sig.with(i, sig[i] ^ 1)), { name: 'InvalidSignedHeadError' })
      }
      for (const bad of [sig.subarray(0, -1), Uint8Array.of(...sig, 0), Uint8Array.of(0x30), raw]) {
        await rejects(open(bad), { name: 'InvalidSignedHeadError' })
      }
      await rejects(open(sig, pubkey.with(pubkey.length - 1, pubkey[pubkey.length - 1] ^ 1)), { name: 'InvalidSignedHeadError' })
    })
  }

  it('reads a long body of quotes and backslashes in linear time', async () => {
    const begin = performance.now()
    await rejects(openSignedHead(utf8(`{"${'\\"'.repeat(1_000_000)}`)), { name: 'InvalidSignedHeadError' })
    await rejects(openSignedHead(utf8(`{"${'\\\\'.repeat(1_000_000)}":1}`)), { name: 'InvalidSignedHeadError' })
    ok(performance.now() - begin < 5_000)
  })
})

function der (...integers: Uint8Array[]): Uint8Array {
  const parts = integers.flatMap(integer => {
    let digits = [...integer]
    while (digits.length > 1 && digits[0] === 0) { digits = digits.slice(1) }
    if (digits[0] >= 0x80) { digits.unshift(0) }
    return [2, digits.length, ...digits]
  })
  return Uint8Array.from([0x30, ...(parts.length < 128 ? [] : [0x81]), parts.length, ...parts])
}
