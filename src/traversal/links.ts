import type { BlockCodec } from 'multiformats/codecs/interface'
import { UnknownCodecError } from '../shared/errors.ts'
import { DagCborScanner } from './scan-dag-cbor.ts'
import { DagJsonScanner } from './scan-dag-json.ts'
import { DagPbScanner } from './scan-dag-pb.ts'
import { RawScanner } from './scan-raw.ts'
import { ValueScanner } from './scan-value.ts'
import type { Skeleton } from './skeleton.ts'

/** Gives a codec or throws UnknownCodecError: LinkSystem.getCodec. */
export type CodecLookup = (code: number) => BlockCodec<number, any>

/** One each for all walks: a scan is over before another one begins, and a new scanner would be slow until it has seen some blocks. */
const OWN = new Map<number, Skeleton>([
  [0x0129, new DagJsonScanner()],
  [0x71, new DagCborScanner()],
  [0x70, new DagPbScanner()],
  [0x55, new RawScanner()]
])

/** What finds the links of a block, by codec. Codecs beyond the four are decoded in full. */
export class Scanners {
  private readonly made = new Map<number, Skeleton>()
  private readonly codecs = new Map<number, BlockCodec<number, any>>()

  private readonly lookup: CodecLookup | undefined

  constructor (codecs: Array<BlockCodec<number, any>> = [], lookup?: CodecLookup) {
    for (const codec of codecs) { this.codecs.set(codec.code, codec) }
    this.lookup = lookup
  }

  /** Undefined when the codec is unknown. */
  get (code: number): Skeleton | undefined {
    return OWN.get(code) ?? this.made.get(code) ?? this.make(code)
  }

  private make (code: number): Skeleton | undefined {
    const codec = this.codecs.get(code) ?? this.ask(code)
    if (codec == null) { return undefined }
    const scanner = new ValueScanner(bytes => codec.decode(bytes))
    this.made.set(code, scanner)
    return scanner
  }

  private ask (code: number): BlockCodec<number, any> | undefined {
    try {
      return this.lookup?.(code)
    } catch (error) {
      if (error instanceof UnknownCodecError) { return undefined }
      throw error
    }
  }
}
