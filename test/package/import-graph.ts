import { readFileSync, statSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import ts from 'typescript'

/** What a bundler for browsers would load, and what it could not. */
export interface ImportGraph {
  files: Set<string>
  packages: Set<string>

  /** Imports of modules that Node has built in, as 'file imports name'. */
  builtins: string[]
}

interface Manifest {
  name: string
  main?: string
  module?: string
  browser?: string | Record<string, string | false>
  exports?: unknown
  imports?: Record<string, unknown>
}

const BUILTINS = new Set(builtinModules)

/** Follows every import, dynamic ones too, from a file on; conditions as a bundler for browsers has them. */
export function importGraph (entry: string, conditions = ['browser', 'import', 'module', 'default']): ImportGraph {
  const graph: ImportGraph = { files: new Set(), packages: new Set(), builtins: [] }
  const pending = [resolve(entry)]
  for (let file = pending.pop(); file != null; file = pending.pop()) {
    if (graph.files.has(file)) { continue }
    graph.files.add(file)
    graph.packages.add(packageOf(file).manifest.name)
    for (const { fileName } of ts.preProcessFile(readFileSync(file, 'utf8'), true, true).importedFiles) {
      const target = resolveImport(fileName, file, conditions)
      if (target === 'builtin') { graph.builtins.push(`${file} imports ${fileName}`) } else if (target !== 'none') { pending.push(target) }
    }
  }
  return graph
}

function resolveImport (name: string, from: string, conditions: string[]): string {
  const { folder, manifest } = packageOf(from)
  const replaced = typeof manifest.browser === 'object' ? manifest.browser[name] : undefined
  if (replaced === false) { return 'none' }
  if (replaced != null) { return resolveImport(replaced, from, conditions) }
  if (name.startsWith('.')) { return withBrowserField(asFile(resolve(dirname(from), name)), folder, manifest) }
  if (name.startsWith('#')) { return resolveTarget(manifest.imports?.[name], conditions, folder, name) }
  if (name.startsWith('node:') || BUILTINS.has(name)) { return 'builtin' }
  const [packageName] = /^(@[^/]+\/)?[^/]+/.exec(name) ?? [name]
  const subpath = `.${name.slice(packageName.length)}`
  const found = findPackage(packageName, from)
  if (found.manifest.exports == null) {
    const { browser, module, main = 'index.js' } = found.manifest
    const index = typeof browser === 'string' ? browser : (module ?? main)
    return withBrowserField(asFile(join(found.folder, subpath === '.' ? index : subpath)), found.folder, found.manifest)
  }
  const file = resolveTarget(lookUp(found.manifest.exports, subpath), conditions, found.folder, name)
  return withBrowserField(file, found.folder, found.manifest)
}

function lookUp (exports: unknown, subpath: string): unknown {
  if (typeof exports !== 'object' || exports == null || !Object.keys(exports).some(key => key.startsWith('.'))) {
    return subpath === '.' ? exports : undefined
  }
  const map = exports as Record<string, unknown>
  if (subpath in map) { return map[subpath] }
  for (const [key, target] of Object.entries(map)) {
    const [before, after] = key.split('*')
    if (after == null || !subpath.startsWith(before) || !subpath.endsWith(after)) { continue }
    const middle = subpath.slice(before.length, subpath.length - after.length)
    return JSON.parse(JSON.stringify(target).replaceAll('*', middle))
  }
  return undefined
}

function resolveTarget (target: unknown, conditions: string[], folder: string, name: string): string {
  if (typeof target === 'string') { return target.startsWith('.') ? join(folder, target) : 'none' }
  if (target === null) { return 'none' }
  for (const [condition, inner] of Object.entries(target ?? {})) {
    if (conditions.includes(condition)) { return resolveTarget(inner, conditions, folder, name) }
  }
  throw new Error(`${name} is not exported by ${folder} under ${conditions.join(', ')}`)
}

/** Packages older than conditional exports list, file by file, what a browser has in place of it. */
function withBrowserField (file: string, folder: string, { browser }: Manifest): string {
  if (typeof browser !== 'object') { return file }
  for (const [from, to] of Object.entries(browser)) {
    if (from.startsWith('.') && join(folder, from) === file) { return to === false ? 'none' : join(folder, to) }
  }
  return file
}

function asFile (path: string): string {
  for (const candidate of [path, `${path}.js`, `${path}.mjs`, `${path}.cjs`, join(path, 'index.js')]) {
    if (statSync(candidate, { throwIfNoEntry: false })?.isFile() === true) { return candidate }
  }
  throw new Error(`there is no file ${path}`)
}

function packageOf (file: string): { folder: string, manifest: Manifest } {
  for (let folder = dirname(file); folder !== dirname(folder); folder = dirname(folder)) {
    const manifest = read(join(folder, 'package.json'))
    if (manifest?.name != null) { return { folder, manifest } }
  }
  throw new Error(`${file} belongs to no package`)
}

function findPackage (name: string, from: string): { folder: string, manifest: Manifest } {
  for (let folder = dirname(from); folder !== dirname(folder); folder = dirname(folder)) {
    const manifest = read(join(folder, 'node_modules', name, 'package.json'))
    if (manifest != null) { return { folder: join(folder, 'node_modules', name), manifest } }
  }
  throw new Error(`${name}, imported by ${from}, is not installed`)
}

const manifests = new Map<string, Manifest | undefined>()

function read (path: string): Manifest | undefined {
  if (!manifests.has(path)) {
    manifests.set(path, statSync(path, { throwIfNoEntry: false }) == null ? undefined : JSON.parse(readFileSync(path, 'utf8')))
  }
  return manifests.get(path)
}
