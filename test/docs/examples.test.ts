import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'

const run = promisify(execFile)

describe('the examples', { timeout: 120_000 }, () => {
  it('publisher.js is synced by subscriber.js', async () => {
    const publisher = spawn(process.execPath, ['examples/publisher.js', '127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      const [address] = await once(publisher.stdout.setEncoding('utf8'), 'data')
      const { stdout, stderr } = await run(process.execPath, ['examples/subscriber.js', address.trim()], { timeout: 30_000 })
      assert.equal(stderr, '')
      assert.match(stdout, /^bagu\w+ \{\s+PreviousID: CID\(bagu\w+\),\s+hello: 'again'\s+\}\n/)
      assert.match(stdout, /^bagu\w+ \{ hello: 'world' \}\nin step with bagu\w+\n$/m)
    } finally {
      publisher.kill()
      await once(publisher, 'exit')
    }
  })

  it('http-announce.js ends with the block at the indexer', async () => {
    const { stdout, stderr } = await run(process.execPath, ['examples/http-announce.js'], { timeout: 30_000 })
    assert.equal(stderr, '')
    assert.match(stdout, /^the indexer has bagu\w+, 1 block\n$/)
  })

  for (const [transport, options, address] of [['dtsync', [], /at \/ip4\/127.0.0.1\/tcp\/\d+$/m], ['HTTP', ['--http'], /at \S+\/http$/m]] as const) {
    it(`main-job over ${transport}: the subscriber follows to the end of the chain`, async () => {
      const { stdout, stderr } = await run(process.execPath, ['examples/main-job/main.js', ...options], { timeout: 100_000 })
      assert.equal(stderr, '')
      assert.match(stdout, address)
      assert.match(stdout, /^done: 600 blocks, \d{6} bytes, \d+\.\d\d s$/m)
    })
  }

  it('main-job fails when one of the two processes does', async () => {
    const { code, stderr } = await run(process.execPath, ['examples/main-job/main.js'], {
      timeout: 100_000, env: { ...process.env, NODE_OPTIONS: '--import=data:text/javascript,if(process.send)throw%20new%20Error("broken")' }
    }).then(() => assert.fail('it did not fail'), error => error)
    assert.equal(code, 1)
    assert.match(stderr, /^failed: .*publisher\.js ended with code 1$/m)
  })
})
