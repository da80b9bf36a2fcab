/**
 * @packageDocumentation
 *
 * Multiaddrs as IPNI uses them: HTTP addresses and URLs, public and private ones, and which peer they are of. Pure functions.
 */

export { DagsyncError, InvalidMultiaddrError } from './errors.ts'
export { multiaddrFromBytes, peerIdOf, registerHttpath, sameAddrs, stripPeerId, withPeerId } from './multiaddrs/bytes.ts'
export { filterPublic, isPublicAddr, isPublicIp } from './multiaddrs/public.ts'
export { findHttpAddrs, isHttpAddr, parseMultiaddrs, parsePeers } from './multiaddrs/text.ts'
export { multiaddrToUrl, urlToMultiaddr, withHttpPath } from './multiaddrs/url.ts'
export type { UrlToMultiaddrOptions } from './multiaddrs/url.ts'
