// Runs the tests on the source: `npm test`, or `npm test -- test/announce` for a part.
import { spawnSync } from 'node:child_process'
import { statSync } from 'node:fs'

const named = process.argv.slice(2)
const patterns = (named.length > 0 ? named : ['test'])
  .map(path => statSync(path, { throwIfNoEntry: false })?.isDirectory() ? `${path}/**/*.test.ts` : path)

const { status, signal } = spawnSync(process.execPath, [
  '--expose-gc', '--conditions=dagsync-source', '--import=./test/setup.ts', '--unhandled-rejections=strict',
  '--test', '--test-timeout=300000', ...patterns
], { stdio: 'inherit' })

if (signal != null) { console.error(`the test runner ended by ${signal}`) }
process.exit(status ?? 1)
