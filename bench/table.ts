/** A row a line, the columns as wide as they need to be. */
export function table (header: string[], rows: string[][]): string {
  const widths = header.map((_, i) => Math.max(...[header, ...rows].map(row => row[i].length)))
  const line = (cells: string[]): string => `| ${cells.map((cell, i) => cell.padEnd(widths[i])).join(' | ')} |`
  return [line(header), line(widths.map(width => '-'.repeat(width))), ...rows.map(line)].join('\n')
}

export function median (values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** min / median / max */
export function spread (values: number[], digits = 0): string {
  return [Math.min(...values), median(values), Math.max(...values)].map(value => value.toFixed(digits)).join(' / ')
}

export const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1)
export const times = (ratio: number): string => `${ratio.toFixed(2)} x`
