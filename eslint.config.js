import importX from 'eslint-plugin-import-x'
import neostandard from 'neostandard'
import tseslint from 'typescript-eslint'

// The house: a room imports from rooms to its right, from shared/ and from events/, never back (docs/ARCHITECTURE.md).
const rooms = [
  ['index.ts', 'testing'], // the front door, and the test kit beside it
  ['subscriber', 'publisher'],
  ['announce', 'syncers'],
  ['wire/data-transfer'],
  ['wire/graphsync', 'wire/http-stream'],
  ['wire/streams.ts'],
  ['traversal'],
  ['store'],
  ['events'],
  ['shared']
]

const zones = rooms.flatMap((targets, i) => targets.map(target => ({
  target: `./src/${target}`,
  from: [
    ...rooms.slice(0, i).flat(),
    ...(i > 1 ? targets.filter(other => other !== target) : [])
  ].map(room => `./src/${room}`),
  message: 'imports point to the right: docs/ARCHITECTURE.md'
}))).filter(zone => zone.from.length > 0)

export default [
  ...neostandard({ ts: true, ignores: ['dist/**', '.cache/**', 'test/vectors/**', 'test/types/consumer/**', 'test/types/api.d.ts', 'node_modules/**'] }),
  {
    files: ['src/**/*.ts', 'test/**/*.ts', 'bench/**/*.ts', 'examples/**/*.ts'],
    languageOptions: { parser: tseslint.parser, parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    plugins: { '@typescript-eslint': tseslint.plugin },
    rules: {
      '@typescript-eslint/no-floating-promises': ['error', { allowForKnownSafeCalls: [{ from: 'package', package: 'node:test', name: ['it', 'test', 'describe', 'suite'] }] }],
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/explicit-module-boundary-types': ['error', { allowArgumentsExplicitlyTypedAsAny: true }],
      'no-void': ['error', { allowAsStatement: true }],
      '@stylistic/max-len': ['error', { code: 140, ignoreUrls: true, ignoreStrings: true, ignoreTemplateLiterals: true }]
    }
  },
  {
    files: ['src/**/*.ts'],
    plugins: { 'import-x': importX },
    rules: {
      'max-lines': ['error', 350],
      'no-console': 'error',
      'import-x/no-restricted-paths': ['error', { zones }]
    }
  },
  {
    // only files named *.node.ts and the testing kit may need Node
    files: ['src/**/*.ts'],
    ignores: ['src/**/*.node.ts', 'src/testing/**'],
    rules: { 'no-restricted-imports': ['error', { patterns: [{ group: ['node:*'], message: 'browsers have no node: modules' }] }] }
  }
]
