import type { Connection } from '@libp2p/interface'

/** To copy more costs what a write does. */
const SMALL = 16 * 1024

/** What is used of a list of pieces (uint8arraylist). */
interface Pieces {
  readonly byteLength: number
  subarray (): Uint8Array
  consume (bytes: number): void
  append (bytes: Uint8Array): void
}

/** What is used of a layer of a connection that writes to a socket of Node: TCP, and TLS over it. */
interface SocketLayer {
  socket: unknown
  sendData (pieces: Pieces): unknown
}

/**
 * Lets small frames go out in one write. Over TCP and TLS libp2p writes piece by piece: the header of a frame of yamux alone, in a
 * record and a packet of its own that wake the other side for nothing, and what it frames a turn of the event loop later.
 */
export function joinWrites (connection: Connection): void {
  for (let layer = (connection as any).muxer?.maConn; layer != null; layer = layer.stream) {
    if (writesToSocket(layer) && !Object.hasOwn(layer, 'sendData')) { join(layer) }
  }
}

function join (layer: SocketLayer): void {
  const sendData = layer.sendData
  layer.sendData = pieces => {
    const { byteLength } = pieces
    if (byteLength <= SMALL) {
      const whole = pieces.subarray()
      pieces.consume(byteLength)
      pieces.append(whole)
    }
    return sendData.call(layer, pieces)
  }
}

function writesToSocket (layer: Partial<SocketLayer>): layer is SocketLayer {
  return layer.socket != null && typeof layer.sendData === 'function'
}
