/**
 * @packageDocumentation
 *
 * What the tests of this package use, for the tests of its users: chains, publishers and subscribers in one process, and a
 * publisher that misbehaves. Node only.
 */

export { DagsyncError, InvalidOptionError } from '../shared/errors.ts'
export { chain, type ChainOptions } from './chain.ts'
export {
  FaultyPublisher, type Fault, type FaultScript, type FaultyPublisherComponents, type FaultyPublisherInit, type FaultyRequest
} from './faulty-publisher.ts'
export { TestNet, type TestPublisher, type TestPublisherInit, type TestSubscriberInit } from './test-net.ts'
