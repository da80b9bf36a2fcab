import type { Libp2p, PeerId, PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import type { Multiaddr } from '@multiformats/multiaddr'
import { checkObject, toCid } from '../shared/check.ts'
import { checkComponents, pubsubOf } from '../shared/components.ts'
import { MAX_ANNOUNCE_ADDRS } from '../shared/constants.ts'
import { InvalidOptionError } from '../shared/errors.ts'
import { isHttpAddr, stripPeerId } from '../shared/multiaddrs.ts'
import { checkAddrs } from '../shared/multiaddrs/bytes.ts'
import type {
  DtsyncPublisherInit, HttpPublisherInit, IpnisyncPublisherInit, PublisherComponents, PublisherInit, PubSub
} from '../shared/types.ts'
import { checkNodeInit } from '../syncers/dtsync/node.ts'
import { checkSigningKey } from '../syncers/httpsync/signed-head.ts'
import { reachable } from './addrs.ts'

/** PublisherInit, checked, with what the components say. */
export interface PublisherConfig extends Omit<PublisherInit, 'http' | 'dtsync' | 'ipnisync'> {
  id: PeerId

  /** Absent: off. */
  http?: Omit<HttpPublisherInit, 'listen'> & { listen?: Listen, privateKey: PrivateKey }

  /** Absent: off. */
  dtsync?: DtsyncPublisherInit & { libp2p: Libp2p, topic: string }

  /** Absent: off. `first`: it was asked for, and not only the default. */
  ipnisync?: IpnisyncPublisherInit & { libp2p: Libp2p, privateKey: PrivateKey, first: boolean }
  libp2p?: Libp2p
  pubsub?: PubSub
}

export interface Listen {
  /** Absent: every interface. */
  host?: string
  port: number
}

/** Throws InvalidOptionError. */
export function publisherConfig (components: PublisherComponents, init: PublisherInit): Readonly<PublisherConfig> {
  checkComponents(components)
  checkObject('init', init)
  const { libp2p, privateKey } = components
  if (privateKey != null) { checkKey(privateKey, libp2p) }
  checkText('topic', init.topic)
  const dtsync = dtsyncConfig(init, libp2p)
  const http = init.http == null || init.http === false ? undefined : httpConfig(init.http, libp2p, privateKey)
  const ipnisync = ipnisyncConfig(init, libp2p, privateKey)
  if (http == null && dtsync == null && ipnisync == null) {
    throw new InvalidOptionError('http', 'is needed, or a libp2p node: without them there is nothing to serve on')
  }
  checkSenders(init.senders)
  const announceAddrs = toAddrs('announceAddrs', init.announceAddrs)
  if (announceAddrs != null && announceAddrs.length > MAX_ANNOUNCE_ADDRS) {
    throw new InvalidOptionError('announceAddrs', `must hold ${MAX_ANNOUNCE_ADDRS} addresses at most`)
  }
  const id = libp2p?.peerId ?? peerIdFromPrivateKey(privateKey as PrivateKey)
  return Object.freeze({
    ...init,
    root: init.root === undefined ? undefined : toCid('root', init.root),
    senders: init.senders == null ? undefined : [...init.senders],
    announceAddrs: announceAddrs && reachable(announceAddrs),
    id,
    http,
    dtsync,
    ipnisync,
    libp2p,
    pubsub: components.pubsub ?? pubsubOf(libp2p)
  })
}

function checkKey (privateKey: PrivateKey, libp2p?: Libp2p): void {
  checkSigningKey(privateKey)
  const id = peerIdFromPrivateKey(privateKey)
  if (libp2p != null && !id.equals(libp2p.peerId)) {
    throw new InvalidOptionError('privateKey', `is the key of ${id}, and must be the node's own, ${libp2p.peerId}`)
  }
}

function whyKey (libp2p?: Libp2p): string {
  const how = libp2p == null ? '' : ': give createLibp2p() and this the same one, or switch off what signs (ipnisync: false, no http)'
  return `is needed to sign heads${how}`
}

function dtsyncConfig ({ dtsync, topic }: PublisherInit, libp2p?: Libp2p): PublisherConfig['dtsync'] {
  if (dtsync === false) { return undefined }
  if (libp2p == null || topic == null) {
    if (dtsync == null) { return undefined }
    throw new InvalidOptionError('dtsync', `needs ${libp2p == null ? 'a libp2p node' : 'a topic'}`)
  }
  if (dtsync?.allowPeer != null && typeof dtsync.allowPeer !== 'function') {
    throw new InvalidOptionError('dtsync.allowPeer', 'must be a function')
  }
  checkNodeInit(dtsync ?? {}, 'dtsync.')
  return { ...dtsync, libp2p, topic }
}

function ipnisyncConfig ({ ipnisync }: PublisherInit, libp2p?: Libp2p, privateKey?: PrivateKey): PublisherConfig['ipnisync'] {
  if (ipnisync === false) { return undefined }
  if (libp2p == null) {
    if (ipnisync == null) { return undefined }
    throw new InvalidOptionError('ipnisync', 'needs a libp2p node')
  }
  if (privateKey == null) { throw new InvalidOptionError('privateKey', whyKey(libp2p)) }
  checkText('ipnisync.headTopic', ipnisync?.headTopic)
  return { headTopic: ipnisync?.headTopic, libp2p, privateKey, first: ipnisync != null }
}

function httpConfig (http: HttpPublisherInit, libp2p?: Libp2p, privateKey?: PrivateKey): PublisherConfig['http'] {
  if (typeof http !== 'object') {
    throw new InvalidOptionError('http', "must be an object, such as { listen: '127.0.0.1:3104' }, or false")
  }
  if (privateKey == null) { throw new InvalidOptionError('privateKey', whyKey(libp2p)) }
  checkText('http.headTopic', http.headTopic)
  if (http.handlerPath != null && !isPath(http.handlerPath)) {
    throw new InvalidOptionError('http.handlerPath', "must be a path, such as 'ipni/provider'")
  }
  const addrs = toAddrs('http.addrs', http.addrs)
  if (addrs?.every(isHttpAddr) === false) { throw new InvalidOptionError('http.addrs', 'must be HTTP addresses, such as /dns/example.com/tcp/443/https') }
  return {
    ...http,
    privateKey,
    addrs: addrs?.map(stripPeerId),
    listen: http.listen == null ? undefined : parseListen(http.listen)
  }
}

/** Whether requests can come under it: clients resolve . and .., and take several slashes for one. */
function isPath (path: unknown): boolean {
  return typeof path === 'string' && path.isWellFormed() && !/[?#]/.test(path) &&
    !/(?:^|\/)\.{1,2}(?:\/|$)|[^/]\/{2,}[^/]/.test(path)
}

function parseListen (listen: string): Listen {
  const [, host, port] = /^(\[[0-9a-fA-F:.%a-z]+\]|[^:/[\]\s]*):(\d{1,5})$/.exec(String(listen)) ?? []
  if (port == null || Number(port) > 0xffff) {
    throw new InvalidOptionError('http.listen', `must be 'host:port', such as '127.0.0.1:3104' or '[::1]:0', and is ${JSON.stringify(listen)}`)
  }
  return { host: host === '' ? undefined : host.replace(/^\[|\]$/g, ''), port: Number(port) }
}

function checkText (field: string, text: unknown): void {
  if (text !== undefined && (typeof text !== 'string' || text === '')) {
    throw new InvalidOptionError(field, 'must be a string that is not empty')
  }
}

function checkSenders (senders: unknown): void {
  if (senders == null) { return }
  if (!Array.isArray(senders) || senders.some(sender => typeof sender?.send !== 'function')) {
    throw new InvalidOptionError('senders', 'must be a list of announce senders')
  }
}

function toAddrs (field: string, addrs: unknown): Multiaddr[] | undefined {
  if (addrs === undefined) { return undefined }
  checkAddrs(field, addrs)
  return [...addrs]
}
