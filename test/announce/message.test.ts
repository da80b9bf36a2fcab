import { deepEqual, equal, notEqual, ok, throws } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CID } from 'multiformats/cid'
import { identity } from 'multiformats/hashes/identity'
import { announceFromJson, announceToJson, decodeAnnounce, encodeAnnounce, gossipsubInit, messageAddrs } from '../../src/announce/index.ts'
import { MAX_ANNOUNCE_SIZE } from '../../src/shared/constants.ts'
import { cids, fromBase64, toBase64, vectors } from './kit.ts'
import type { AnnounceMessage } from '../../src/announce/index.ts'

const { messages, decodeOnly, jsonDecode } = vectors('announce-messages')
const [cid] = await cids(1)

function fromVector (vector: any): AnnounceMessage {
  return {
    cid: CID.parse(vector.cid),
    addrs: vector.addrBytes.map(fromBase64),
    ...(vector.extraData !== '' && { extraData: fromBase64(vector.extraData) }),
    ...(vector.origPeer !== '' && { origPeer: vector.origPeer })
  }
}

/** A message of 3 fields from their CBOR in hex; the good ones by default. */
function cbor ({ head = '83', cid: link = `d82a5825${'00'}${Buffer.from(cid.bytes).toString('hex')}`, addrs = '80', extra = '40', rest = '' }): Uint8Array {
  return new Uint8Array(Buffer.from(head + link + addrs + extra + rest, 'hex'))
}

