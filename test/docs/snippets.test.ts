import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'

const run = promisify(execFile)
const examples = readdirSync('examples').filter(name => name.endsWith('.js')).map(name => readFileSync(`examples/${name}`, 'utf8'))

for (const file of ['README.md', 'docs/RECIPES.md']) {
  describe(`the programs in ${file}`, () => {
    for (const { title, code, output } of programs(readFileSync(file, 'utf8'))) {
      if (examples.includes(code)) { continue } // run by examples.test.ts

      it(`runs: ${title}`, async () => {
        const { stdout, stderr } = await run(process.execPath, [
          '--import', './test/docs/prelude.js', '--throw-deprecation', '--input-type=module', '--eval', `${code}\nawait end()`
        ], { timeout: 30_000 })
        assert.equal(stderr, '')
        if (output != null) { assert.equal(stdout, output) }
      })
    }
  })
}

describe('the first screen of README.md', () => {
  const [subscriber, publisher] = [...programs(readFileSync('README.md', 'utf8'))].map(({ code }) => code)

  it('shows the examples as they are', () => {
    assert.equal(subscriber, readFileSync('examples/subscriber.js', 'utf8'))
    assert.equal(publisher, readFileSync('examples/publisher.js', 'utf8'))
  })

  it('shows a subscriber in 15 lines and a publisher in 10', () => {
    assert.ok(subscriber.trimEnd().split('\n').length <= 15)
    assert.ok(publisher.trimEnd().split('\n').length <= 10)
  })
})

/** Each block of js, with the heading before it, and the block of text directly behind it, which is what it prints. */
function * programs (markdown: string): Generator<{ title: string, code: string, output?: string }> {
  for (const { 1: code, 2: output, index } of markdown.matchAll(/^```js\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?/gms)) {
    const title = markdown.slice(0, index).match(/^#+ .+$/gm)?.at(-1)?.replace(/^#+ /, '') ?? 'the first one'
    yield { title, code, output }
  }
}
