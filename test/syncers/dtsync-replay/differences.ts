// Where our subscriber does otherwise than Go's, on purpose.

export interface Difference {
  /** Each one in the words of docs/PARITY.md. */
  parity: string[]

  /** The name of our error; undefined: we succeed. */
  error?: string

  /** Hook calls and stored blocks, made of Go's. */
  hook?: (go: string[]) => string[]
  stored?: (go: string[], hook: string[]) => string[]

  /** Messages of graphsync and of data transfer, made of Go's. */
  requests?: (go: string[]) => string[]
  transfers?: (go: string[]) => string[]
}

type Change = (go: string[]) => string[]

const and = (...more: string[]): Change => go => [...go, ...more]
const without = (...less: string[]): Change => go => go.filter(one => !less.includes(one))

const SUCCEEDED = 'A sync has succeeded when all blocks are stored'
const ABORT = 'An abort goes over the wire'
const STOP = 'stop() ends transfers on both wires'
const FAILED = 'A pull that fails is cancelled on both wires'
const LATE_CANCEL = 'not at a publisher that has told its last status'
const SILENT = 'A publisher that goes silent, or ends by itself,'
const RESUMED = 'the hook is called once for each block'
const DEDUP = 'only beside another request to the same publisher'
const CLASS = 'A block that the publisher says it has, and does not send,'

/** The first request and its transfer are given up, on both wires. */
const GIVEN_UP = { requests: and('cancel 0'), transfers: and('Cancel 0') }
const NO_LATE_CANCEL = { parity: [LATE_CANCEL], error: 'TransferFailedError', requests: without('cancel 0') }

const KEYED = ' with graphsync/dedup-by-key'

export const DIFFERENT: Record<string, Difference> = {
  'no-complete': { parity: [SUCCEEDED], error: undefined, transfers: without('Cancel 0') },
  'missing-leaf-local': { parity: [SUCCEEDED], error: undefined, transfers: without('Cancel 0') },
  'accept, no complete': { parity: [SUCCEEDED], error: undefined },

  'cancel-channel': { parity: [ABORT], error: 'Aborted' },
  'cancel-ctx': { parity: [ABORT], error: 'Aborted', stored: (_, hook) => hook, ...GIVEN_UP },
  'sync-close': { parity: [STOP], error: 'TransferFailedError', transfers: and('Cancel 0') },

  'dt rejected': { parity: [FAILED], error: 'TransferRejectedError', requests: and('cancel 0') },
  'dt cancel response': { parity: [FAILED], error: 'TransferFailedError', requests: and('cancel 0') },
  'wrong transfer id': NO_LATE_CANCEL,
  'blocks after metadata': NO_LATE_CANCEL,
  'blocks before metadata': NO_LATE_CANCEL,
  'blocks without metadata': { ...NO_LATE_CANCEL, error: 'ContentNotFoundError' },
  'wrong order': NO_LATE_CANCEL,
  'wrong root': NO_LATE_CANCEL,

  // Go's tests ended these after 4 s; Go waits on
  'frame too large': { parity: [SILENT, FAILED], error: 'TransferFailedError', ...GIVEN_UP },
  'undecodable message': { parity: [SILENT, FAILED], error: 'TransferFailedError', ...GIVEN_UP },
  'status 10 after accept': { parity: [SILENT, FAILED], error: 'StalledError', ...GIVEN_UP },
  'status 15 after accept': { parity: [SILENT, FAILED], error: 'StalledError', ...GIVEN_UP },
  'status 35 after accept': { parity: [SILENT], error: 'TransferFailedError' },
  'reset of the response stream': {
    parity: [SILENT, FAILED, DEDUP],
    error: 'TransferFailedError',
    requests: and('cancel 0', `new 1${KEYED}`, 'cancel 1'), // the restart that Go makes after 10 s
    transfers: and('probe', 'Cancel 0')
  },

  restart: {
    parity: [RESUMED, DEDUP],
    error: undefined,
    hook: go => [...go.slice(0, 2), ...go.slice(4)],
    requests: go => go.map(request => request.replace('new 1', `new 1${KEYED}`))
  },
  'dedup-key': { parity: [DEDUP], error: undefined, requests: go => go.map(request => request.replace(KEYED, '')) },
  'duplicate action but not local': { parity: [CLASS], error: 'TransferFailedError' }
}
