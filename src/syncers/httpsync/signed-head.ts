import { publicKeyToProtobuf } from '@libp2p/crypto/keys'
import type { PeerId, PrivateKey } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { toCid } from '../../shared/check.ts'
import { InvalidOptionError } from '../../shared/errors.ts'
import { dagJson } from '../../store/dag-json.ts'
import { verifyHead } from './head-keys.ts'
import { readHead } from './head-reader.ts'

export { DagsyncError, InvalidOptionError, InvalidSignedHeadError } from '../../shared/errors.ts'

/** What a publisher says its head is, and who says it. */
export interface SignedHead {
  head: CID

  /** As signed; absent when there is none. Whether it is the expected one is the caller's to check. */
  topic?: string

  /** The peer whose key the head is signed with. Whether that peer may sign is the caller's to check. */
  signer: PeerId
}

/**
 * The signed head of a publisher as it goes over HTTP, in dag-json, byte for byte as Go writes it (go-libipni v0.7.8,
 * dagsync/ipnisync/head). Without a topic, or with an empty one, it is the form of v0.3.2; peers of that version refuse one
 * with a topic.
 *
 * Throws InvalidOptionError: `head` is not a CID, or `privateKey` is an ECDSA one, which JavaScript libp2p cannot use.
 */
export async function encodeSignedHead (head: CID, privateKey: PrivateKey, topic?: string): Promise<Uint8Array> {
  const cid = toCid('head', head)
  checkSigningKey(privateKey)
  const pubkey = publicKeyToProtobuf(privateKey.publicKey)
  const sig = await privateKey.sign(signatureInput(cid, topic))
  return dagJson.encode(topic == null || topic === '' ? { head: cid, pubkey, sig } : { head: cid, pubkey, sig, topic })
}

/**
 * Reads a signed head of either generation and verifies its signature, by an Ed25519, secp256k1, RSA (2048 to 8192 bits)
 * or ECDSA (P-256, P-384, P-521) key. How many bytes may come is the caller's to limit.
 *
 * Throws InvalidSignedHeadError, which says what is wrong.
 */
export async function openSignedHead (bytes: Uint8Array): Promise<SignedHead> {
  const { head, pubkey, sig, topic } = readHead(bytes)
  const signer = await verifyHead(pubkey, signatureInput(head, topic), sig)
  return topic == null || topic === '' ? { head, signer } : { head, topic, signer }
}

/** Throws InvalidOptionError. */
export function checkSigningKey (privateKey: PrivateKey): void {
  if (privateKey?.type === 'ECDSA') {
    throw new InvalidOptionError('privateKey', 'is an ECDSA key, which JavaScript libp2p cannot use: take an Ed25519 one')
  }
  if (typeof privateKey?.sign !== 'function' || privateKey.publicKey == null) {
    throw new InvalidOptionError('privateKey', 'must be a private key of @libp2p/crypto')
  }
}

/** The bytes of the CID, and those of the topic behind them. */
function signatureInput (head: CID, topic = ''): Uint8Array {
  const text = new TextEncoder().encode(topic)
  const input = new Uint8Array(head.bytes.byteLength + text.byteLength)
  input.set(head.bytes)
  input.set(text, head.bytes.byteLength)
  return input
}
