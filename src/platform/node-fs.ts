/**
 * `node:fs` without its ES module facade, which reads every export. `fs.promises` among them loads streams and web
 * streams: 2 MB of resident memory in the arbiter, 1 MB in a worker (docs/decisions/0002-memory.md).
 */
const fs = process.getBuiltinModule('node:fs');

export const {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fchownSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
  statSync,
  unlinkSync,
  watch,
  write,
  writeFileSync,
  writeSync,
} = fs;

/** A text file, read without blocking the event loop. The first call loads `fs.promises`. */
export function readFile(path: string): Promise<string> {
  return fs.promises.readFile(path, 'utf8');
}
