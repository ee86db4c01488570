/**
 * `node:fs` without its ES module facade, as ./node-http.ts has `node:http`: among the exports that an import reads is
 * `fs.promises`, which loads streams and web streams. 2 MB of resident memory in the arbiter, 1 MB in a worker
 * (docs/decisions/0002-memory.md).
 */
export const {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  unlinkSync,
  write,
  writeFileSync,
  writeSync,
} = process.getBuiltinModule('node:fs');
