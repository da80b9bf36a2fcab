import { describe, it } from 'node:test'
import { equal, rejects } from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:https'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { createHttpClient } from '../../src/syncers/httpsync/client.node.ts'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'

// For localhost and 127.0.0.1, made for this test and good for nothing else.
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg1oTG8ASOxUvZCcCJ
uR8cOSex3FKJFlaCtPcO5787loqhRANCAAQrhcqdw5qdyP+CXebvxQQg+3L+7VRl
Ot61JA7a/jKsU3PDndW0OTXsS0DBxp1agB5H6ciLcYF3ziPj/X3RSNFr
-----END PRIVATE KEY-----
`
const CERT = `-----BEGIN CERTIFICATE-----
MIIBoDCCAUegAwIBAgIUA9P9lxvd3p1WmVk+3hPl3D+CR+0wCgYIKoZIzj0EAwIw
FzEVMBMGA1UEAwwMZGFnc3luYyB0ZXN0MCAXDTI2MTEyMzAzNDgwMloYDzIxMjYx
MDMwMDM0ODAyWjAXMRUwEwYDVQQDDAxkYWdzeW5jIHRlc3QwWTATBgcqhkjOPQIB
BggqhkjOPQMBBwNCAAQrhcqdw5qdyP+CXebvxQQg+3L+7VRlOt61JA7a/jKsU3PD
ndW0OTXsS0DBxp1agB5H6ciLcYF3ziPj/X3RSNFro28wbTAdBgNVHQ4EFgQUYDUJ
K6SeTpNOx6a1lvIEqn9qLtwwHwYDVR0jBBgwFoAUYDUJK6SeTpNOx6a1lvIEqn9q
LtwwDwYDVR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEw
CgYIKoZIzj0EAwIDRwAwRAIgd2SmV31mixcQCZkZoyU9MG/5/rOVPOw5N7JtQV+G
x/cCIBJXDdnlIZLhHx64c2V3N6TpPuDWWqTb2MBQeov/FAPg
-----END CERTIFICATE-----
`

const init = { timeout: 5000, maxBodySize: 1000 }

describe('HTTP client over TLS', () => {
  it('checks whose certificate it is, by name and by address, and keeps the connection', async () => {
    const seen: string[] = []
    const sockets = new Set<unknown>()
    const server = createServer({ key: KEY, cert: CERT }, (req, res) => {
      const { servername, alpnProtocol } = req.socket as TLSSocket
      seen.push(`${servername} ${alpnProtocol}`)
      sockets.add(req.socket)
      res.end('x'.repeat(1000))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const client = createHttpClient()
    const get = async (host: string): Promise<number> => (await client.request(new URL(`https://${host}:${port}/`), init)).body.length

    await rejects(get('localhost'), { name: 'TransferFailedError', message: /self-signed/ })
    const authorities = getCACertificates('default')
    setDefaultCACertificates([...authorities, CERT])
    try {
      equal(await get('localhost'), 1000)
      equal(await get('localhost'), 1000)
      equal(await get('127.0.0.1'), 1000)
      equal(seen.join(), 'localhost http/1.1,localhost http/1.1,false http/1.1')
      equal(sockets.size, 2)
      await rejects(get('ip6-localhost.invalid'), { name: 'TransferFailedError' })
      const named = createHttpClient({ filterIPs: ip => ip === '127.0.0.1' }) // what is checked is what is connected to
      equal((await named.request(new URL(`https://localhost:${port}/`), init)).status, 200)
      await named.stop()
    } finally {
      setDefaultCACertificates(authorities)
      await client.stop()
      server.close()
    }
    equal(seen.length, 4)
  })

  it('refuses a certificate of another name', async () => {
    const server = createServer({ key: KEY, cert: CERT }, (_, res) => { res.end() }).listen(0, '127.0.0.2')
    await once(server, 'listening')
    const authorities = getCACertificates('default')
    setDefaultCACertificates([...authorities, CERT])
    const client = createHttpClient()
    try {
      await rejects(client.request(new URL(`https://127.0.0.2:${(server.address() as AddressInfo).port}/`), init), {
        name: 'TransferFailedError', message: /127\.0\.0\.2/
      })
    } finally {
      setDefaultCACertificates(authorities)
      await client.stop()
      server.close()
    }
  })
})
