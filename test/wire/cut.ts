import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { multiaddr } from '@multiformats/multiaddr'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Libp2p } from '@libp2p/interface'

/** A wire to a node that can be cut, also in the middle of what the node sends. Whoever dials `addr` goes over it. */
export class Wire implements AsyncDisposable {
  readonly addr: Multiaddr
  private readonly close: () => Promise<void>
  private readonly ends = new Set<Socket>()
  private left = Infinity
  private onCut: (() => void) | undefined

  private constructor (addr: Multiaddr, close: () => Promise<void>) {
    this.addr = addr
    this.close = close
  }

  static async to (node: Libp2p): Promise<Wire> {
    const port = Number(node.getMultiaddrs()[0].getComponents().find(({ name }) => name === 'tcp')?.value)
    const server = createServer(near => { wire.join(near, connect(port, '127.0.0.1')) }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const wire: Wire = new Wire(multiaddr(`/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}/p2p/${node.peerId}`), async () => {
      server.close()
      wire.cut()
      await once(server, 'close')
    })
    return wire
  }

  /** Cuts it now. What comes afterwards gets a wire again. */
  cut (): void {
    for (const end of this.ends) { end.destroy() }
  }

  /** Cuts it when the node has sent so many bytes more. */
  cutAfter (bytes: number, onCut: () => void): void {
    this.left = bytes
    this.onCut = onCut
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    await this.close()
  }

  private join (near: Socket, far: Socket): void {
    for (const [end, other] of [[near, far], [far, near]]) {
      this.ends.add(end)
      end.on('error', () => {})
      end.on('close', () => {
        this.ends.delete(end)
        other.destroy()
      })
    }
    near.on('data', data => { far.write(data) })
    far.on('data', data => {
      if (data.length < this.left) {
        this.left -= data.length
        near.write(data)
        return
      }
      near.write(data.subarray(0, this.left), () => { this.cut() })
      this.left = Infinity
      far.pause()
      this.onCut?.()
    })
  }
}
