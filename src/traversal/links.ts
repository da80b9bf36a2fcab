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
    const made = this.made.get(code) ?? this.make(code)
    if (made != null) { this.made.set(code, made) }
    return made
  }

  private make (code: number): Skeleton | undefined {
    switch (code) {
      case 0x0129: return new DagJsonScanner()
      case 0x71: return new DagCborScanner()
      case 0x70: return new DagPbScanner()
      case 0x55: return new RawScanner()
    }
    const codec = this.codecs.get(code) ?? this.ask(code)
    return codec == null ? undefined : new ValueScanner(bytes => codec.decode(bytes))
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
