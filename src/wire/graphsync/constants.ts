// Numbers and names of graphsync 2.0.0, as go-graphsync v0.14.7 has them where nothing else is said.

/** The only protocol id that is spoken; 1.x was protobuf. */
export const GRAPHSYNC_PROTOCOL = '/ipfs/graphsync/2.0.0'

/** Status codes of responses: below 20 it goes on, from 20 on it is over. */
export const GraphsyncStatus = Object.freeze({
  acknowledged: 10,
  additionalPeers: 11,
  notEnoughGas: 12,
  otherProtocol: 13,
  partial: 14,
  paused: 15,
  completedFull: 20,
  completedPartial: 21,
  rejected: 30,
  busy: 31,
  failed: 32,
  legal: 33,
  notFound: 34,
  cancelled: 35
})

/** An int: the first n blocks of the walk are not sent, their metadata is. */
export const DO_NOT_SEND_FIRST_BLOCKS = 'graphsync/do-not-send-first-blocks'

/** A list of links that are not sent. */
export const DO_NOT_SEND_CIDS = 'graphsync/do-not-send-cids'

/** A string: blocks that were sent are remembered for the requests that have the same one. */
export const DEDUP_BY_KEY = 'graphsync/dedup-by-key'

/** What Go takes in one frame, without its length. Go: network.MaxMessageSize by msgio. */
export const MAX_FRAME = 4 * 1024 * 1024

/** Bytes of blocks in one message, a single bigger block excepted. Go: messagequeue's maxBlockSize. */
export const MAX_MESSAGE_BLOCKS = 512 * 1024

/** Requests in progress each way. go-libipni: dagsync/dtsync sets it, WithMaxGraphsyncRequests. */
export const MAX_REQUESTS = 1024

/** How long a peer may take nothing of what is written to it. Go: sendMessageTimeout. */
export const WRITE_TIMEOUT = 10 * 60_000

/** For one try to connect and to open a stream; Go has 10 minutes. */
export const OPEN_TIMEOUT = 30_000

/** Tries to send one message, on a new stream each; Go has 10. */
export const SEND_TRIES = 3

/** Between two tries. */
export const RETRY_DELAY = 100

/**
 * Bytes of responses that wait for one peer, before the walks for it stop. Go has 16 MiB; more than the muxer takes at once gains
 * nothing.
 */
export const MAX_PEER_BYTES = 2 * 1024 * 1024

/**
 * The same for all peers together; as Go. When half of it is taken the rest is shared out, so that peers who take nothing do not stop
 * the others. A block may be over it for each peer.
 */
export const MAX_TOTAL_BYTES = 256 * 1024 * 1024

/** What one peer gets of the rest at most. */
export const MAX_SHARE_BYTES = 256 * 1024

/** Bytes of blocks that a request holds and nobody has walked yet, before the peer is held back. */
export const MAX_QUEUED_BYTES = 1024 * 1024

/** Links that a request holds and nobody has walked yet. */
export const MAX_QUEUED_LINKS = 16_384

/** How often that, while it makes room by itself: a store that is slow for one request must not stop others at once. */
export const OVERFULL = 8

/** Steps that may be ahead of a consumer who waits for another request of the same peer. */
export const MAX_AHEAD = 1 << 20

/** Own requests that ended before the peer said so, which are remembered for one peer. */
export const MAX_UNSETTLED = 64

/** Unfinished frames of one peer, over all of its streams. */
export const MAX_PEER_INBOUND = 16 * 1024 * 1024

/** Streams that one peer may have open to us on one connection. One is usual; some send each message on its own. */
export const MAX_INBOUND_STREAMS = 256

/** Waiting requests of one peer, beyond which no more of it is read until some are served. */
export const MAX_WAITING_REQUESTS = 2048
export const MAX_WAITING_BYTES = 2 * 1024 * 1024

/** The same while an own request waits for the peer; of bytes MAX_HELD_BYTES. */
export const MOST_WAITING_REQUESTS = 8 * MAX_WAITING_REQUESTS

/** The same for all requests of one peer that are not over: they are kept until then. */
export const MAX_HELD_BYTES = 16 * 1024 * 1024

/** Sent links that are remembered for one peer, its keys share them; older ones may be sent twice. Go remembers all. */
export const MAX_REMEMBERED_LINKS = 16_384

/** However many keys the peer has. */
export const LEAST_REMEMBERED_LINKS = 64
