import { multiaddr } from '@multiformats/multiaddr'
import { createLinkSystem, createSubscriber } from 'dagsync'

const linkSystem = createLinkSystem()
const subscriber = await createSubscriber({ linkSystem })
try {
  const head = await subscriber.sync(multiaddr(process.argv[2]), {
    async blockHook (publisher, cid) {
      console.log(`${cid}`, await linkSystem.load(cid))
    }
  })
  console.log(`in step with ${head}`)
} finally {
  await subscriber.stop()
}
