import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PeerId, PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import type { Multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createRawServer } from 'node:net'
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo, Server, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { LinkSystem } from '../../src/shared/types.ts'
import { readBlock } from '../../src/store/read.ts'
import { encodeSignedHead } from '../../src/syncers/httpsync/signed-head.ts'

/** A server on loopback that counts what it is asked. */
export interface TestServer extends AsyncDisposable {
  port: number
  url: URL

  /** `METHOD /path` of each request. */
  requests: string[]

  /** Connections taken so far. */
  connections: number
  sockets: Set<Socket>

  /** Takes what is no socket of its own for one. */
  accept(socket: Duplex): void
}

async function listen (server: Server, requests: string[], host: string): Promise<TestServer> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    result.connections++
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => { sockets.delete(socket) })
  })
  server.listen(0, host)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const result: TestServer = {
    port,
    url: new URL(`http://${host.includes(':') ? `[${host}]` : host}:${port}/`),
    requests,
    connections: 0,
    sockets,
    accept: socket => { server.emit('connection', socket) },
    async [Symbol.asyncDispose] () {
      for (const socket of sockets) { socket.destroy() }
      server.close()
      await once(server, 'close')
    }
  }
  return result
}

export async function httpServer (handler: (req: IncomingMessage, res: ServerResponse) => void, host = '127.0.0.1'): Promise<TestServer> {
  const requests: string[] = []
  return await listen(createHttpServer({ keepAliveTimeout: 60_000 }, (req, res) => {
    requests.push(`${req.method} ${req.url}`)
    handler(req, res)
  }), requests, host)
}

/** Answers each request head with what `respond` returns, or writes itself. */
export async function rawServer (respond: (socket: Socket, head: string) => string | undefined): Promise<TestServer> {
  const requests: string[] = []
  const server = await listen(createRawServer(socket => {
    let text = ''
    socket.on('data', data => {
      text += data.toString('latin1')
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const head = text.slice(0, end + 4)
        text = text.slice(end + 4)
        requests.push(head.slice(0, head.indexOf(' HTTP/')))
        const answer = respond(socket, head)
        if (answer != null) { socket.write(answer, 'latin1') }
      }
    })
  }), requests, '127.0.0.1')
  return server
}

/** A port on which nobody listens. */
export async function closedPort (): Promise<number> {
  const server = await httpServer(() => {})
  await server[Symbol.asyncDispose]()
  return server.port
}

/** The address of a server, with a path when there is one. */
export function addrOf ({ port }: { port: number }, path = ''): Multiaddr {
  return multiaddr(`/ip4/127.0.0.1/tcp/${port}/http${path === '' ? '' : `/http-path/${encodeURIComponent(path)}`}`)
}

/** A publisher of what a link system holds, in as few lines as it takes; `answer` may answer in its place. */
export interface TestPublisher extends TestServer {
  peerId: PeerId
  privateKey: PrivateKey
  addr: Multiaddr
  linkSystem: LinkSystem

  /** Headers of each request. */
  headers: IncomingHttpHeaders[]
  setRoot(root: CID): Promise<void>
}

export async function publish (
  linkSystem: LinkSystem,
  root: CID | undefined,
  answer: (resource: string, res: ServerResponse, req: IncomingMessage) => boolean = () => false
): Promise<TestPublisher> {
  const privateKey = await generateKeyPair('Ed25519')
  let head: Uint8Array | undefined
  const headers: IncomingHttpHeaders[] = []
  const server = await httpServer((req, res) => {
    headers.push(req.headers)
    const resource = req.url?.split('/').at(-1) ?? ''
    if (answer(resource, res, req)) { return }
    if (resource === 'head') {
      res.writeHead(head == null ? 204 : 200).end(head)
    } else {
      serve(resource, res).catch(() => { res.writeHead(404).end('cid not found\n') })
    }
  })
  const serve = async (resource: string, res: ServerResponse): Promise<void> => {
    res.end(await readBlock(linkSystem.blockstore, CID.parse(resource)))
  }
  const setRoot = async (root: CID): Promise<void> => { head = await encodeSignedHead(root, privateKey) }
  if (root != null) { await setRoot(root) }
  return Object.assign(server, { peerId: peerIdFromPrivateKey(privateKey), privateKey, addr: addrOf(server), linkSystem, headers, setRoot })
}