describe('announce messages in CBOR', () => {
  for (const vector of messages) {
    it(`writes and reads Go's bytes: ${vector.name}`, () => {
      const message = fromVector(vector)
      equal(toBase64(encodeAnnounce(message)), vector.cbor)
      const decoded = decodeAnnounce(fromBase64(vector.cbor))
      ok(decoded.cid.equals(message.cid))
      deepEqual({ ...decoded, cid: 0 }, { ...message, cid: 0 })
      deepEqual(messageAddrs(decoded).map(String), vector.addrs)
    })

    it(`has Go's message id: ${vector.name}`, () => {
      const id = gossipsubInit().msgIdFn({ data: fromBase64(vector.cbor) })
      equal(Buffer.from(id).toString('hex'), vector.gossipMessageId)
    })
  }

  for (const { name, cbor: bytes, unmarshalError, getAddrsError, decoded } of decodeOnly) {
    it(`reads as Go does: ${name}`, () => {
      if (unmarshalError != null) {
        throws(() => decodeAnnounce(fromBase64(bytes)), { name: 'InvalidMessageError' })
        return
      }
      const message = decodeAnnounce(fromBase64(bytes))
      equal(message.cid.toString(), decoded.cid)
      equal(toBase64(message.extraData ?? new Uint8Array()), decoded.extraData)
      equal(message.addrs.length, decoded.nAddrs)
      equal(message.origPeer ?? '', decoded.origPeer)
      if (getAddrsError != null) {
        throws(() => messageAddrs(message), { name: 'InvalidMessageError' })
      } else {
        deepEqual(messageAddrs(message).map(String), decoded.addrs)
      }
    })
  }

  const bad: Array<[string, Parameters<typeof cbor>[0], RegExp]> = [
    ['two fields', { head: '82' }, /message has 2 fields/],
    ['another tag than 42', { cid: 'd82b4100' }, /Cid has another tag than 42/],
    ['bytes behind the CID', { cid: `d82a5826${'00'}${Buffer.from(cid.bytes).toString('hex')}00` }, /Cid is not a CID: Incorrect length/],
    ['a CID of version 2', { cid: 'd82a4400025500' }, /Cid is not a CID of version 0 or 1/],
    ['a CIDv0 of another length', { cid: 'd82a4400120101' }, /Cid is not a CID of version 0 or 1/],
    ['an empty CID', { cid: 'd82a40' }, /Cid has no zero byte/],
    ['Addrs as bytes', { addrs: '40' }, /Addrs is a byte string, not a list/],
    ['8,193 addresses', { addrs: '992001' }, /Addrs has 8193 entries, more than 8192/],
    ['an address that says it has 2 GiB', { addrs: '815a7fffffff' }, /Addrs\[0\] has 2147483647 bytes, more than/],
    ['an address that says it has 2^63 bytes', { addrs: '815b8000000000000000' }, /Addrs\[0\] has \d+ bytes/],
    ['an address of 24 bytes with a long header', { addrs: '81590018' + '00'.repeat(24) }, /Addrs\[0\] has a length that is not in its shortest form/],
    ['an address that is cut off', { addrs: '8145', extra: '0102' }, /Addrs\[0\] is missing or cut off/],
    ['no ExtraData', { extra: '' }, /ExtraData is missing/],
    ['ExtraData as text', { extra: '60' }, /ExtraData is text, not a byte string/],
    ['ExtraData of indefinite length', { extra: '5f40ff' }, /ExtraData has an indefinite length/],
    ['a reserved header', { extra: '5c' }, /ExtraData has a bad header, 0x5c/],
    ['an OrigPeer of 8193 bytes', { head: '84', rest: '792001' + '61'.repeat(8193) }, /OrigPeer has 8193 bytes/]
  ]
  for (const [name, fields, message] of bad) {
    it(`refuses ${name}, and says where`, () => {
      throws(() => decodeAnnounce(cbor(fields)), { name: 'InvalidMessageError', message })
    })
  }

  it('refuses more than 1 MiB', () => {
    const message = { cid, addrs: [], extraData: new Uint8Array(MAX_ANNOUNCE_SIZE) }
    throws(() => encodeAnnounce(message), { name: 'InvalidMessageError', message: /more than 1048576/ })
    throws(() => decodeAnnounce(new Uint8Array(MAX_ANNOUNCE_SIZE + 1)), { name: 'InvalidMessageError', message: /more than 1048576/ })
  })

  it('does not write what it would not read', () => {
    throws(() => encodeAnnounce({ cid, addrs: new Array(8193).fill(new Uint8Array(1)) }), { name: 'InvalidMessageError' })
    throws(() => encodeAnnounce({ addrs: [] } as any), { name: 'InvalidMessageError', message: /Cid is missing/ })
    const long = CID.createV1(0x55, identity.digest(new Uint8Array(512)))
    throws(() => encodeAnnounce({ cid: long, addrs: [] }), { name: 'InvalidMessageError', message: /Cid has/ })
    throws(() => encodeAnnounce({ cid, addrs: [], origPeer: 'x'.repeat(8193) }), { name: 'InvalidMessageError', message: /OrigPeer has/ })
  })

  it('keeps nothing of the bytes it read, be they a Buffer', () => {
    const bytes = Buffer.from(encodeAnnounce({ cid, addrs: [fromBase64('BH8AAAEGJw8=')], extraData: Uint8Array.of(1) }))
    const message = decodeAnnounce(bytes)
    const [addr] = messageAddrs(message)
    bytes.fill(0)
    ok(message.cid.equals(cid))
    message.addrs[0].fill(0)
    equal(addr.toString(), '/ip4/127.0.0.1/tcp/9999')
    deepEqual(message.extraData, Uint8Array.of(1))
    notEqual(message.cid.bytes.buffer, bytes.buffer)
  })
})

describe('addresses of a message', () => {
  const addrs = (...hex: string[]): string[] => messageAddrs({ cid, addrs: hex.map(text => new Uint8Array(Buffer.from(text, 'hex'))) }).map(String)

  it('leaves out those of unknown protocols only', () => {
    deepEqual(addrs('047f000001060050', 'ffff7f01', '0408080808060050'), ['/ip4/127.0.0.1/tcp/80', '/ip4/8.8.8.8/tcp/80'])
  })

  it('reads the path component of v0.3.2', () => {
    deepEqual(addrs(`047f000001e003${'8084c001'}01${'61'}`), ['/ip4/127.0.0.1/http/httpath/a'])
  })

  const bad: Array<[string, string]> = [
    ['a port cut off', '047f00000106'],
    ['a port of one byte', '047f0000010600'],
    ['a name that is longer than what follows', '3605666f6f'],
    ['an empty name', '3600060050'],
    ['a name with a slash', '3603612f62'],
    ['a code that is not in its shortest form', '84007f000001'],
    ['a length that is not in its shortest form', '368100' + '61'],
    ['an id that is no multihash', 'a50302ffff'],
    ['a path of v0.3.2 with a slash', 'e0038084c00103612f62'],
    ['a varint without end', 'ffffffffffffffffffffff']
  ]
  for (const [name, hex] of bad) {
    it(`refuses ${name}`, () => {
      throws(() => addrs(hex), { name: 'InvalidMessageError', message: /Addrs\[0\] is not a multiaddr/ })
    })
  }

  it('does not read past the end of an address that is part of a larger buffer', () => {
    const buffer = new Uint8Array(Buffer.from('047f000001060050', 'hex'))
    throws(() => messageAddrs({ cid, addrs: [buffer.subarray(0, 7)] }), { name: 'InvalidMessageError' })
  })
})

