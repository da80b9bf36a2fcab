// go-libipni v0.4.0 and v0.7.8: maurl/convert_test.go
import { equal } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { multiaddrToUrl, parseMultiaddrs, urlToMultiaddr } from '../../src/shared/multiaddrs.ts'

describe('maurl/convert_test.go', () => {
  it('TestRoundtrip', () => {
    const samples = [
      'http://www.google.com/path/to/rsrc', 'https://protocol.ai', 'http://192.168.0.1:8080/admin',
      'https://[2a00:1450:400e:80d::200e]:443/', 'https://[2a00:1450:400e:80d::200e]/'
    ]
    for (const sample of samples) {
      for (const legacyPath of [false, true]) {
        equal(multiaddrToUrl(urlToMultiaddr(new URL(sample), { legacyPath })).href, new URL(sample).href)
      }
    }
  })

  it('TestTLSProtos', () => {
    const samples = [
      ['/ip4/192.169.0.1/tls/http', 'https://192.169.0.1/'], ['/ip4/192.169.0.1/https', 'https://192.169.0.1/'],
      ['/ip4/192.169.0.1/http', 'http://192.169.0.1/'], ['/dns4/protocol.ai/tls/ws', 'wss://protocol.ai/'],
      ['/dns4/protocol.ai/wss', 'wss://protocol.ai/'], ['/dns4/protocol.ai/ws', 'ws://protocol.ai/']
    ]
    for (const [addr, url] of samples) { equal(multiaddrToUrl(parseMultiaddrs([addr])[0]).href, url) }
  })
})
