import { spawnSync } from 'node:child_process'

/** A line of what bench/walk.ts prints. */
export interface WalkFigures { codec: string, selector: string, hashed: boolean, bytes: number, blocksPerSecond: number }

const TIMEOUT = 300_000

/** Runs bench/walk.ts in a process of its own. */
export function benchWalk (): WalkFigures[] {
  const { stdout, status, error } = spawnSync(process.execPath, ['--conditions=dagsync-source', `${import.meta.dirname}/walk.ts`], {
    encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], timeout: TIMEOUT
  })
  if (status !== 0) { throw new Error('bench/walk.ts failed', { cause: error }) }
  return stdout.split('\n').filter(line => line.startsWith('{')).map(line => JSON.parse(line))
}
