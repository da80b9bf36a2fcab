// Numbers and names that rooms share; each with where it comes from.

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

/** Go: defaultAddrTTL, dagsync/option.go. */
export const ADDR_TTL = 48 * HOUR

/** Go: defaultIdleHandlerTTL, dagsync/option.go. */
export const IDLE_HANDLER_TTL = HOUR

/** Go: defaultHttpTimeout, dagsync/option.go. */
export const HTTP_TIMEOUT = 10 * SECOND

/** Ours; Go repeats nothing by default. */
export const HTTP_RETRY = Object.freeze({ retries: 3, minDelay: 200, maxDelay: 10 * SECOND })

/** 4 MiB: what graphsync peers take in one frame, and what the IPNI spec suggests for HTTP. */
export const MAX_BLOCK_SIZE = 4 * 1024 * 1024

/** Go v0.7.8 has 1 (MaxAsyncConcurrency); indexers set it to 32 to 64. */
export const MAX_ASYNC_SYNCS = 64

/** Ours: what one subscriber's syncs fetch ahead; half of the connections to one host (64), and a few blocks of the largest size. */
export const PREFETCH = Object.freeze({ requests: 32, bytes: 16 * 1024 * 1024 })

/** Ours: chains of entries at once in one call; Go has none. */
export const ENTRIES_CONCURRENCY = 16

/** Ours; Go has no limit. A HAMT of sha2-256 with 8 children a node, the fewest that IPLD's HashMap allows, is 86 deep. */
export const HAMT_DEPTH_LIMIT = 128

/**
 * Ours; Go has no limit. In a HAMT a block stands for a part of the hashes of its keys, so that none comes twice; one which links to
 * the same children again and again has 2^depth ways.
 */
export const HAMT_REPEAT_LIMIT = 65_536

/** Ours; Go has no limit. Advertisements may share their entries; some 50 blocks with two links each to the next have 2^50 ways. */
export const REPEAT_LIMIT = 1_048_576

/** Ours: every sync ends. */
export const STALL_TIMEOUT = MINUTE

/** dtsync asks for many blocks at once, and is several times as fast as one request for each. Go has no choice: each version has one. */
export const TRANSPORTS = Object.freeze(['http', 'dtsync', 'ipnisync'] as const)

/** Announcements over gossip: gossipsub's own limit for a message. */
export const MAX_ANNOUNCE_SIZE = 1024 * 1024

/** In one message, as Go: cbor-gen. */
export const MAX_MESSAGE_ADDRS = 8192

/** Ours; of more that are announced the first ones are taken. Go takes all. */
export const MAX_ANNOUNCE_ADDRS = 64

/** Seen CIDs that are remembered per publisher. Go: announceCacheSize, announce/receiver.go, for all of them together. */
export const ANNOUNCE_CACHE_SIZE = 64

/** Ours: publishers whose seen CIDs a receiver remembers, and that may have an announce waiting; with so many a hint is not taken. */
export const MAX_ANNOUNCE_PUBLISHERS = 1_024

/** Go: announce/httpsender, defaultTimeout; for all senders here. */
export const ANNOUNCE_TIMEOUT = MINUTE

/** Go: announce/httpsender.DefaultAnnouncePath. */
export const DEFAULT_ANNOUNCE_PATH = '/announce'

/** Go v0.7.8: ipnisync.IPNIPath. */
export const IPNI_PATH = '/ipni/v1/ad'

/** HTTP over libp2p streams. Go: libp2phttp.ProtocolIDForMultistreamSelect. */
export const HTTP_STREAM_PROTOCOL = '/http/1.1'

/** Go v0.7.8: ipnisync.CidSchemaHeader. */
export const CID_SCHEMA_HEADER = 'Ipni-Cid-Schema-Type'

/** Where a datastore keeps what is ours. */
export const DATASTORE_PREFIX = '/dagsync/v1'

/** Sent with every HTTP request; the version of package.json, which a test compares. */
export const USER_AGENT = 'dagsync/0.1.0'
