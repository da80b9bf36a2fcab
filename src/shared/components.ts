import { InvalidOptionError } from './errors.ts'
import { isThenable } from './thenable.ts'

interface Components {
  linkSystem?: unknown
  libp2p?: unknown
  datastore?: unknown
}

/** What a subscriber and a publisher are made from. Throws InvalidOptionError. */
export function checkComponents (components: Components | undefined): void {
  if (components?.linkSystem == null) { throw new InvalidOptionError('linkSystem', 'is needed') }
  const { linkSystem, libp2p, datastore } = components
  has('linkSystem', linkSystem, 'load', 'must be a link system, as createLinkSystem() makes it')
  if (libp2p != null) { checkNode(libp2p) }
  has('datastore', datastore, 'get', 'must be a datastore')
  has('datastore', datastore, 'put', 'must be a datastore')
}

/** Throws InvalidOptionError. */
export function checkNode (libp2p: unknown): void {
  if (libp2p == null || isThenable(libp2p)) {
    throw new InvalidOptionError('libp2p', 'must be a node: await createLibp2p()')
  }
}

function has (field: string, component: unknown, member: string, problem: string): void {
  if (component != null && (component as any)[member] == null) { throw new InvalidOptionError(field, problem) }
}
