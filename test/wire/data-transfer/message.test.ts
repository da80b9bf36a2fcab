import { deepEqual, equal, throws } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { decodeGraphsyncMessage, encodeGraphsyncMessage } from '../../../src/wire/graphsync/message.ts'
import { messageFromNode, messageToNode } from '../../../src/wire/data-transfer/message.ts'
import { decodeTransferMessage, encodeTransferMessage } from '../../../src/wire/data-transfer/index.ts'

const vectors = JSON.parse(readFileSync('test/vectors/datatransfer-messages.json', 'utf8'))
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'))
const vector = (name: string): Uint8Array => bytesOf(vectors.messages.find((one: any) => one.name.startsWith(name)).cbor)

describe('data transfer messages', () => {
  for (const { name, cbor } of vectors.messages) {
    it(`${name}: the bytes that Go wrote, decoded and encoded, are the same`, () => {
      const bytes = bytesOf(cbor)
      deepEqual(encodeTransferMessage(decodeTransferMessage(bytes)), bytes)
    })
  }

  for (const { name, cbor, error } of vectors.decodeOnly) {
    it(`${name}: ${error == null ? 'is read' : 'is refused'} as by Go`, () => {
      const bytes = bytesOf(cbor)
      if (error == null) { decodeTransferMessage(bytes) } else { throws(() => decodeTransferMessage(bytes), { name: 'InvalidMessageError' }) }
    })
  }

  it('keeps transfer ids above 2^53', () => {
    const message = decodeTransferMessage(vector('request new pull'))
    equal('request' in message && message.request.transferId, 1690000000123456789n)
  })

  it('gives the peers of a restarted channel as text', () => {
    const message = decodeTransferMessage(vector('request restart existing channel'))
    deepEqual('request' in message && message.request.restartChannel, [...vectors.peerIds, 1690000000123456789n])
  })

  it('is the same as a value of a graphsync extension', () => {
    for (const { cbor, name } of vectors.messages) {
      if (name.includes('existing channel')) { continue } // its strings are no text: never sent in an extension
      const message = decodeTransferMessage(bytesOf(cbor))
      const response = { requestId: new Uint8Array(16), status: 14, extensions: { x: messageToNode(message) } }
      const encoded = encodeGraphsyncMessage({ requests: [], responses: [response], blocks: [] })
      equal(Buffer.from(encoded).includes(Buffer.from(cbor, 'base64')), true, name)
      deepEqual(messageFromNode(decodeGraphsyncMessage(encoded).responses[0].extensions?.x), message)
    }
  })

  it('refuses fields of the wrong type, and says which', () => {
    const good: any = messageToNode(decodeTransferMessage(vector('request new pull')))
    for (const [key, value] of [
      ['BCid', 'text'], ['Part', 1], ['Paus', null], ['Pull', 'yes'], ['Type', '0'], ['Type', -1], ['VTyp', null], ['XferID', 1.5], ['XferID', '7'], ['XferID', -1],
      ['XferID', 2n ** 64n], ['RestartChannel', []], ['RestartChannel', ['', 1, 0n]]
    ]) {
      throws(() => messageFromNode({ ...good, Request: { ...good.Request, [key as string]: value } }), (error: any) =>
        error.name === 'InvalidMessageError' && error.message.includes(key as string))
    }
    throws(() => messageFromNode({ ...good, Request: { ...good.Request, Type: 0, MessageType: 0 } }), { name: 'InvalidMessageError' })
    throws(() => messageFromNode(null), { name: 'InvalidMessageError' })
    throws(() => messageFromNode([good]), { name: 'InvalidMessageError' })
  })

  it('takes a type of any size, as Go does', () => {
    const good: any = messageToNode(decodeTransferMessage(vector('request new pull')))
    const message = messageFromNode({ ...good, Request: { ...good.Request, Type: 2n ** 63n } })
    equal('request' in message && message.request.type, 2 ** 63)
  })

  it('throws for a voucher that has no encoding', () => {
    const message: any = decodeTransferMessage(vector('request new pull'))
    throws(() => encodeTransferMessage({ request: { ...message.request, voucher: { f: () => {} } } }), { name: 'InvalidMessageError' })
  })
})
