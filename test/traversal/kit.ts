import { CID } from 'multiformats/cid'
import { sha256 } from 'multiformats/hashes/sha2'

export function fromBase64 (text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'base64'))
}

export function utf8 (text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

export function notFound (): Error {
  return Object.assign(new Error('not found'), { name: 'NotFoundError' })
}

export async function cidOf (code: number, bytes: Uint8Array): Promise<CID> {
  return CID.createV1(code, await sha256.digest(bytes))
}
