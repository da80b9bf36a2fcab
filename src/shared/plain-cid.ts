import { CID } from 'multiformats/cid'
import { Digest } from 'multiformats/hashes/digest'

/**
 * The CID that these bytes are, if it is of version 1 and its hash function and length take a byte each, as nearly all do; undefined
 * for all else, wrong or right. CID.decode() reads and encodes them once more: a third of the time to decode an advertisement.
 */
export function plainCid (bytes: Uint8Array): CID | undefined {
  if (bytes[0] !== 1) { return undefined }
  let at = 1
  let codec = bytes[at] & 0x7f
  for (let scale = 128; bytes[at++] >= 0x80; scale *= 128) {
    if (at > 5 || bytes[at] === 0) { return undefined }
    codec += (bytes[at] & 0x7f) * scale
  }
  const hash = bytes[at]
  const size = bytes[at + 1]
  if (hash >= 0x80 || size >= 0x80 || at + 2 + size !== bytes.length) { return undefined }
  return new CID(1, codec, new Digest(hash, size, bytes.subarray(at + 2), bytes.subarray(at)) as any, bytes as Uint8Array<ArrayBuffer>)
}
