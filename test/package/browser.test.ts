import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { importGraph } from './import-graph.ts'

const { exports, dependencies } = JSON.parse(readFileSync('package.json', 'utf8'))

describe('the package in a browser', () => {
  for (const [subpath, target] of Object.entries<{ default: string } | string>(exports)) {
    if (typeof target === 'string' || subpath === './testing') { continue } // the testing kit is for Node
    const name = `dagsync${subpath.slice(1)}`

    it(`loads ${name} without modules of Node and without libp2p`, () => {
      const { files, packages, builtins } = importGraph(target.default)
      assert.deepEqual(builtins, [])
      assert.equal(packages.has('libp2p'), false)
      assert.deepEqual([...files].filter(file => file.includes('.node.')), [])
      assert.ok(files.size > 1)
    })
  }

  it('finds what it looks for: in Node there are such imports', () => {
    const { builtins, packages } = importGraph(exports['./testing'].default, ['node', 'import', 'default'])
    assert.ok(builtins.some(text => text.includes('node:http')))
    assert.ok(packages.has('libp2p'))
  })

  it('takes no package beyond the dependencies and what they need', () => {
    const { packages } = importGraph(exports['.'].default)
    const missing = Object.keys(dependencies).filter(name => !packages.has(name) && !TYPES_ONLY.has(name))
    assert.deepEqual(missing, [], 'dependencies that nothing imports')
  })
})

/** Dependencies of which only the types are used: consumers need them to type-check. */
const TYPES_ONLY = new Set(['interface-blockstore', 'interface-datastore'])
