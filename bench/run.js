// Measures this package against go-libipni v0.7.8, and v0.4.0 for dtsync, on one machine: `npm run bench`, or `npm run bench -- sync announce --runs 3`.
// Runs of the pairs alternate, each with fresh processes, so that what else the machine does falls on all of them.
import os from 'node:os'
import { parseArgs } from 'node:util'
import { GO_PEERS, haveGo, versionsOf } from '../test/interop/go-build.ts'
import { benchAnnounce } from './announce.ts'
import { benchDtsync } from './dtsync.ts'
import { benchEntries } from './entries.ts'
import { benchHamt } from './hamt.ts'
import { benchMemory } from './memory.ts'
import { STREAMS } from './peers.ts'
import { announceReport, entriesReport, hamtReport, memoryReport, requirements, syncReport, walkReport } from './report.ts'
import { benchSync } from './sync.ts'
import { table } from './table.ts'
import { benchWalk } from './walks.ts'

const PARTS = ['sync', 'streams', 'entries', 'announce', 'memory', 'walk', 'dtsync']
const LIMIT = 60 * 60_000

const { values, positionals } = parseArgs({ allowPositionals: true, options: { runs: { type: 'string', default: '5' } } })
const runs = Number(values.runs)
const parts = positionals.length > 0 ? positionals : PARTS
const unknown = parts.filter(part => !PARTS.includes(part))
if (unknown.length > 0 || !(runs >= 1)) {
  console.error(`usage: npm run bench -- [${PARTS.join('] [')}] [--runs 5]`)
  process.exit(2)
}
setTimeout(() => {
  console.error('the bench took more than an hour')
  process.exit(1) // the peers end with it: their stdin closes
}, LIMIT).unref()

const say = text => { console.error(text) }
const { dir, toolchain } = GO_PEERS.v078
if (parts.some(part => !['memory', 'walk'].includes(part)) && !await haveGo()) {
  console.error('Go is not installed: only `npm run bench -- memory walk` runs without it')
  process.exit(1)
}

console.log(`${os.cpus().length} cores of ${os.cpus()[0].model.trim()}, ${Math.round(os.totalmem() / 2 ** 30)} GiB, ${os.type()} ${os.release()}, ` +
  `Node ${process.versions.node}, load ${os.loadavg()[0].toFixed(1)} at the start`)
if (await haveGo()) { console.log(await versionsOf(dir, toolchain)) }

const measured = {}
if (parts.includes('sync')) {
  for (const count of [1_000, 10_000]) {
    const figures = await benchSync(count, runs, say)
    measured[`sync${count}`] = figures
    console.log(`\n${syncReport(count, runs, figures)}`)
  }
}
if (parts.includes('streams')) {
  measured.streams = await benchSync(10_000, runs, say, { wire: STREAMS })
  console.log(`\n${syncReport(10_000, runs, measured.streams, STREAMS.name)}`)
}
if (parts.includes('entries')) {
  measured.entries = await benchEntries(Math.min(runs, 3), say)
  console.log(`\n${entriesReport(measured.entries)}`)
  console.log(`\n${hamtReport(await benchHamt(Math.min(runs, 3), say))}`)
}
if (parts.includes('announce')) {
  measured.announce = await benchAnnounce(Math.min(runs, 3), say)
  console.log(`\n${announceReport(measured.announce)}`)
}
if (parts.includes('memory')) {
  measured.memory = await benchMemory(Math.min(runs, 3), say)
  console.log(`\n${memoryReport(measured.memory)}`)
}
if (parts.includes('dtsync')) { console.log(`\n${await benchDtsync(Math.min(runs, 3), say)}`) }
if (parts.includes('walk')) {
  measured.walk = benchWalk()
  console.log(`\n${walkReport(measured.walk)}`)
}
if (parts.some(part => part !== 'dtsync')) {
  console.log(`\n${table(['what', 'required', 'reached', ''], requirements(measured))}`)
}
