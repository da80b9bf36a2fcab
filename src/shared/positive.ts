import { InvalidOptionError } from './errors.ts'

/** What a setTimeout() can wait, in milliseconds. */
export const LONGEST_TIMER = 2 ** 31 - 1

/** Throws InvalidOptionError. */
export function positive (field: string, value: unknown, most?: number): void {
  checkWhole(field, value, 1, most)
}

/** A whole number, of `least` to `most`. Throws InvalidOptionError. */
export function checkWhole (field: string, value: unknown, least: number, most = Number.MAX_SAFE_INTEGER): void {
  if (!Number.isSafeInteger(value) || (value as number) < least || (value as number) > most) {
    throw new InvalidOptionError(field, `must be a whole number from ${least} to ${most}`)
  }
}
