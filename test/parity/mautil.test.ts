// go-libipni v0.4.0 and v0.7.8: mautil/mautil_test.go
import { deepEqual, equal } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { filterPublic, findHttpAddrs, parseMultiaddrs, sameAddrs } from '../../src/shared/multiaddrs.ts'

describe('mautil/mautil_test.go', () => {
  // v0.4.0 expected addrs[3], fe00::, to be kept; v0.7.8 does not
  it('TestFilterPublic, TestFilterPrivateIPs', () => {
    const addrs = parseMultiaddrs([
      '/ip4/10.255.0.0/tcp/443', '/ip4/11.0.0.0/tcp/80', '/ip6/fc00::/tcp/1717', '/ip6/fe00::/tcp/8080', '/ip4/192.168.11.22/tcp/9999',
      '/dns4/example.net/tcp/1234', '/ip4/127.0.0.1/tcp/9999', '/dns4/localhost/tcp/1234', '/ip6/::/tcp/3105/http', '/ip4/0.0.0.0/tcp/3105'
    ])
    deepEqual(filterPublic(addrs), [addrs[1], addrs[5]])
    deepEqual(filterPublic([]), [])
  })

  it('TestFindHTTPAddrs', () => {
    const addrs = parseMultiaddrs(['/ip4/11.0.0.0/tcp/80/http', '/ip6/fc00::/tcp/1717', '/ip6/fe00::/tcp/8080/https', '/dns4/example.net/tcp/1234'])
    deepEqual(findHttpAddrs(addrs), [addrs[0], addrs[2]])
    deepEqual(findHttpAddrs([]), [])
  })

  // TestCleanPeerAddrInfo, TestFilterPublic_DoesNotPanicOnNilAddr: none, lists have no nil addresses here

  it('TestMultiaddrsEqual', () => {
    const m1 = parseMultiaddrs(['/ip4/11.0.0.0/tcp/80/http', '/ip6/fc00::/tcp/1717', '/ip6/fe00::/tcp/8080/https', '/dns4/example.net/tcp/1234'])
    const m2 = m1.toReversed()
    equal(sameAddrs(m1, m2), true)
    equal(sameAddrs(m1.slice(1), m2.slice(0, -1)), true)
    equal(sameAddrs(m1.slice(2, 3), m2.slice(1, 2)), true)
    equal(sameAddrs([], []), true)
    equal(sameAddrs(m1.slice(1), m2.slice(1)), false)
    equal(sameAddrs(m1, m2.slice(0, -1)), false)
    equal(sameAddrs(m1.slice(0, 1), m2.slice(0, 1)), false)
  })
})
