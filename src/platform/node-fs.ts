/**
 * `node:fs` without its ES module facade, as ./node-http.ts has `node:http`: among the exports that an import reads is
 * `fs.promises`, which loads streams and web streams. 2 MB of resident memory in the arbiter, 1 MB in a worker
 * (docs/decisions/0002-memory.md).
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

/** The whole of a text file, without holding up the event loop. `fs.promises` is loaded by the first call. */
export function readFile(path: string): Promise<string> {
  return fs.promises.readFile(path, 'utf8');
}
