/**
 * Installs examples and Node.js releases from the registry, outside the repository. What is there stays for the next
 * run; remove the directory to start afresh.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Example, NODE_MAJORS } from './examples.ts';

const SOURCES = fileURLToPath(new URL('../../examples/', import.meta.url));
const CACHE = join(tmpdir(), 'tsunicorn-apps');
/** Written when a step is complete, with what it was made of. */
const BUILT = '.built';
const INSTALLED = '.installed';
/** What installing and building leaves in an example that was tried where it is. */
const MADE = /\/(node_modules|dist|build|\.(next|nuxt|output|svelte-kit|react-router|astro|adonisjs))$/;
/** For the longest, Next.js or three releases of Node.js, on a busy machine. */
const NPM_TIMEOUT_S = 480;

const NODES = {
  private: true,
  dependencies: Object.fromEntries(NODE_MAJORS.map((major) => [`node${major}`, `npm:node@${major}`])),
  allowScripts: { node: true }, // its install script fetches the package with the binary
};

export interface NodeRelease {
  readonly major: number;
  readonly version: string;
  readonly path: string;
}

/** The newest release of each major version; with `update` asked for again. */
export async function installNodes(update: boolean): Promise<NodeRelease[]> {
  const manifest = JSON.stringify(NODES, null, 2);
  const directory = place('node', manifest);
  writeFileSync(join(directory, 'package.json'), manifest);
  await install(directory, update);
  return NODE_MAJORS.map((major) => {
    const home = join(directory, 'node_modules', `node${major}`);
    return { major, path: join(home, 'bin/node'), version: versionIn(home) };
  });
}

/** An example as its README says: copied, installed, built. Resolves with its directory. */
export async function installExample(
  { directory: name }: Pick<Example, 'directory'>,
  update: boolean,
): Promise<string> {
  const source = join(SOURCES, name);
  const directory = place(name, readFileSync(join(source, 'package.json'), 'utf8'));
  cpSync(source, directory, { recursive: true, filter: (path) => !MADE.test(path) });
  const installed = await install(directory, update);
  const { scripts = {} } = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8'));
  const made = hash(`${installed}${contentOf(source)}`);
  if (scripts.build !== undefined && read(join(directory, BUILT)) !== made) {
    await npm(directory, 'run', 'build');
    writeFileSync(join(directory, BUILT), made);
  }
  return directory;
}

export function versionOf(directory: string, packageName: string): string {
  return versionIn(join(directory, 'node_modules', packageName));
}

function versionIn(home: string): string {
  return JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')).version;
}

/** A directory for what `manifest` asks for, instead of the ones for its predecessors. */
function place(name: string, manifest: string): string {
  mkdirSync(CACHE, { recursive: true, mode: 0o700 });
  const { uid, mode } = lstatSync(CACHE);
  // What is in it is executed.
  if (uid !== process.getuid?.() || (mode & 0o77) !== 0) throw new Error(`${CACHE} must be yours, with mode 0700`);
  const directory = `${name}-${hash(manifest)}`;
  for (const other of readdirSync(CACHE)) {
    const isPredecessor = other !== directory && other.replace(/-[0-9a-f]+$/, '') === name;
    if (isPredecessor) rmSync(join(CACHE, other), { recursive: true });
  }
  mkdirSync(join(CACHE, directory), { recursive: true });
  return join(CACHE, directory);
}

/** Resolves with what names this state of node_modules. */
async function install(directory: string, update: boolean): Promise<string> {
  const marker = join(directory, INSTALLED);
  if (update || !existsSync(marker)) {
    await npm(directory, update ? 'update' : 'install', '--no-audit', '--no-fund', '--no-package-lock');
    writeFileSync(marker, hash(read(join(directory, 'node_modules/.package-lock.json')) ?? ''));
  }
  return readFileSync(marker, 'utf8');
}

function npm(cwd: string, ...args: readonly string[]): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  // npm hands its own settings, those of the run that this test is part of, on to the next npm.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('npm_')));
  const options = { cwd, env, timeout: NPM_TIMEOUT_S * 1000, maxBuffer: 64 << 20 };
  execFile('npm', [...args, '--loglevel=error'], options, (error, stdout, stderr) => {
    if (!error) return resolve();
    const said = `${stdout}\n${stderr}`.trim().slice(-4000);
    reject(new Error(`npm ${args.join(' ')} failed in ${cwd}: ${error.message.split('\n')[0]}\n${said}`));
  });
  return promise;
}

/** Names and content of all files below `directory`. */
function contentOf(directory: string): string {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map(({ parentPath, name }) => join(parentPath, name)).sort();
  return paths.map((path) => `${path}\n${readFileSync(path, 'utf8')}`).join('\n');
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

function read(file: string): string | undefined {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}
