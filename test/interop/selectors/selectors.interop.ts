import { deepEqual, ok } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
import * as dagJson from '@ipld/dag-json'
import type { CID } from 'multiformats/cid'
import { parseSelector, walk } from '../../../src/traversal/index.ts'
import { buildGo, versionsOf } from '../go-build.ts'
import { generate, Random } from './generate.ts'
import type { Case } from './generate.ts'

const TOOLCHAIN = 'go1.20.14'
const CASES = Number(process.env.SELECTOR_CASES ?? 10_000)
const FIRST_SEED = Number(process.env.SELECTOR_SEED ?? 1)
const MAX_LOADS = 200

/** Go's decoder of dag-json forgets an error in a map key and goes on with the key before it, or with none. Here it is refused. */
const LOST_ERRORS = /dag-json: (map key is no string|control character in a string|bad escape in a string)/

interface Answer { loads: string[], success: boolean, cut?: boolean, error?: string }

/** The Go program: one case in, one answer out. */
class GoWalker {
  readonly #process
  readonly #answers: AsyncIterator<string>

  constructor (path: string) {
    this.#process = spawn(path, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#answers = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]()
  }

  async walk ({ selector, root, blocks }: Case, skip: boolean): Promise<Answer> {
    const encoded = Object.fromEntries([...blocks].map(([cid, bytes]) => [cid, Buffer.from(bytes).toString('base64')]))
    this.#process.stdin.write(`${JSON.stringify({ selector, root: root.toString(), blocks: encoded, skip, maxLoads: MAX_LOADS })}\n`)
    return JSON.parse((await this.#answers.next()).value)
  }

  async stop (): Promise<void> {
    this.#process.stdin.end()
    if (this.#process.exitCode == null) { await once(this.#process, 'exit') }
  }
}

async function walkHere ({ selector, root, blocks }: Case, skip: boolean): Promise<Answer> {
  const loads: string[] = []
  const load = (cid: CID): Uint8Array => {
    const bytes = blocks.get(cid.toString())
    if (bytes == null) { throw Object.assign(new Error('not found'), { name: 'NotFoundError' }) }
    if (loads.length === MAX_LOADS) { throw new Error('enough loads') }
    loads.push(cid.toString())
    return bytes
  }
  try {
    const compiled = parseSelector(dagJson.decode(new TextEncoder().encode(selector)))
    for await (const { cid } of walk(root, compiled, load, { onMissing: skip ? 'skip' : 'throw' })) { ok(cid) }
    return { loads, success: true }
  } catch (error: any) {
    return { loads, success: false, cut: error.message === 'enough loads', error: `${error.name}: ${error.message}` }
  }
}

describe('walks against go-ipld-prime', () => {
  let go: GoWalker

  before(async () => {
    const path = await buildGo(import.meta.dirname, TOOLCHAIN)
    console.log(await versionsOf(import.meta.dirname, TOOLCHAIN))
    go = new GoWalker(path)
  })

  after(async () => { await go.stop() })

  /** Our answer and Go's; undefined where the selector makes Go panic or run away, which ours refuses or survives. */
  async function both (it: Case, skip: boolean): Promise<[Answer, Answer] | undefined> {
    const ours = await walkHere(it, skip)
    if (ours.error?.includes('grows beyond') === true || ours.error?.includes('too much') === true) { return undefined }
    const theirs = await go.walk(it, skip)
    // a damaged link may name another hash: the walk here leaves that to load()
    return /^panic:|could not choose a hasher/.test(theirs.error ?? '') ? undefined : [ours, theirs]
  }

  it(`loads the same blocks in the same order with the same success, ${CASES} times`, async () => {
    let left = 0
    let loads = 0
    for (let seed = FIRST_SEED; seed < FIRST_SEED + CASES; seed++) {
      const it = generate(seed)
      const answers = await both(it, seed % 2 === 0)
      if (answers == null) {
        left++
        continue
      }
      const [ours, theirs] = answers
      loads += ours.loads.length
      deepEqual([ours.loads, ours.success], [theirs.loads, theirs.success], `seed ${seed}: ours ${ours.error}, Go's ${theirs.error}, ${it.selector}`)
    }
    console.log(`${CASES} cases, ${loads} loads, ${left} left out: Go panics or never ends`)
    ok(left < CASES / 20)
  })

  it('reads and refuses the same damaged blocks', async () => {
    let refused = 0
    for (let seed = FIRST_SEED; seed < FIRST_SEED + CASES / 5; seed++) {
      const it = damaged(seed)
      const answers = await both(it, true)
      if (answers == null) { continue }
      const [ours, theirs] = answers
      if (!ours.success) { refused++ }
      if (theirs.success && LOST_ERRORS.test(ours.error ?? '')) { continue }
      const bytes = Buffer.from([...it.blocks.values()].at(-1) as Uint8Array)
      deepEqual([ours.loads, ours.success], [theirs.loads, theirs.success],
        `seed ${seed}: ours ${ours.error}, Go's ${theirs.error}, ${bytes.toString('hex')} ${bytes.toString('latin1')}`)
    }
    ok(refused > CASES / 50)
  })
})

/** The root block with one byte changed, cut off, or with one byte more. */
function damaged (seed: number): Case {
  const it = generate(seed)
  const random = new Random(seed * 7 + 1)
  const bytes = it.blocks.get(it.root.toString()) as Uint8Array
  const at = random.below(bytes.length)
  const way = random.below(3)
  const other = way === 1 ? [] : [way === 0 ? random.below(256) : bytes[random.below(bytes.length)] ?? 0]
  const changed = Uint8Array.from([...bytes.slice(0, at), ...other, ...(way === 1 ? [] : bytes.slice(way === 0 ? at + 1 : at))])
  it.blocks.set(it.root.toString(), changed)
  return { ...it, selector: '{"R":{"l":{"none":{}},":>":{"a":{">":{"@":{}}}}}}' }
}
