import { base10 } from 'multiformats/bases/base10'
import { base16, base16upper } from 'multiformats/bases/base16'
import { base2 } from 'multiformats/bases/base2'
import { base256emoji } from 'multiformats/bases/base256emoji'
import {
  base32hex, base32hexpad, base32hexpadupper, base32hexupper, base32pad, base32padupper, base32upper, base32z
} from 'multiformats/bases/base32'
import { base36upper } from 'multiformats/bases/base36'
import { base58flickr } from 'multiformats/bases/base58'
import { base64, base64pad, base64url, base64urlpad } from 'multiformats/bases/base64'
import { base8 } from 'multiformats/bases/base8'
import { CID } from 'multiformats/cid'

/** Some bases decode in quadratic time; a CIDv1 of a 64-byte digest is 553 characters in base2, the longest. */
const MAX_CID_TEXT = 1024

/** Beside base32, base36 and base58btc, which CID.parse() knows. */
const BASES = new Map([
  base2, base8, base10, base16, base16upper, base32hex, base32hexpad, base32hexpadupper, base32hexupper, base32pad, base32padupper,
  base32upper, base32z, base36upper, base58flickr, base64, base64pad, base64url, base64urlpad, base256emoji
].map(base => [base.prefix as string, base.decoder]))

/** A CID in any multibase, as Go's cid.Parse reads it. Throws what the decoders throw. */
export function parseCid (text: string): CID {
  if (text.length > MAX_CID_TEXT) { throw new Error(`longer than ${MAX_CID_TEXT} characters`) }
  return CID.parse(text, BASES.get(String.fromCodePoint(text.codePointAt(0) ?? 0)))
}
