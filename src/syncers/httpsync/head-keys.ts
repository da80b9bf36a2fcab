import { publicKeyFromProtobuf } from '@libp2p/crypto/keys'
import type { PeerId } from '@libp2p/interface'
import { peerIdFromMultihash, peerIdFromPublicKey } from '@libp2p/peer-id'
import { sha256 } from 'multiformats/hashes/sha2'
import { InvalidSignedHeadError } from '../../shared/errors.ts'

const ECDSA = 3

/** Bits. go-libp2p refuses smaller and larger ones: core/crypto, MinRsaKeyBits and maxRsaKeyBits. */
const RSA_BITS = [2048, 8192]

/** The longest key that is looked at, in bytes: RSA of 8192 bits is 1,062. */
const MAX_KEY_SIZE = 1100

/** The DER of an ECDSA public key (SPKI) up to the point itself. What Go writes for these curves always begins so. */
const CURVES = [
  { name: 'P-256', size: 32, header: '3059301306072a8648ce3d020106082a8648ce3d030107034200' },
  { name: 'P-384', size: 48, header: '3076301006072a8648ce3d020106052b81040022036200' },
  { name: 'P-521', size: 66, header: '30819b301006072a8648ce3d020106052b8104002303818600' }
]

/**
 * Verifies a signature by the key that comes with it, and says whose key it is.
 *
 * Throws InvalidSignedHeadError.
 */
export async function verifyHead (pubkey: Uint8Array, input: Uint8Array, sig: Uint8Array): Promise<PeerId> {
  if (pubkey.byteLength === 0) { throw invalid('pubkey is empty') }
  if (pubkey.byteLength > MAX_KEY_SIZE) { throw invalid('pubkey is too large') }
  if (sig.byteLength === 0) { throw invalid('sig is empty') }
  const { type, data } = splitKey(pubkey)
  try {
    return await (type === ECDSA ? verifyEcdsa(pubkey, data, input, sig) : verify(pubkey, input, sig))
  } catch (cause) {
    if (cause instanceof InvalidSignedHeadError) { throw cause }
    throw invalid('its key or signature cannot be used', cause)
  }
}

/** The protobuf of a public key in its one right encoding: a peer id is the hash of it, so that another one is another peer. */
function splitKey (pubkey: Uint8Array): { type: number, data: Uint8Array } {
  const long = pubkey[3] >= 0x80
  const length = long ? (pubkey[3] & 0x7f) | (pubkey[4] << 7) : pubkey[3]
  const data = pubkey.subarray(long ? 5 : 4)
  const canonical = data.byteLength > 0 && data.byteLength === length && (!long || length >= 0x80)
  if (!canonical || pubkey[0] !== 0x08 || pubkey[1] > ECDSA || pubkey[2] !== 0x12) {
    throw invalid('pubkey is not a libp2p public key')
  }
  return { type: pubkey[1], data }
}

async function verify (pubkey: Uint8Array, input: Uint8Array, sig: Uint8Array): Promise<PeerId> {
  const key = publicKeyFromProtobuf(pubkey)
  if (key.type === 'RSA') {
    const bits = Math.floor((key.jwk.n?.length ?? 0) * 6 / 8) * 8
    if (bits < RSA_BITS[0] || bits > RSA_BITS[1]) { throw invalid(`an RSA key of ${bits} bits`) }
  }
  if (!await key.verify(input, sig)) { throw invalid('its signature is wrong') }
  return peerIdFromPublicKey(key as Parameters<typeof peerIdFromPublicKey>[0])
}

/** JavaScript libp2p has no keys of this kind; WebCrypto reads them. */
async function verifyEcdsa (pubkey: Uint8Array, data: Uint8Array, input: Uint8Array, sig: Uint8Array): Promise<PeerId> {
  const curve = CURVES.find(({ header, size }) => data.byteLength === header.length / 2 + 1 + 2 * size && startsWithHex(data, header))
  if (curve == null) { throw invalid('an ECDSA key of another curve than P-256, P-384 and P-521') }
  const algorithm = { name: 'ECDSA', namedCurve: curve.name, hash: 'SHA-256' }
  const key = await crypto.subtle.importKey('spki', new Uint8Array(data), algorithm, false, ['verify'])
  if (!await crypto.subtle.verify(algorithm, key, rawSignature(sig, curve.size), new Uint8Array(input))) {
    throw invalid('its signature is wrong')
  }
  return peerIdFromMultihash(await sha256.digest(pubkey))
}

function startsWithHex (bytes: Uint8Array, hex: string): boolean {
  for (let i = 0; i < hex.length; i += 2) {
    if (bytes[i / 2] !== Number.parseInt(hex.slice(i, i + 2), 16)) { return false }
  }
  return true
}

/** DER, which Go writes, to r and s one after the other, which WebCrypto reads. */
function rawSignature (der: Uint8Array, size: number): Uint8Array<ArrayBuffer> {
  const raw = new Uint8Array(2 * size)
  const long = der[1] === 0x81
  let at = long ? 3 : 2
  if (der[0] !== 0x30 || der[at - 1] !== der.byteLength - at || (long && der[2] < 0x80)) { throw invalid('its signature is not DER') }
  for (const end of [size, 2 * size]) {
    const length = der[at + 1]
    const integer = der.subarray(at + 2, at + 2 + length)
    const digits = integer[0] === 0 ? integer.subarray(1) : integer
    const minimal = integer[0] < 0x80 && (digits === integer || digits[0] >= 0x80)
    if (der[at] !== 0x02 || integer.byteLength !== length || !minimal || digits.byteLength > size) {
      throw invalid('its signature is not DER')
    }
    raw.set(digits, end - digits.byteLength)
    at += 2 + length
  }
  if (at !== der.byteLength) { throw invalid('its signature is not DER') }
  return raw
}

function invalid (problem: string, cause?: unknown): InvalidSignedHeadError {
  return new InvalidSignedHeadError(`signed head: ${problem}`, { cause })
}
