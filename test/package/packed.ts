// The tarball as a user gets it: `npm run test:package`. Needs the registry, so it is not a part of `npm test`; CI runs it.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, posix } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = join(import.meta.dirname, '../..')
const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
const subpaths = Object.keys(manifest.exports).filter(subpath => subpath !== './package.json').map(subpath => `dagsync${subpath.slice(1)}`)

/** The oldest Node that `engines` promises, and the one that is pinned here. */
const NODE_22 = '22.0.0'

const TSC = join(root, 'node_modules/typescript/bin/tsc')

/** The oldest that the README names. */
const OLD_TYPESCRIPT = '5.4'

interface Packed { filename: string, files: Array<{ path: string }>, unpackedSize: number }

describe('the packed tarball', { timeout: 300_000 }, () => {
  let folder: string
  let packed: Packed
  let nodes: Record<string, string>

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dagsync-packed-'))
    const { stdout } = await npm(root, 'pack', '--json', '--pack-destination', folder);
    [packed] = JSON.parse(stdout)
    await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }))
    await npm(folder, 'install', join(folder, packed.filename))
    nodes = { 'Node 22': await oldNode(join(folder, 'node-22')), 'Node 24': process.execPath }
  })

  after(async () => rm(folder, { recursive: true, force: true }))

  it('holds what is needed, all that README links to, and no more', async () => {
    const paths = packed.files.map(({ path }) => path)
    const linked = [...(await readFile(join(root, 'README.md'), 'utf8')).matchAll(/\]\(([^)#:]+)[)#]/g)].map(([, path]) => path)
    for (const path of new Set(['README.md', 'package.json', ...linked])) {
      assert.ok(paths.includes(path), `${path} is not packed`)
    }
    const expected = /^(?:dist\/.+\.(?:js|d\.ts)(?:\.map)?|src\/.+\.ts|docs\/.+\.md|[^/]+\.md|LICENSE-\w+|package\.json)$/
    const others = paths.filter(path => !expected.test(path))
    assert.deepEqual(others, [])
  })

  it('has every file that its exports, imports and source maps name', async () => {
    const paths = new Set(packed.files.map(({ path }) => path))
    const targets = (node: unknown, condition = ''): string[] => typeof node === 'string'
      ? [node]
      : Object.entries(node as object).flatMap(([key, inner]) => condition === 'dagsync-source' ? [] : targets(inner, key))
    for (const target of [...targets(manifest.exports), ...targets(manifest.imports)]) {
      assert.ok(paths.has(posix.normalize(target)), `${target} is not packed`)
    }
    for (const path of paths) {
      if (!path.endsWith('.map')) { continue }
      const { sources } = JSON.parse(await readFile(join(folder, 'node_modules/dagsync', path), 'utf8'))
      for (const source of sources) { assert.ok(paths.has(posix.join(dirname(path), source)), `${path} names ${source}`) }
    }
  })

  for (const name of ['Node 22', 'Node 24']) {
    it(`imports every subpath on ${name}`, async () => {
      const code = `for (const name of ${JSON.stringify(subpaths)}) { console.log(name, Object.keys(await import(name)).length) }`
      const { stdout, stderr } = await evaluate(nodes[name], code)
      assert.equal(stderr, '')
      assert.deepEqual(stdout.trim().split('\n').filter(line => !line.endsWith(' 0')).map(line => line.split(' ')[0]), subpaths)
    })

    it(`syncs over HTTP, through redirects too, on ${name}`, async () => {
      await copyFile(join(import.meta.dirname, 'fixtures/sync.js'), join(folder, 'sync.js'))
      const { stdout, stderr } = await run(nodes[name], ['--throw-deprecation', 'sync.js'], { cwd: folder, timeout: 30_000 })
      assert.equal(stderr, '')
      assert.equal(stdout, 'synced 5 blocks\n')
    })
  }

  it('satisfies api.d.ts', async () => {
    await typeCheck('satisfies.ts', ['ES2022', 'DOM'], true)
  })

  it('type-checks in a program with lib ES2022 and without @types/node', async () => {
    await typeCheck('use.ts', ['ES2022'], true)
  })

  it('has declarations without errors of their own, with lib ES2022 and DOM and without @types/node', async () => {
    await typeCheck('use.ts', ['ES2022', 'DOM'], false)
  })

  it(`has declarations without errors of their own in TypeScript ${OLD_TYPESCRIPT}`, async () => {
    const old = join(folder, 'typescript')
    await mkdir(old)
    await writeFile(join(old, 'package.json'), JSON.stringify({ private: true }))
    await npm(old, 'install', `typescript@${OLD_TYPESCRIPT}`)
    await typeCheck('use.ts', ['ES2022', 'DOM'], false, join(old, 'node_modules/typescript/bin/tsc'))
  })

  it('brings one copy of multiformats, also beside libp2p', async () => {
    assert.equal((await copies('multiformats')).length, 1)
    const beside = ['libp2p', '@libp2p/gossipsub', '@libp2p/tcp', '@libp2p/tls', '@libp2p/yamux', '@libp2p/noise', '@libp2p/identify']
    await npm(folder, 'install', ...beside.map(name => `${name}@${manifest.devDependencies[name]}`))
    for (const name of ['multiformats', '@libp2p/interface', '@multiformats/multiaddr']) {
      assert.equal((await copies(name)).length, 1, name)
    }
  })

  async function evaluate (node: string, code: string): Promise<{ stdout: string, stderr: string }> {
    return run(node, ['--throw-deprecation', '--input-type=module', '--eval', code], { cwd: folder, timeout: 30_000 })
  }

  /**
   * Checks one file of test/types/consumer in the folder where the package is installed. Without skipLibCheck errors in other
   * packages' declarations are not ours: main-event, of libp2p, wants node:events.
   */
  async function typeCheck (file: string, lib: string[], skipLibCheck: boolean, tsc = TSC): Promise<void> {
    const project = join(folder, 'types')
    await rm(project, { recursive: true, force: true })
    await mkdir(project)
    await copyFile(join(root, 'test/types/consumer', file), join(project, file))
    const api = await readFile(join(root, 'test/types/api.d.ts'), 'utf8')
    await writeFile(join(project, 'api.d.ts'), api.replaceAll(/'dagsync(?=['/])/g, "'api"))
    await writeFile(join(project, 'tsconfig.json'), JSON.stringify({
      compilerOptions: { target: 'ES2022', module: 'NodeNext', strict: true, types: [], noEmit: true, lib, skipLibCheck },
      files: file === 'satisfies.ts' ? [file, 'api.d.ts'] : [file]
    }))
    const { stdout } = await run(process.execPath, [tsc, '-p', project], { cwd: project }).catch(error => error)
    const errors = stdout.split('\n').filter((line: string) => /^\S.*error TS/.test(line) && !/node_modules\/(?!dagsync\/)/.test(line))
    assert.deepEqual(errors, [])
  }

  /** Where a package is installed. */
  async function copies (name: string): Promise<string[]> {
    const { stdout } = await npm(folder, 'ls', name, '--all', '--parseable')
    return [...new Set(stdout.split('\n').filter(path => path.endsWith(join('node_modules', name))))]
  }
})

async function npm (cwd: string, ...args: string[]): Promise<{ stdout: string, stderr: string }> {
  return run('npm', args, { cwd, maxBuffer: 64 * 1024 * 1024, timeout: 240_000 })
}

async function oldNode (folder: string): Promise<string> {
  await mkdir(folder)
  await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, allowScripts: { node: true } }))
  await npm(folder, 'install', `node@${NODE_22}`)
  const node = join(folder, 'node_modules/.bin/node')
  const { stdout } = await run(node, ['--version'])
  assert.equal(stdout.trim(), `v${NODE_22}`)
  return node
}
