import { isPeerId } from '@libp2p/interface'
import { CID } from 'multiformats/cid'
import { InvalidOptionError } from './errors.ts'

/** An object of options, and nothing that was meant for another argument. Throws InvalidOptionError. */
export function checkObject (field: string, value: unknown): void {
  if (value === null || typeof value !== 'object' || Array.isArray(value) || CID.asCID(value) != null) {
    throw new InvalidOptionError(field, 'must be an object')
  }
}

/** Throws InvalidOptionError. */
export function checkPeerId (field: string, value: unknown): void {
  if (!isPeerId(value)) { throw new InvalidOptionError(field, 'must be a peer id') }
}

/** Options with a signal, as every call has them. Throws InvalidOptionError and, where the signal has fired, its reason. */
export function checkSignal (options: unknown): void {
  checkObject('options', options)
  const { signal } = options as { signal?: AbortSignal }
  if (signal != null && typeof signal.throwIfAborted !== 'function') { throw new InvalidOptionError('signal', 'must be an AbortSignal') }
  signal?.throwIfAborted()
}

/** Takes a CID of another copy of multiformats too. Throws InvalidOptionError. */
export function toCid (field: string, value: unknown): CID {
  const cid = CID.asCID(value)
  if (cid == null) { throw new InvalidOptionError(field, 'must be a CID') }
  return cid
}
