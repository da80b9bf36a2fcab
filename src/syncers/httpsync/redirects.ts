import { TransferFailedError } from '../../shared/errors.ts'

/** Go's net/http follows as many. */
export const MAX_REDIRECTS = 10

const HTTP = new Set(['http:', 'https:'])
const REDIRECTS = new Set([301, 302, 303, 307, 308])

/**
 * Where a response sends us; undefined when it is the answer itself, as one without Location is in Go. From https to
 * http is followed, as in Go: heads are signed and blocks are hashes, however they come.
 *
 * Throws TransferFailedError for a target that is not HTTP(S), over streams for one at another peer, and after MAX_REDIRECTS of them.
 */
export function redirectTarget (status: number, location: string | undefined, from: URL, followed: number): URL | undefined {
  if (!REDIRECTS.has(status) || location == null || location === '') { return undefined }
  if (followed >= MAX_REDIRECTS) {
    throw new TransferFailedError(`more than ${MAX_REDIRECTS} redirects, the last to ${from}`)
  }
  const text = location.replace(/[\x80-\xff]/g, byte => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`) // UTF-8 that was not encoded
  const target = URL.canParse(text, from) ? new URL(text, from) : undefined
  const overStreams = from.protocol === 'libp2p:'
  if (target == null || (overStreams ? target.protocol !== from.protocol || target.host !== from.host : !HTTP.has(target.protocol))) {
    throw new TransferFailedError(`${from} redirects to what is not HTTP: ${location}`)
  }
  target.username = target.password = target.hash = ''
  return target
}
