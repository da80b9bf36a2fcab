import { Skeleton, TEXT } from './skeleton.ts'

/** A raw block is bytes, without links. */
export class RawScanner extends Skeleton {
  protected read (): void {
    this.scalar(TEXT)
  }

  protected inOrder (): boolean {
    return true
  }

  protected keyName (): string {
    return ''
  }
}
