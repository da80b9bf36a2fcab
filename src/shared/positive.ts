import { InvalidOptionError } from './errors.ts'

/** What a setTimeout() can wait, in milliseconds. */
export const LONGEST_TIMER = 2 ** 31 - 1

/** Throws InvalidOptionError. */
export function positive (field: string, value: unknown, max = Number.MAX_SAFE_INTEGER): void {
  if (!Number.isSafeInteger(value) || (value as number) <= 0 || (value as number) > max) {
    throw new InvalidOptionError(field, `must be a whole number from 1 to ${max}`)
  }
}
