import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr, registry } from '@multiformats/multiaddr'
import {
  filterPublic, findHttpAddrs, isHttpAddr, isPublicAddr, isPublicIp, multiaddrFromBytes, multiaddrToUrl, parseMultiaddrs, parsePeers,
  peerIdOf, registerHttpath, sameAddrs, stripPeerId, urlToMultiaddr, withHttpPath, withPeerId
} from '../../src/shared/multiaddrs.ts'
import type { Multiaddr } from '@multiformats/multiaddr'

const vectors = (name: string): any => JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), 'utf8'))
const ID = '12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5'
const parse = (text: string): Multiaddr => parseMultiaddrs([text])[0]
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** Every address of the vectors; js-multiaddr does not read a unix path of more than one part. */
function read (text: string): Multiaddr {
  if (!text.startsWith('/unix/')) { return parse(text) }
  const path = Buffer.from(text.slice('/unix'.length))
  return multiaddrFromBytes(Buffer.concat([Buffer.from([0x90, 0x03, path.length]), path]))
}

for (const version of ['v0.3.2', 'v0.7.8']) {
  const { multiaddrToUrl: toUrl, urlToMultiaddr: fromUrl } = vectors(`maurl-${version}`)

  describe(`multiaddr to URL, vectors of ${version}`, () => {
    for (const { in: text, out, error } of toUrl) {
      if (/ip6zone|unix/.test(text)) {
        it(`${text}: no URL object can hold it`, () => {
          throws(() => multiaddrToUrl(read(text)), { name: 'InvalidMultiaddrError' })
        })
      } else if (out != null || error.includes('unknown protocol http-path')) {
        // what v0.3.2 does not know is read here as v0.7.8 reads it
        const expected = out ?? vectors('maurl-v0.7.8').multiaddrToUrl.find((later: any) => later.in === text).out
        it(text, () => { equal(multiaddrToUrl(read(text)).href, new URL(expected).href) })
      } else {
        it(`${text}: no URL`, () => { throws(() => multiaddrToUrl(read(text)), { name: 'InvalidMultiaddrError' }) })
      }
    }
  })

  describe(`URL to multiaddr, vectors of ${version}`, () => {
    // what a URL object has lost: the default port, a bare slash, the case of the host, names that are not ASCII
    const lost: Record<string, string> = {
      'http://example.com/': '/dns/example.com/http',
      'http://example.com:80': '/dns/example.com/http',
      'ws://example.com:80': '/dns/example.com/ws',
      'HTTP://EXAMPLE.com/Path': '/dns/example.com/http/http-path/%2FPath',
      'http://exämple.com/ü': '/dns/xn--exmple-cua.com/http/http-path/%2F%C3%BC'
    }
    const refused = ['http://[fe80::1%25eth0]:80/', 'http://']
    for (const { in: url, out, error } of fromUrl) {
      it(url, () => {
        if (error != null || refused.includes(url)) {
          throws(() => urlToMultiaddr(url), { name: 'InvalidMultiaddrError' })
          return
        }
        const legacyPath = version === 'v0.3.2'
        const expected = lost[url]?.replace('/http-path/', legacyPath ? '/httpath/' : '/http-path/') ?? out
        equal(hex(urlToMultiaddr(url, { legacyPath }).bytes), hex(parse(expected).bytes))
        equal(urlToMultiaddr(url, { legacyPath }).toString(), expected.replaceAll('+', '%20'))
      })
    }
  })
}

