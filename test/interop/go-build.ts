import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { access, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const CACHE = resolve(import.meta.dirname, '../../.cache/go')
const BUILD_TIMEOUT = 600_000

/** The Go peers, and the toolchain that each needs: quic-go of v0.4.0 refuses to run on Go from 1.21 on. */
export const GO_PEERS = {
  v040: { dir: join(import.meta.dirname, 'go/v040'), toolchain: 'go1.20.14' },
  v078: { dir: join(import.meta.dirname, 'go/v078'), toolchain: undefined }
} as const

/** Plain graphsync and data transfer, without dagsync. */
export const GO_TRANSFER = { dir: join(import.meta.dirname, 'go/graphsync'), toolchain: 'go1.20.14' } as const

export type GoVersion = keyof typeof GO_PEERS
export const goVersions: readonly GoVersion[] = ['v078', 'v040']

const go = async (dir: string, toolchain: string | undefined, args: string[]): Promise<string> => {
  const env = { ...process.env, GOTOOLCHAIN: toolchain ?? 'auto', GOFLAGS: '-buildvcs=false', GOWORK: 'off' }
  return (await run('go', args, { cwd: dir, env, timeout: BUILD_TIMEOUT, maxBuffer: 1 << 24 })).stdout.trim()
}

/** Whether there is a Go to build with. */
export async function haveGo (): Promise<boolean> {
  return await run('go', ['version'], { timeout: 60_000 }).then(() => true, () => false)
}

/** The versions of Go and of the modules that the program in `dir` names. */
export async function versionsOf (dir: string, toolchain?: string): Promise<string> {
  const direct = '{{if and (not .Indirect) (not .Main) (not .Replace)}}{{.Path}}@{{.Version}}{{end}}'
  const [version, modules] = await Promise.all([go(dir, toolchain, ['env', 'GOVERSION']), go(dir, toolchain, ['list', '-m', '-f', direct, 'all'])])
  return [version, ...modules.split('\n').filter(line => line !== '')].join(' ')
}

/**
 * Builds the Go program in `dir` and gives the path of the binary, which is kept in .cache/go under the hash of its sources
 * (those of modules that go.mod replaces by a folder too).
 */
export async function buildGo (dir: string, toolchain?: string): Promise<string> {
  const out = join(CACHE, await hashSources(dir, toolchain))
  if (await access(out).then(() => true, () => false)) { return out }
  await mkdir(CACHE, { recursive: true })
  const mine = `${out}.${process.pid}` // two may build at once
  try {
    await go(dir, toolchain, ['build', '-trimpath', '-mod=readonly', '-o', mine, '.'])
    await rename(mine, out)
  } finally {
    await rm(mine, { force: true })
  }
  return out
}

async function hashSources (dir: string, toolchain: string | undefined): Promise<string> {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch} ${toolchain}\n`)
  const mod = await readFile(join(dir, 'go.mod'), 'utf8')
  const local = [...mod.matchAll(/=>\s*(\.\.?\/\S+)/g)].map(([, path]) => resolve(dir, path))
  for (const folder of [dir, ...local]) {
    const files = (await readdir(folder)).filter(name => /\.go$|^go\.(mod|sum)$/.test(name)).sort()
    for (const name of files) {
      hash.update(`${name}\n`).update(await readFile(join(folder, name)))
    }
  }
  return hash.digest('hex').slice(0, 32)
}
