import type { DataTransferInit } from '../../shared/types/data-transfer.ts'

// Names and numbers of data transfer 1.2.0, as go-data-transfer v2.0.0-rc7 has them where nothing else is said.

/** The only protocol id that is spoken. One message per stream. */
export const DATA_TRANSFER_PROTOCOL = '/fil/datatransfer/1.2.0'

/** The graphsync extension that a request, and the answer to it, is in. */
export const DATA_TRANSFER_EXTENSION = 'fil/data-transfer/1.1'

/** The same answer once more; Go looks here first. */
export const INCOMING_REQUEST_EXTENSION = 'fil/data-transfer/incoming-request/1.1'

/** Types of messages. Pulls use new, cancel, complete and restart; the others are read and dropped. */
export const TransferType = Object.freeze({
  new: 0,
  update: 1,
  cancel: 2,
  complete: 3,
  voucher: 4,
  voucherResult: 5,
  restart: 6,
  restartExistingChannel: 7
})

/** A message on a stream; Go has no limit. Vouchers and selectors are small. */
export const MAX_MESSAGE = 1024 * 1024

/** Of messages that have not ended, over all streams of one peer; the stream that is over it is reset. */
export const MAX_PEER_UNFINISHED = 4 * MAX_MESSAGE

/** For reading or writing one message. Go: 10 s. */
export const MESSAGE_TIMEOUT = 10_000

/** Tries to send one message; Go: 5, with pauses of up to 125 s. */
export const SEND_TRIES = 3
export const SEND_DELAY = 500

/** What is being sent when everything ends. */
export const STOP_GRACE = 500

/** Streams that one peer may have open to us on one connection: many transfers may end at once. */
export const MAX_INBOUND_STREAMS = 256

/** Ended channels that are remembered, so that an interrupted one can be restarted and an id is not used twice. Go: all, for ever. */
export const MAX_ENDED_CHANNELS = 4096

/** Those of one peer: it must not have those of others forgotten. */
export const MAX_PEER_ENDED_CHANNELS = 512

/** The longest pause between two tries to reach a peer that was lost. */
export const MAX_RESTART_DELAY = 4_000

export const DEFAULTS: Required<DataTransferInit> = Object.freeze({
  acceptTimeout: 20_000,
  completeTimeout: 2_000,
  silenceTimeout: 10_000,
  stallTimeout: 60_000,
  restartDebounce: 1_000,
  restartTimeout: 20_000,
  restartDelay: 250,
  maxRestarts: 3,
  openTimeout: 5_000
})