describe('paths in addresses', () => {
  const wire = (path: string): Multiaddr => {
    return multiaddrFromBytes(Buffer.concat([multiaddr('/dns4/a.b/http').bytes, Buffer.from([0xe1, 0x03, path.length]), Buffer.from(path)]))
  }

  it('has the URL of an http-path with no, one or two slashes before it', () => {
    for (const path of ['foo', '/foo', '//foo']) { equal(multiaddrToUrl(wire(path)).href, 'http://a.b/foo') }
    equal(multiaddrToUrl(multiaddr('/dns4/a.b/http/http-path/foo')).href, 'http://a.b/foo')
    equal(multiaddrToUrl(multiaddr('/dns4/a.b/http/http-path/%2Ffoo')).href, 'http://a.b/foo')
    equal(multiaddrToUrl(multiaddr(wire('foo').bytes)).href, 'http://a.b/foo')
  })

  it("has Go's bytes and Go's text, read from either", () => {
    for (const [path, text] of [['foo', 'foo'], ['/foo', '%2Ffoo'], ['foo/bar', 'foo%2Fbar'], ['//', '%2F%2F']]) {
      equal(wire(path).toString(), `/dns4/a.b/http/http-path/${text}`)
      equal(hex(parse(`/dns4/a.b/http/http-path/${text}`).bytes), hex(wire(path).bytes))
    }
    equal(hex(wire('foo/bar').bytes), hex(multiaddr('/dns4/a.b/http').bytes) + 'e10307' + hex(Buffer.from('foo/bar')))
    equal(hex(parse('/dns4/a.b/http/http-path/a+b').bytes), hex(wire('a b').bytes))
  })

  it("makes Go's bytes from a URL", () => {
    equal(hex(urlToMultiaddr('http://a.b/foo/bar').bytes), hex(multiaddr('/dns/a.b/http').bytes) + 'e10308' + hex(Buffer.from('/foo/bar')))
    equal(hex(urlToMultiaddr('http://a.b/f/b', { legacyPath: true }).bytes), hex(multiaddr('/dns/a.b/http').bytes) + '8084c00108' + hex(Buffer.from('%2Ff%2Fb')))
    equal(hex(urlToMultiaddr('http://a.b/%ff%zz').bytes), hex(multiaddr('/dns/a.b/http').bytes) + 'e10307' + hex(Buffer.from('/%ff%zz')))
    equal(hex(urlToMultiaddr('http://a.b/%ff').bytes), hex(multiaddr('/dns/a.b/http').bytes) + 'e10302' + '2fff')
  })

  it("appends a handler path as Go's publishers do", () => {
    const addr = parse('/ip4/127.0.0.1/tcp/8080/http')
    equal(withHttpPath(addr, 'foo/').toString(), '/ip4/127.0.0.1/tcp/8080/http/http-path/foo%2F')
    equal(withHttpPath(addr, 'a/b', { legacyPath: true }).toString(), '/ip4/127.0.0.1/tcp/8080/http/httpath/a%2Fb')
    equal(withHttpPath(addr, '').toString(), addr.toString())
  })

  it('keeps bytes that are not UTF-8 in URLs', () => {
    const addr = multiaddrFromBytes(Buffer.concat([multiaddr('/dns4/a.b/http').bytes, Buffer.from('e10302ff3f', 'hex')]))
    equal(multiaddrToUrl(addr).href, 'http://a.b/%FF%3F')
    equal(multiaddrToUrl(parse('/dns4/a.b/http/httpath/%ff')).href, 'http://a.b/%FF')
  })

  it('does not let a host name say more than a host', () => {
    for (const name of ['a@b', 'a:80', 'a?b', 'a#b', 'a\\b', '[::1]', 'a b', '%41']) {
      const addr = multiaddr([{ code: 53, name: 'dns', value: name }, { code: 480, name: 'http' }])
      throws(() => multiaddrToUrl(addr), { name: 'InvalidMultiaddrError' }, name)
    }
  })

  it('reads a v4-mapped host as Go does', () => {
    equal(urlToMultiaddr('http://[::ffff:1.2.3.4]:81').toString(), '/ip4/1.2.3.4/tcp/81/http')
  })

  it('works where http-path was registered anew, without the slash', t => {
    const codec = registry.getProtocol(481)
    t.after(() => { registry.addProtocol(codec) })
    registry.addProtocol({ code: 481, name: 'http-path', size: -1, stringToValue: decodeURIComponent, valueToString: encodeURIComponent })
    equal(wire('foo').toString(), '/dns4/a.b/http/http-path/foo')
    equal(hex(parse('/dns4/a.b/http/http-path/foo%2Fbar').bytes), hex(wire('foo/bar').bytes))
    equal(multiaddrToUrl(wire('foo')).href, 'http://a.b/foo')
  })
})

describe('the multiaddr registry', () => {
  it('gets httpath once, and keeps what somebody else has put there', t => {
    registerHttpath()
    const codec = registry.getProtocol('httpath')
    registerHttpath()
    equal(registry.getProtocol(0x300200), codec)

    const own = { ...codec, name: 'httpath' }
    registry.addProtocol(own)
    t.after(() => { registry.addProtocol(codec) })
    parseMultiaddrs(['/dns4/a.b/http/httpath/a'])
    equal(registry.getProtocol(0x300200), own)
  })

  it('does not let go of 481', () => {
    const { stringToValue } = registry.getProtocol('http-path')
    parseMultiaddrs(['/dns4/a.b/http/http-path/a'])
    equal(registry.getProtocol(481).stringToValue, stringToValue)
  })
})

