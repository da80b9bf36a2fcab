import type { PublisherComponents, PublisherInit } from '../shared/types.ts'
import { Publisher } from './publisher.ts'

/** Makes a Publisher and starts it; when that fails, what it opened is closed. Throws what the constructor and start() throw. */
export async function createPublisher (components: PublisherComponents, init?: PublisherInit): Promise<Publisher> {
  const publisher = new Publisher(components, init)
  try {
    await publisher.start()
  } catch (error) {
    await publisher.stop()
    throw error
  }
  return publisher
}
