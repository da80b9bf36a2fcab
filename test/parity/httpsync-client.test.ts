// Go: dagsync/ipnisync/sync_test.go of go-libipni v0.4.0 and v0.7.8; httpsync of v0.3.2 has the first three, too.

import { CID } from 'multiformats/cid'
import { sha256 } from 'multiformats/hashes/sha2'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id'
import { describe, it } from 'node:test'
import { deepEqual, equal, notEqual, ok, rejects } from 'node:assert/strict'
import { readBlock } from '../../src/store/read.ts'
import { createLinkSystem } from '../../src/store/link-system.ts'
import { createHttpSyncer } from '../../src/syncers/index.ts'
import { encodeSignedHead } from '../../src/syncers/httpsync/signed-head.ts'
import { matcher } from '../../src/traversal/builders.ts'
import { addrOf, httpServer, publish } from '../syncers/httpsync-servers.ts'
import type { TestServer } from '../syncers/httpsync-servers.ts'

// From http://ipfs-advertisement.s3.us-west-2.amazonaws.com, signed by its provider; not canonical dag-json.
const PROVIDER = 'QmQzqxhK82kAmKvARFZSkUVS6fo9sySaiogAnx5EnZ6ZmC'
const CID_TEXT = 'baguqeeranpqrweyey2zsab2mmt33ixc3jkg27p5ri3abr5di2pbbsbaig74q'
const PUBKEY = 'CAASpgIwggEiMA0GCSqGSIb3DQEBAQUAA4IBDwAwggEKAoIBAQDYi9qW5J1UIE4CUaRxxoROyqHkKZ2nhGRGWDurhNhPiNQ+n0sCy8rREEF9lertFt2n81c1Ik4W/8HZKxvk8PYKStrlGWjur6UoFyt+WuS/1hkRVyqEXjzBF7cLvfYQ75UaATIbLhXWpXqys1DVdh2snD0jnDugF4J72ZboIz6gwZC+BEd5axeVaibB9gJcg+5P48ihq9SAbr4dQUS47OgISMNb3f6nHfK7FQFF/KYx80byJYMJ9Oxsw8CB6C8pmDTdqvzYBT9kCUdY+loN/IcBqEeNw/UF7l3ay/ZJ2Yq437k6kn5BoxaZfxlbZHItoBjiLSJ9FSD7gpnUO+lJAh9bAgMBAAE='
const SIG = 'NYkxmG812wa4DOCsZwH7NGLDERRkwtVwLNykf61RFug5VWNB1mKQjp0M3g0EBhVlf4dWqeh7ZCeVIC1qhAIONKw9VBAq4ITi4DTOlpx4yFphcNcCPGWNSfV0Qlosct6r64VmA4KtnRlYhwf6EsZ0gxcnZySbsv7KENHttmXLmO0ZBNQzG8dBNrp6thwiJbK4A1mw6+J6Ut4VzVwFUzJjONQzc0RpvUV7MwD1l6ZP83ucuOUT4Vw1F2yjVnFDgEa14N2tJfhxw2ZY2mHEiPH1pJL1dVxcjXRkiILV3V/qy1W5/cw+HhQHM3BIAgSBeWwSb7gbculHuBnOPDhHVKBmuQ=='
const HEAD = `{"head":{"/":"${CID_TEXT}"},"pubkey":{"/":{"bytes":"${PUBKEY}"}},"sig":{"/":{"bytes":"${SIG}"}}}`
const AD = '{"Addresses":["/dns4/elastic.dag.house/tcp/443/wss"],"ContextID":{"/":{"bytes":"YmFndXFlZXJhdW1qbGM3MjRhenFucmRiNXh3dDJ3bWdxMmZ4N2lrd2N6MmxtNHhlNWR0dWx4NHIzemQycQ=="}},"Entries":{"/":"baguqeeraumjlc724azqnrdb5xwt2wmgq2fx7ikwcz2lm4xe5dtulx4r3zd2q"},"IsRm":false,"Metadata":{"/":{"bytes":"gBI"}},"PreviousID":{"/":"baguqeeramj6uf7ie5brhk5ivzi7e4mccndzke6fizc4qaie6t73xrvspkxrq"},"Provider":"bafzbeibhqavlasjc7dvbiopygwncnrtvjd2xmryk5laib7zyjor6kf3avm","Signature":{"/":{"bytes":"CqsCCAASpgIwggEiMA0GCSqGSIb3DQEBAQUAA4IBDwAwggEKAoIBAQDYi9qW5J1UIE4CUaRxxoROyqHkKZ2nhGRGWDurhNhPiNQ+n0sCy8rREEF9lertFt2n81c1Ik4W/8HZKxvk8PYKStrlGWjur6UoFyt+WuS/1hkRVyqEXjzBF7cLvfYQ75UaATIbLhXWpXqys1DVdh2snD0jnDugF4J72ZboIz6gwZC+BEd5axeVaibB9gJcg+5P48ihq9SAbr4dQUS47OgISMNb3f6nHfK7FQFF/KYx80byJYMJ9Oxsw8CB6C8pmDTdqvzYBT9kCUdY+loN/IcBqEeNw/UF7l3ay/ZJ2Yq437k6kn5BoxaZfxlbZHItoBjiLSJ9FSD7gpnUO+lJAh9bAgMBAAESGy9pbmRleGVyL2luZ2VzdC9hZFNpZ25hdHVyZRoiEiAz1niaKM3G2J40Bz/3wQbElyuBh1+2Q1E9SBj9wNsE8iqAAgOO1BKwq1RRy7AkZksWRrDlClhXU5IHAiy9pHuYtI/ePbVANiMAisjIEkd7jtJx7uct+/q2BTTTVcmZS7iE4OMTUymVbPQJ21qrzB6l5hulKD5ieedkJngAPCpizXmI1Z32Ib1zkuEFMraRcFaQ0YWqBKoIBJjjO4POGIdB2SgrCO0aFSd94k+2lyudMeWK+OisGLI7r6+ovd8g1VmcspEgl6pfdlHvThM3TdYGa46LO3kSCZmTzbI/XPnbMKaITvbuS3p8gm6elxNagx7Jxw4oP7hVyINSJ9chRu/w0RiBO986WRwhkGz1jW5jUF6VG/cQODzwjhuACteHf9TWp18"}}}'

