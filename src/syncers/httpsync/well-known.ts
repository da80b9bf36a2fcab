import { IPNI_PATH } from '../../shared/constants.ts'
import { InvalidMessageError } from '../../shared/errors.ts'

/** Where a server says under which path each of its protocols is (libp2p HTTP spec). */
export const WELL_KNOWN = '/.well-known/libp2p/protocols'

/** The same in go-libp2p before v0.34. */
export const LEGACY_WELL_KNOWN = '/.well-known/libp2p'

/** Bytes of such a resource that are read. Go: peerMetadataLimit. */
export const MAX_WELL_KNOWN_SIZE = 64 * 1024

/** Characters of a path that is taken. */
const MAX_PATH = 1_024

// Nothing that leads out of it: no empty, '.' or '..' segment, encoded or not, and no query.
const PATH = /^(?:\/(?!(?:\.|%2e){1,2}(?:\/|$))[\w!$&'()*+,;=:@.~%-]+)*\/?$/i

/** What our publisher says: ipnisync is under this path, which begins and ends with a slash. */
export function encodeProtocols (path: string): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ [IPNI_PATH]: { path } }))
}

/**
 * The path that a server has ipnisync under, with a slash at both ends; undefined: it does not have ipnisync.
 *
 * Throws InvalidMessageError for what is not such a resource, and for a path that is none.
 */
export function ipniPath (resource: Uint8Array): string | undefined {
  const protocols = parse(resource)
  if (!Object.hasOwn(protocols, IPNI_PATH)) { return undefined }
  const path: unknown = protocols[IPNI_PATH]?.path
  if (typeof path !== 'string' || path.length > MAX_PATH || !PATH.test(path)) {
    throw new InvalidMessageError(`${WELL_KNOWN}: the path of ${IPNI_PATH} is not one`)
  }
  return path.endsWith('/') ? path : `${path}/`
}

function parse (resource: Uint8Array): Record<string, any> {
  let protocols: unknown
  try {
    protocols = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(resource))
  } catch (cause) {
    throw new InvalidMessageError(`${WELL_KNOWN} is not JSON`, { cause })
  }
  if (protocols == null || typeof protocols !== 'object' || Array.isArray(protocols)) {
    throw new InvalidMessageError(`${WELL_KNOWN} is not a map of protocols`)
  }
  return protocols
}
