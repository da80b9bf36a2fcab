import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Metrics } from '@libp2p/interface'
import * as announce from '../../src/announce/index.ts'
import * as constants from '../../src/shared/constants.ts'
import * as dagsync from '../../src/index.ts'
import * as errors from '../../src/shared/errors.ts'
import * as multiaddr from '../../src/shared/multiaddrs.ts'
import * as selector from '../../src/traversal/index.ts'
import * as signedHead from '../../src/syncers/httpsync/signed-head.ts'
import * as syncer from '../../src/syncers/index.ts'
import * as testing from '../../src/testing/index.ts'

const documents = [
  'README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md',
  ...['ARCHITECTURE', 'DATA-TRANSFER', 'GRAPHSYNC', 'PARITY', 'RECIPES', 'WIRE'].map(name => `docs/${name}.md`)
]
const readme = readFileSync('README.md', 'utf8')
const recipes = readFileSync('docs/RECIPES.md', 'utf8')
const parity = readFileSync('docs/PARITY.md', 'utf8')
const privateKey = await generateKeyPair('Ed25519')
const { version, scripts } = JSON.parse(readFileSync('package.json', 'utf8'))

/** Exported for other rooms, though the module is an entry of the package. */
const INTERNAL = new Set(['checkSigningKey', 'registerHttpath'])

describe('README.md', () => {
  it('has every error of the package, and no other', () => {
    const [, section] = readme.split('\n## Errors\n')
    const listed = [...section.split('\n## ')[0].matchAll(/^\| ([\w, ]+Error) \|/gm)].flatMap(([, names]) => names.split(', '))
    assert.deepEqual(listed.sort(), Object.keys(errors).filter(name => name !== 'DagsyncError').sort())
  })

  it('has the defaults of the code', () => {
    const shown = Object.fromEntries([...readme.matchAll(/^\| `(\w+)` \| `(.+?)` \|/gm)].map(([, name, value]) => [name, value]))
    const expected = {
      addrTTL: constants.ADDR_TTL,
      idleHandlerTTL: constants.IDLE_HANDLER_TTL,
      maxAsyncSyncs: constants.MAX_ASYNC_SYNCS,
      stallTimeout: constants.STALL_TIMEOUT,
      httpTimeout: constants.HTTP_TIMEOUT,
      httpRetry: constants.HTTP_RETRY,
      maxBlockSize: constants.MAX_BLOCK_SIZE,
      segmentDepthLimit: false,
      adsDepthLimit: false,
      firstSyncDepth: false,
      entriesDepthLimit: false,
      repeatLimit: constants.REPEAT_LIMIT,
      prefetch: constants.PREFETCH,
      transports: constants.TRANSPORTS
    }
    const read = (text: string): unknown => JSON.parse(text.replace(/(?<=\d)_(?=\d)/g, '').replace(/(\w+):/g, '"$1":'))
    assert.deepEqual(Object.fromEntries(Object.entries(shown).map(([name, text]) => [name, read(text)])), { ...expected })
  })
})

describe('docs/RECIPES.md', () => {
  it('has every counter, and no other', async () => {
    const counters: string[] = []
    const metrics = {
      registerCounter (name: string) {
        counters.push(name)
        return { increment () {}, reset () {} }
      }
    } as unknown as Metrics
    const linkSystem = dagsync.createLinkSystem()
    await dagsync.createSubscriber({ linkSystem, metrics }).then(async subscriber => subscriber.stop()) // registers when it starts
    void new dagsync.Publisher({ linkSystem, metrics, privateKey }, { http: {} })
    const listed = [...recipes.matchAll(/`(dagsync_\w+)`/g)].map(([, name]) => name)
    assert.deepEqual(listed.sort(), counters.sort())
  })
})

describe('docs/PARITY.md', () => {
  it('names tests that exist', () => {
    const missing = [...parity.matchAll(/\btest\/[\w/-]+\.test\.ts/g)].map(([path]) => path).filter(path => !existsSync(path))
    assert.deepEqual(missing, [])
  })

  it('has every function and class that the package exports', () => {
    const exported = [dagsync, announce, multiaddr, selector, signedHead, syncer, testing].flatMap(module => Object.entries(module))
      .filter(([name, value]) => typeof value === 'function' && !name.endsWith('Error')).map(([name]) => name)
    assert.deepEqual(exported.filter(name => !INTERNAL.has(name) && !parity.includes(`\`${name}`)), [])
  })
})

describe('the documents', () => {
  for (const file of documents) {
    it(`${file} links to what is there`, () => {
      const text = readFileSync(file, 'utf8')
      for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^https?:/.test(target)) { continue }
        const [path, anchor] = target.split('#')
        const linked = path === '' ? file : join(dirname(file), path)
        assert.ok(existsSync(linked), `${target} is not there`)
        if (anchor == null) { continue }
        const anchors = [...readFileSync(linked, 'utf8').matchAll(/^#+ (.+)$/gm)].map(([, title]) => title.toLowerCase().replace(/[^\w\- ]/g, '').replaceAll(' ', '-'))
        assert.ok(anchors.includes(anchor), `${target} has no such heading`)
      }
    })

    it(`${file} names npm scripts that are there`, () => {
      for (const [, script] of readFileSync(file, 'utf8').matchAll(/npm run ([\w:-]+)/g)) {
        assert.ok(script in scripts, `npm run ${script}`)
      }
    })
  }

  it('have the version of package.json', () => {
    assert.match(readFileSync('CHANGELOG.md', 'utf8'), new RegExp(`^## ${version.replaceAll('.', '\\.')}$`, 'm'))
  })
})