const texts = (byPath: Record<string, string>): Promise<TestServer> => httpServer((req, res) => {
  const text = byPath[req.url?.split('/').at(-1) ?? '']
  res.writeHead(text == null ? 404 : 200).end(text)
})

describe('dagsync/ipnisync/sync_test.go', () => {
  it('TestIPNISync_NFTStorage_DigestCheck: mismatching hash is not synced', async () => {
    await using server = await texts({ head: HEAD, [CID_TEXT]: 'fish' })
    const linkSystem = createLinkSystem()
    await using syncer = createHttpSyncer({ linkSystem }, { peerId: peerIdFromString(PROVIDER), addrs: [addrOf(server)] })
    const head = await syncer.head()
    equal(head?.toString(), CID_TEXT)
    await rejects(syncer.sync(head, matcher()), { name: 'HashMismatchError' })
    equal(await linkSystem.has(head), false)
  })

  it('TestIPNISync_NFTStorage_DigestCheck: technically invalid but matching digest is synced', async () => {
    await using server = await texts({ head: HEAD, [CID_TEXT]: AD })
    const linkSystem = createLinkSystem()
    await using syncer = createHttpSyncer({ linkSystem }, { peerId: peerIdFromString(PROVIDER), addrs: [addrOf(server)] })
    const head = await syncer.head()
    ok(head != null)
    await syncer.sync(head, matcher())
    // Stored as it came, though encoding its node again gives another CID.
    deepEqual(await readBlock(linkSystem.blockstore, head), new TextEncoder().encode(AD))
    const node = await linkSystem.load(head)
    notEqual((await createLinkSystem().store(node)).toString(), CID_TEXT)
  })

  it('TestIPNIsync_AcceptsSpecCompliantDagJson', async () => {
    const source = createLinkSystem()
    const node = { fish: 'lobster', fish1: 'lobster1', fish2: 'lobster2', fish0: 'lobster0' }
    const cid = await source.store(node)
    const privateKey = await generateKeyPair('RSA', 2048)
    const head = await encodeSignedHead(cid, privateKey, '/test/topic')
    const block = await readBlock(source.blockstore, cid)
    await using server = await texts({ head: new TextDecoder().decode(head), [cid.toString()]: new TextDecoder().decode(block) })
    const linkSystem = createLinkSystem()
    await using syncer = createHttpSyncer({ linkSystem }, { peerId: peerIdFromPrivateKey(privateKey), addrs: [addrOf(server)] })
    const found = await syncer.head()
    deepEqual(found, cid)
    await syncer.sync(cid, matcher())
    deepEqual(await linkSystem.load(cid), node)
    deepEqual(await linkSystem.store(await linkSystem.load(cid)), cid)
  })

  it('TestIPNIsync_NotFoundReturnsContentNotFoundErr', async () => {
    await using publisher = await publish(createLinkSystem(), undefined)
    await using syncer = createHttpSyncer({ linkSystem: createLinkSystem() }, { peerId: publisher.peerId, addrs: [publisher.addr] })
    const cid = CID.createV1(0x55, await sha256.digest(new TextEncoder().encode('fish')))
    await rejects(syncer.sync(cid, matcher()), { name: 'ContentNotFoundError', message: /content not found/, cid })
  })

  it('TestRequestTypeHint', async () => {
    await using publisher = await publish(createLinkSystem(), undefined)
    await using syncer = createHttpSyncer({ linkSystem: createLinkSystem() }, { peerId: publisher.peerId, addrs: [publisher.addr] })
    for (const schemaType of ['Advertisement', 'EntryChunk'] as const) {
      await rejects(syncer.sync(CID.parse(CID_TEXT), matcher(), { schemaType }), { name: 'ContentNotFoundError' })
      equal(publisher.headers.at(-1)?.['ipni-cid-schema-type'], schemaType)
    }
    publisher.requests.length = 0
    await rejects(syncer.sync(CID.parse(CID_TEXT), matcher(), { schemaType: 'bad' as any }), { name: 'InvalidOptionError', field: 'schemaType' })
    equal(publisher.requests.length, 0)
  })
})
