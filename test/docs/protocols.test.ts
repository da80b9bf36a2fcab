// The pages of the protocols: their programs are the examples, and run; what they say of limits and errors is what the code has.
import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'
import * as transferConstants from '../../src/wire/data-transfer/constants.ts'
import * as dataTransfer from '../../src/wire/data-transfer/index.ts'
import * as graphsyncConstants from '../../src/wire/graphsync/constants.ts'
import * as graphsync from '../../src/wire/graphsync/index.ts'

const run = promisify(execFile)

interface Page {
  file: string
  folder: string

  /** Prints the arguments of the other ones. */
  server: string
  module: Record<string, unknown>
}

const pages: Record<string, Page> = {
  graphsync: { file: 'docs/GRAPHSYNC.md', folder: 'examples/graphsync', server: 'responder.js', module: graphsync },
  dataTransfer: { file: 'docs/DATA-TRANSFER.md', folder: 'examples/data-transfer', server: 'publisher.js', module: dataTransfer }
}

/** Runs a client of a page against its server. */
async function runClient ({ folder, server }: Page, client: string, ...args: string[]): Promise<string> {
  const serving = spawn(process.execPath, [`${folder}/${server}`], { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    const [line] = await once(createInterface(serving.stdout), 'line')
    const { stdout, stderr } = await run(process.execPath, [`${folder}/${client}`, ...line.split(' '), ...args], { timeout: 30_000 })
    equal(stderr, '')
    return stdout
  } finally {
    serving.kill()
    await once(serving, 'exit')
  }
}

for (const { file, folder, module } of Object.values(pages)) {
  describe(file, () => {
    const text = readFileSync(file, 'utf8')
    const programs = [...text.matchAll(/^```js (\S+)\n(.*?)^```$/gms)].map(([, name, code]) => ({ name, code }))

    it('shows the examples as they are, in about 20 lines each', () => {
      deepEqual(programs.map(({ name }) => name).sort(), readdirSync(folder).sort())
      for (const { name, code } of programs) {
        equal(code, readFileSync(`${folder}/${name}`, 'utf8'))
        ok(code.trim().split('\n').length <= 24, name)
      }
    })

    it('names errors that the subpath exports', () => {
      const [, table] = text.split(/ throws \| when \|\n/)
      const names = [...table.split('\n\n')[0].matchAll(/\w+Error\b/g)].map(([name]) => name)
      ok(names.length >= 5)
      for (const name of names) { ok(name in module, name) }
    })

    it('shows programs that need nothing else of the package', () => {
      for (const { code } of programs) {
        deepEqual([...new Set(code.match(/'dagsync[^']*'/g))], [`'dagsync/${folder.replace('examples/', '')}'`])
      }
    })
  })
}

describe('the programs of the protocol pages', { timeout: 120_000 }, () => {
  it('ask for blocks by graphsync', async () => {
    match(await runClient(pages.graphsync, 'requestor.js'), /^(bagu\w+ \d+ false\n){3}$/)
  })

  it('pull blocks with a ticket, and hear what is said to it', async () => {
    const stdout = await runClient(pages.dataTransfer, 'puller.js')
    match(stdout, /^\{ type: 'Usher', value: \{ row: 1 \} \}\n\{\n {2}scenes: \[\n( {4}CID\(bagu\w+\),?\n){3} {2}\]\n\}\n/)
    match(stdout, /\n\{ title: 'dawn' \}\n\{ title: 'noon' \}\n\{ title: 'dusk' \}\n$/)
  })

  it('pull nothing with another ticket', async () => {
    const { code, stderr } = await runClient(pages.dataTransfer, 'puller.js', '8').then(() => { throw new Error('it did not fail') }, error => error)
    equal(code, 1)
    match(stderr, /^TransferRejectedError: /m)
  })
})

describe('the numbers of the protocol pages', () => {
  const number = (value: number): string => value.toLocaleString('en-US')
  const mebibytes = (value: number): string => `${value / 1024 / 1024} MiB`

  /** What a page says of options. */
  const optionsOf = (text: string): Record<string, number> => Object.fromEntries([...text.matchAll(/^\| `(\w+)` \| `([\d_]+)` \|/gm)]
    .map(([, name, value]) => [name, Number(value.replaceAll('_', ''))]))

  it('are those of data transfer', () => {
    const text = readFileSync(pages.dataTransfer.file, 'utf8')
    deepEqual(optionsOf(text), transferConstants.DEFAULTS)
    const { MAX_MESSAGE, MAX_ENDED_CHANNELS, MAX_RESTART_DELAY, MESSAGE_TIMEOUT, DEFAULTS } = transferConstants
    for (const phrase of [
      `at most ${mebibytes(MAX_MESSAGE)} and ${MESSAGE_TIMEOUT / 1000} s`, `last\n${number(MAX_ENDED_CHANNELS)} others`,
      `up to ${MAX_RESTART_DELAY / 1000} s`, `fails after ${DEFAULTS.restartTimeout / 1000} s`
    ]) { ok(text.includes(phrase), phrase) }
  })

  it('are those of graphsync', () => {
    const text = readFileSync(pages.graphsync.file, 'utf8')
    const {
      MAX_FRAME, MAX_HELD_BYTES, MAX_PEER_BYTES, MAX_PEER_INBOUND, MAX_QUEUED_BYTES, MAX_REMEMBERED_LINKS, MAX_REQUESTS, MAX_TOTAL_BYTES
    } = graphsyncConstants
    deepEqual(optionsOf(text), {
      maxInboundRequests: MAX_REQUESTS, maxOutboundRequests: MAX_REQUESTS, maxPeerBytes: MAX_PEER_BYTES, maxTotalBytes: MAX_TOTAL_BYTES
    })
    for (const phrase of [
      `a frame of ${mebibytes(MAX_FRAME)}`, `frames have at most ${mebibytes(MAX_FRAME)}`, `last ${number(MAX_REMEMBERED_LINKS)} links`,
      `of a peer ${mebibytes(MAX_PEER_INBOUND)} together`, `holds ${mebibytes(MAX_QUEUED_BYTES)}`, `more than ${mebibytes(MAX_HELD_BYTES)}`,
      `default ${mebibytes(MAX_PEER_BYTES)}`
    ]) { ok(text.includes(phrase), phrase) }
  })
})
