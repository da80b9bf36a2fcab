// The interop tests, against real Go peers: `npm run interop`, or `npm run interop -- test/interop/gossip.interop.ts`.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { buildGo, GO_PEERS, GO_TRANSFER, haveGo, versionsOf } from './go-build.ts'

const LIMIT = 20 * 60_000
const here = import.meta.dirname

if (!await haveGo()) {
  console.error('Go is not installed: the interop tests are SKIPPED')
  process.exit(process.env.CI == null ? 0 : 1) // in CI a skip is a failure
}

const programs = [
  ...Object.values(GO_PEERS),
  GO_TRANSFER,
  { dir: join(here, 'selectors'), toolchain: 'go1.20.14' }
].filter(({ dir }) => existsSync(join(dir, 'go.mod')))
for (const { dir, toolchain } of programs) {
  console.log(await versionsOf(dir, toolchain))
  console.log(`  built: ${await buildGo(dir, toolchain)}`)
}

const named = process.argv.slice(2)
const { status, signal } = spawnSync(process.execPath, [
  '--conditions=dagsync-source', `--import=${join(here, '../setup.ts')}`, '--expose-gc', '--unhandled-rejections=strict',
  '--test', '--test-timeout=120000', '--test-concurrency=2',
  ...(named.length > 0 ? named : [join(here, '**/*.interop.ts')])
], { stdio: 'inherit', timeout: LIMIT })
if (signal != null) { console.error(`the test runner ended by ${signal}`) }
process.exit(status ?? 1)
