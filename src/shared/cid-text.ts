import { base10 } from 'multiformats/bases/base10'
import { base16, base16upper } from 'multiformats/bases/base16'
import { base2 } from 'multiformats/bases/base2'
import { base256emoji } from 'multiformats/bases/base256emoji'
import {
  base32, base32hex, base32hexpad, base32hexpadupper, base32hexupper, base32pad, base32padupper, base32upper, base32z
} from 'multiformats/bases/base32'
import { base36, base36upper } from 'multiformats/bases/base36'
import { base58btc, base58flickr } from 'multiformats/bases/base58'
import { base64, base64pad, base64url, base64urlpad } from 'multiformats/bases/base64'
import { base8 } from 'multiformats/bases/base8'
import { CID } from 'multiformats/cid'
import { NOT_ASCII } from './latin1.ts'

/** Some bases decode in quadratic time; a CIDv1 of a 64-byte digest is 553 characters in base2, the longest. */
const MAX_CID_TEXT = 1024

const DECODERS = new Map([
  base2, base8, base10, base16, base16upper, base32, base32hex, base32hexpad, base32hexpadupper, base32hexupper, base32pad, base32padupper,
  base32upper, base32z, base36, base36upper, base58btc, base58flickr, base64, base64pad, base64url, base64urlpad, base256emoji
].map(base => [base.prefix as string, base.decoder]))

/**
 * A CID in any multibase, as Go's cid.Parse reads it. Throws what the decoders throw.
 *
 * Not CID.parse(): that keeps each text in a WeakMap, which costs a server more than the parsing, and gives it as that of the CID.
 */
export function parseCid (text: string): CID {
  if (text.length > MAX_CID_TEXT) { throw new Error(`longer than ${MAX_CID_TEXT} characters`) }
  if (NOT_ASCII.test(text) && !text.startsWith(base256emoji.prefix)) { throw new Error('letters beyond ASCII') }
  const older = text.startsWith('Qm')
  const cid = CID.decode(older ? base58btc.decode(`z${text}`) : decode(text))
  if ((cid.version === 0) !== older) { throw new Error('CID v0 has no multibase, and others have one') }
  return cid
}

function decode (text: string): Uint8Array {
  const prefix = String.fromCodePoint(text.codePointAt(0) ?? 0)
  const decoder = DECODERS.get(prefix)
  if (decoder == null) { throw new Error(`unknown multibase ${JSON.stringify(prefix)}`) }
  return decoder.decode(text)
}
