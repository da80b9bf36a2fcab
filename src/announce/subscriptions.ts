import type { PubSub } from '../shared/types.ts'

interface Subscription { users: number, ours: boolean }

/** Subscriptions belong to the node, and several receivers may be on it. */
const subscriptions = new WeakMap<PubSub, Map<string, Subscription>>()

/**
 * Subscribes to a topic, unless the node is subscribed already. Gives the function that ends it, to be called once: the last user
 * unsubscribes, and only from what was subscribed here. Throws what the service throws, e.g. when it is not started.
 */
export function subscribe (pubsub: PubSub, topic: string): () => void {
  const topics = subscriptions.get(pubsub) ?? new Map<string, Subscription>()
  const subscription = topics.get(topic) ?? { users: 0, ours: false }
  if (!pubsub.getTopics().includes(topic)) {
    pubsub.subscribe(topic)
    subscription.ours = true
  }
  subscription.users++
  subscriptions.set(pubsub, topics.set(topic, subscription))

  return () => {
    if (--subscription.users > 0) { return }
    topics.delete(topic)
    if (!subscription.ours) { return }
    try {
      pubsub.unsubscribe(topic)
    } catch {
      // the service is stopping, and forgets it by itself
    }
  }
}

/** Subscribes again to what a service has forgotten, as gossipsub does when its node is stopped. Throws as subscribe() does. */
export function subscribeAgain (pubsub: PubSub): void {
  for (const [topic, subscription] of subscriptions.get(pubsub) ?? []) {
    if (pubsub.getTopics().includes(topic)) { continue }
    pubsub.subscribe(topic)
    subscription.ours = true
  }
}
