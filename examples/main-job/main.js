// `npm start`: a publisher and a subscriber as two processes on this machine; blocks go over libp2p, with `-- --http` over HTTP. Ends
// by itself; exit code 0 says that the subscriber has the whole chain on disk.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const folder = await mkdtemp(join(tmpdir(), 'dagsync-main-job-'))
const interrupted = new AbortController()
process.once('SIGINT', () => { interrupted.abort(new Error('interrupted')) })
const signal = AbortSignal.any([interrupted.signal, AbortSignal.timeout(120_000)])
const children = []

/** Starts one of the two, with a folder of its own for its stores. */
function start (name, ...args) {
  const child = fork(join(import.meta.dirname, `${name}.js`), [join(folder, name), ...args])
  child.on('error', () => {}) // 'exit' or the signal says it too
  children.push(child)
  return child
}

/** Resolves when the process has ended well; its failure ends the wait for the other one. */
async function end (child) {
  const [code, killed] = await once(child, 'exit', { signal })
  if (code !== 0) { throw new Error(`${child.spawnargs[1]} ended with ${killed ?? `code ${code}`}`) }
}

try {
  const publisher = start('publisher', ...process.argv.slice(2))
  const published = end(publisher)
  const [{ address, total }] = await Promise.race([once(publisher, 'message', { signal }), published])
  await Promise.all([published, end(start('subscriber', address, total))])
} catch (error) {
  console.error(`failed: ${signal.aborted ? signal.reason.message : error.message}`)
  process.exitCode = 1
} finally {
  await Promise.all(children.filter(({ exitCode, signalCode }) => (exitCode ?? signalCode) == null).map(async child => {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }))
  await rm(folder, { recursive: true, force: true })
}
