// Loaded before every test file: what a user would see as a warning or a crash fails the tests.
process.on('warning', warning => {
  if (warning.name === 'ExperimentalWarning' && /type stripping/i.test(warning.message)) { return } // Node 22
  process.exitCode = 1
  throw warning
})