describe('public addresses', () => {
  for (const { in: text, kept, isHttp } of vectors('filter-ips-v0.7.8')) {
    it(`${text} is ${kept === true ? '' : 'not '}public`, () => {
      const addrs = [read(text)]
      deepEqual(filterPublic(addrs), kept === true ? addrs : [])
      deepEqual(findHttpAddrs(addrs), isHttp === true ? addrs : [])
    })
  }

  // kept by v0.3.2 alone, whose list was mended later
  const mended = /^\/ip6\/(::\/|::ffff:|2001:db8::|100::|200::|4000::|fec0::)/
  for (const { in: text, kept, isHttp } of vectors('filter-ips-v0.3.2')) {
    it(`v0.3.2: ${text}`, () => {
      const addr = read(text)
      equal(isPublicAddr(addr), kept === true && !mended.test(text))
      equal(isHttpAddr(addr), isHttp)
    })
  }

  it('judges IP addresses, however they are written', () => {
    for (const ip of ['8.8.8.8', '192.0.0.64', '2606:4700::1111', '2606:4700:0:0:0:0:0:1', '64:ff9b::8.8.8.8', '2002:808:808::1']) {
      equal(isPublicIp(ip), true, ip)
    }
    for (const ip of [
      '127.0.0.1', '0.0.0.0', '10.1.1.1', '255.255.255.255', '::', '::1', '0:0:0:0:0:0:0:1', '::ffff:8.8.8.8', '::FFFF:7f00:1', 'fe80::1%eth0', 'fd00::1',
      '64:ff9b::10.0.0.1', '64:ff9b:1::1', '2002:7f00:1::', '2001:db8::1', 'ff02::1', '::2:3:4:5:6:7:8',
      '', 'localhost', '8.8.8', '08.8.8.8', '8.8.8.256', '0x8.8.8.8', '1:2', '2606:4700::1::1', '2606:4700::1]', '8.8.8.8 '
    ]) {
      equal(isPublicIp(ip), false, ip)
    }
  })
})

describe('peers of addresses', () => {
  const id = peerIdFromString(ID)

  it('takes /p2p/ID off the end and puts it back, byte for byte', () => {
    const addr = parse('/dns4/a.b/tcp/80/http/http-path/%2Ffoo')
    const bytes = withPeerId(addr.bytes, id)
    equal(hex(bytes), hex(addr.bytes) + 'a50326' + hex(id.toMultihash().bytes))
    const full = multiaddrFromBytes(bytes)
    ok(peerIdOf(full)?.equals(id))
    equal(hex(stripPeerId(full).bytes), hex(addr.bytes))
    equal(stripPeerId(full).toString(), addr.toString())
    equal(hex(withPeerId(bytes, id)), hex(bytes))
    equal(hex(withPeerId(Uint8Array.of(0xff), id)), 'ff' + hex(bytes).slice(addr.bytes.length * 2))
  })

  it('looks at the end only', () => {
    const relayed = parse(`/ip4/8.8.8.8/tcp/1/p2p/${ID}/p2p-circuit`)
    equal(peerIdOf(relayed), undefined)
    equal(stripPeerId(relayed), relayed)
    equal(peerIdOf(multiaddr('/')), undefined)
    equal(peerIdOf(multiaddrFromBytes(Buffer.from('a50303000161', 'hex'))), undefined) // an id of no known kind
  })

  it('groups addresses by peer', () => {
    const other = '12D3KooWBckWLKiYoUX4k3HTrbrSe4DD5SPNTKgP6vKTva1NaRkJ'
    const peers = parsePeers([`/ip4/1.1.1.1/tcp/1/p2p/${ID}`, `/p2p/${other}`, `/ip4/1.1.1.2/tcp/1/p2p/${ID}`])
    deepEqual(peers.map(({ id, multiaddrs }) => [id.toString(), multiaddrs.map(String)]), [
      [ID, ['/ip4/1.1.1.1/tcp/1', '/ip4/1.1.1.2/tcp/1']], [other, []]
    ])
    throws(() => parsePeers(['/ip4/1.1.1.1/tcp/1']), { name: 'InvalidMultiaddrError', message: /does not end with/ })
  })

  it('names the address that it cannot read', () => {
    for (const text of ['', '/', 'ip4', '/ip4/1.1.1', '/ip4/1.1.1.1/tcp/65536', '/nope/1', `/p2p/${ID.slice(1)}`, '/dns4/a/http/httpath', '/p2p/abc']) {
      throws(() => parseMultiaddrs(['/ip4/1.1.1.1/tcp/1', text]), err => {
        equal((err as Error).name, 'InvalidMultiaddrError')
        ok((err as Error).message.startsWith(JSON.stringify(text)))
        return true
      })
    }
  })

  it('compares lists in any order, and changes neither', () => {
    const addrs = parseMultiaddrs(['/ip4/1.1.1.2/tcp/1', '/ip4/1.1.1.1/tcp/1', '/ip4/1.1.1.1/tcp/1'])
    const other = [addrs[1], addrs[2], addrs[0]]
    equal(sameAddrs(addrs, other), true)
    equal(other[0], addrs[1])
    equal(sameAddrs(addrs, [addrs[0], addrs[0], addrs[1]]), false)
    equal(sameAddrs(addrs, addrs.slice(1)), false)
  })
})
