import { equal, match, ok } from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'

const run = promisify(execFile)
const conditions = ['--conditions=dagsync-source', '--disable-warning=ExperimentalWarning']

describe('docs/GRAPHSYNC.md', () => {
  let folder: string
  const programs = new Map<string, string>()

  before(async () => {
    await mkdir('.cache', { recursive: true })
    folder = await mkdtemp(resolve('.cache/graphsync-docs-')) // within the package, for its node_modules
    const text = await readFile('docs/GRAPHSYNC.md', 'utf8')
    for (const [, name, code] of text.matchAll(/^```js (\S+)\n(.*?)^```$/gms)) { programs.set(name, code) }
    const source = resolve('src/wire/graphsync/index.ts')
    for (const [name, code] of programs) {
      await writeFile(join(folder, name.replace('.js', '.mjs')), code.replace("'dagsync/graphsync'", JSON.stringify(source)))
    }
  })
  after(async () => { await rm(folder, { recursive: true, force: true }) })

  it('shows a request and a responder in about 20 lines each', () => {
    equal(programs.size, 2)
    for (const code of programs.values()) { ok(code.trim().split('\n').length <= 24) }
  })

  it('has programs that work together', async () => {
    const responder = spawn(process.execPath, [...conditions, join(folder, 'responder.mjs')], { stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      const [line] = await once(createInterface(responder.stdout), 'line')
      const { stdout } = await run(process.execPath, [...conditions, join(folder, 'requestor.mjs'), ...line.split(' ')], { timeout: 30_000 })
      match(stdout, /^(bagu\w+ \d+ false\n){3}$/)
    } finally {
      responder.kill()
      await once(responder, 'exit')
    }
  })
})
