import { deepEqual, equal } from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as native from '../../src/shared/latin1.ts'

/** The module as it loads where there is no Node. */
async function withoutNode (): Promise<typeof native> {
  const prototype: any = Buffer.prototype
  const { latin1Slice } = prototype
  delete prototype.latin1Slice
  try {
    return await import(`${import.meta.dirname}/../../src/shared/latin1.ts?plain`)
  } finally {
    prototype.latin1Slice = latin1Slice
  }
}

describe('latin1()', () => {
  it('has a character for each byte, with Node and without, also of what is larger than a call takes arguments', async () => {
    const plain = await withoutNode()
    const all = Uint8Array.from({ length: 256 }, (_, i) => i)
    const big = Uint8Array.from({ length: 1_000_000 }, (_, i) => i * 7)
    for (const { latin1, latin1Bytes } of [native, plain]) {
      for (const bytes of [new Uint8Array(0), all, big]) { deepEqual(latin1Bytes(latin1(bytes)), bytes) }
      equal(latin1(all, 0x41, 0x44), 'ABC')
      equal(latin1(big, 8_000, 9_000).length, 1_000)
    }
    equal(plain.latin1(all), native.latin1(all))
    equal(plain.latin1 === native.latin1, false)
  })
})