describe('announce messages in JSON', () => {
  for (const vector of messages) {
    it(`writes and reads Go's text: ${vector.name}`, () => {
      const message = fromVector(vector)
      // a list is always a list here; Go has nil as well, and reads both alike
      const json = vector.json.replace('"Addrs":null', '"Addrs":[]')
      equal(announceToJson(message), json)
      const decoded = announceFromJson(vector.json)
      ok(decoded.cid.equals(message.cid))
      deepEqual({ ...decoded, cid: 0 }, { ...message, cid: 0 })
    })
  }

  for (const { name, json, error, cid, nAddrs, origPeer } of jsonDecode) {
    it(`reads as Go does: ${name}`, () => {
      if (error != null || cid == null) { // Go gives an undefined CID where there is none; a message without one says nothing
        throws(() => announceFromJson(json), { name: 'InvalidMessageError' })
        return
      }
      const message = announceFromJson(json)
      equal(message.cid.toString(), cid)
      equal(message.addrs.length, nAddrs)
      equal(message.origPeer ?? '', origPeer)
    })
  }

  it('takes a CID in any multibase', async () => {
    const { base16upper } = await import('multiformats/bases/base16')
    ok(announceFromJson(JSON.stringify({ Cid: { '/': cid.toString(base16upper) } })).cid.equals(cid))
  })

  it('gives a CID its usual text, however it was written, and refuses letters beyond ASCII in it', () => {
    const written = cid.toString().replace(/[a-z](?=.{5}$)/, letter => letter.toUpperCase())
    notEqual(written, cid.toString())
    equal(announceFromJson(JSON.stringify({ Cid: { '/': written } })).cid.toString(), cid.toString())
    for (const text of ['zb2rhe5P4gXftAwvA4eXQ5HJwsER2owDyS9sKaQRRVQPn93b\u0100', 'QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1\ud800']) {
      throws(() => announceFromJson(JSON.stringify({ Cid: { '/': text } })), { name: 'InvalidMessageError' })
    }
  })

  const bad: Array<[string, string, RegExp]> = [
    ['what is not JSON', '{', /message is not JSON/],
    ['a list', '[]', /message is not a JSON object/],
    ['null', 'null', /message is not a JSON object/],
    ['Addrs as an object', `{"Cid":{"/":"${cid}"},"Addrs":{}}`, /Addrs is not a list/],
    ['8,193 addresses', `{"Cid":{"/":"${cid}"},"Addrs":${JSON.stringify(new Array(8193).fill(''))}}`, /Addrs has 8193 entries/],
    ['base64 without padding', `{"Cid":{"/":"${cid}"},"Addrs":["BH8AAAEGJw8"]}`, /Addrs\[0\] is not base64/],
    ['ExtraData as a number', `{"Cid":{"/":"${cid}"},"ExtraData":1}`, /ExtraData is not base64/],
    ['Cid of version 0 with a multibase', '{"Cid":{"/":"zQmPNHBy5h7f19yJDt7ip9TvmMRbqmYsa6aetkrsc1ghjLB"}}', /Cid/],
    ['OrigPeer as a number', `{"Cid":{"/":"${cid}"},"OrigPeer":1}`, /OrigPeer is not text/],
    ['a Cid that is none', '{"Cid":{"/":"abc"}}', /Cid is not a CID/],
    ['more than 1 MiB', ' '.repeat(MAX_ANNOUNCE_SIZE + 1), /more than 1048576/]
  ]
  for (const [name, json, message] of bad) {
    it(`refuses ${name}, and says where`, () => {
      throws(() => announceFromJson(json), { name: 'InvalidMessageError', message })
    })
  }
})
