import { CID } from 'multiformats/cid'

// Maps of the data model come as plain objects or, with their order, as Map.

export function isMap (node: unknown): node is object {
  return typeof node === 'object' && node !== null && !Array.isArray(node) && !ArrayBuffer.isView(node) && CID.asCID(node as any) == null
}

export function keysOf (map: object): unknown[] {
  return map instanceof Map ? [...map.keys()] : Object.keys(map)
}

export function get (map: object, key: unknown): unknown {
  if (map instanceof Map) { return map.get(key) }
  return Object.hasOwn(map, key as string) ? (map as any)[key as string] : undefined
}
