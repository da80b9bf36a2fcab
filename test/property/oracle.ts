import type { CID } from 'multiformats/cid'
import type { Value } from '../interop/selectors/generate.ts'

// The walk as the rules say it (protocol/selectors.md), on whole nodes and with recursion: slow, and easy to compare with the text.

type Sel = any // a selector node; a running recursion is { run: its body, now: its current clause, depth }
type Seg = string | number

export class TooMuch extends Error {}

/** Looks at clauses in one walk: unions in unions double with each level. */
const MOST_WORK = 500_000
let work = 0

function count (): void {
  if (++work > MOST_WORK) { throw new TooMuch() }
}

/** The CIDs of all loads, in order, no more than `most`. */
export function naiveWalk (root: CID, selector: any, blocks: Map<string, Value>, most: number): string[] {
  const loads: string[] = []
  let steps = 0
  work = 0
  const load = (cid: CID, sel: Sel): void => {
    const block = blocks.get(cid.toString())
    if (block === undefined) { return } // skipped
    if (loads.length === most) { throw new TooMuch() }
    loads.push(cid.toString())
    visit(block, sel)
  }
  const visit = (node: Value, sel: Sel): void => {
    const segments = interests(sel)
    for (const segment of segments ?? children(node).keys()) {
      if (steps++ > 20_000) { throw new TooMuch() }
      const child = lookup(node, segment)
      if (child === undefined) { continue }
      const next = explore(sel, node, segment, child)
      if (next == null) { continue }
      if (typeof child === 'object' && child !== null && 'link' in child) { load(child.link, next) } else { visit(child, next) }
    }
  }
  try {
    load(root, start(selector))
  } catch (error) {
    if (!(error instanceof TooMuch) || loads.length < most) { throw error }
  }
  return loads
}

function start (sel: Sel): Sel {
  return 'R' in sel ? { run: sel.R, now: start(sel.R[':>']), depth: sel.R.l.depth ?? Infinity } : sel
}

function children (node: Value): Map<Seg, Value> {
  if (typeof node !== 'object' || node === null || 'link' in node || 'bytes' in node) { return new Map() }
  return new Map<Seg, Value>('map' in node ? node.map : node.list.entries())
}

function lookup (node: Value, segment: Seg): Value | undefined {
  if (typeof node !== 'object' || node === null) { return undefined }
  if ('map' in node) { return children(node).get(text(segment)) }
  return 'list' in node ? children(node).get(index(segment)) : undefined
}

function text (segment: Seg): string {
  return typeof segment === 'number' && segment < 0 ? '' : String(segment)
}

function index (segment: Seg): number {
  return typeof segment === 'number' && segment >= 0 ? segment : /^[+-]?\d+$/.test(text(segment)) ? Number(segment) : NaN
}

function fieldsOf (sel: Sel): Map<string, Sel> {
  const fields = sel.f['f>']
  return fields instanceof Map ? fields : new Map(Object.entries(fields))
}

/** Undefined: everything. */
function interests (sel: Sel): Seg[] | undefined {
  count()
  if ('a' in sel) { return undefined }
  if ('f' in sel) { return [...fieldsOf(sel).keys()] }
  if ('i' in sel) { return [sel.i.i] }
  if ('r' in sel) { return Array.from({ length: sel.r.$ - sel.r['^'] }, (_, i) => sel.r['^'] + i) }
  if ('run' in sel) { return interests(sel.now) }
  if ('R' in sel) { return interests(start(sel)) }
  if ('|' in sel) {
    const all: Array<Seg[] | undefined> = sel['|'].map(interests)
    return all.includes(undefined) ? undefined : all.flat() as Seg[]
  }
  return []
}

function explore (sel: Sel, node: Value, segment: Seg, child: Value): Sel | undefined {
  count()
  if ('a' in sel) { return start(sel.a['>']) }
  if ('f' in sel) {
    const next = fieldsOf(sel).get(text(segment))
    return next && start(next)
  }
  if ('i' in sel) { return inList(node) && index(segment) === sel.i.i ? start(sel.i['>']) : undefined }
  if ('r' in sel) { return inList(node) && index(segment) >= sel.r['^'] && index(segment) < sel.r.$ ? start(sel.r['>']) : undefined }
  if ('|' in sel) { return several(sel['|'].map((member: Sel) => explore(start(member), node, segment, child))) }
  if (!('run' in sel)) { return undefined }
  const stop = sel.run['!']?.['/']
  if (stop != null && typeof child === 'object' && child !== null && 'link' in child && child.link.equals(stop)) { return undefined }
  const found = explore(sel.now, node, segment, child)
  if (found == null) { return undefined }
  if (!edgeIn(found)) { return { ...sel, now: found } }
  if (sel.depth < 2) { return replaced(found, undefined) }
  return { ...sel, now: replaced(found, start(sel.run[':>'])), depth: sel.depth - 1 }
}

function inList (node: Value): boolean {
  return typeof node === 'object' && node !== null && 'list' in node
}

function several (found: Sel[]): Sel | undefined {
  const members = found.filter(sel => sel != null)
  if (members.length > 64) { throw new TooMuch() }
  return members.length < 2 ? members[0] : { '|': members }
}

function edgeIn (sel: Sel): boolean {
  count()
  return '@' in sel || ('|' in sel && sel['|'].some(edgeIn))
}

function replaced (sel: Sel, by: Sel | undefined): Sel | undefined {
  count()
  if ('@' in sel) { return by }
  return '|' in sel ? several(sel['|'].map((member: Sel) => replaced(member, by))) : sel
}
