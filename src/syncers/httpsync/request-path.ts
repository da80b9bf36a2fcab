/** Characters. A handler path, /ipni/v1/ad/ and a CID are some 100. */
const MAX_PATH = 4096

/** The decoded path of a request line's target, without its query; 'long' or 'malformed' when there is none. */
export function requestPath (target: string): { path: string } | 'long' | 'malformed' {
  if (target.length > MAX_PATH) { return 'long' }
  let start = 0
  if (!target.startsWith('/')) { // the absolute form, as to a proxy
    const authority = target.indexOf('://')
    start = authority === -1 ? 0 : target.indexOf('/', authority + 3)
    if (start === -1) { return { path: '' } }
  }
  const query = target.indexOf('?', start)
  const path = target.slice(start, query === -1 ? undefined : query)
  if (!path.includes('%')) { return { path } }
  try {
    return { path: decodeURIComponent(path) }
  } catch {
    return 'malformed'
  }
}

/** What stands behind the last slash; slashes at the end are left out. */
export function lastSegment (path: string): string {
  let end = path.length
  while (path[end - 1] === '/') { end-- }
  return path.slice(path.lastIndexOf('/', end - 1) + 1, end)
}
