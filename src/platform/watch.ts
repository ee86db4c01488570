/**
 * Watches the source files below a directory, for development. One watcher per directory: the recursive fs.watch() would
 * watch all of node_modules too.
 */
import type { FSWatcher } from 'node:fs';
import { extname, join } from 'node:path';
import { readdirSync, statSync, watch } from './node-fs.ts';

/** Editors write a file in several steps, and a checkout writes many files: wait until it has been quiet this long. */
const QUIET_MS = 100;
/** But no longer than this after the first change. */
const MAX_WAIT_MS = 500;

/** Modules and what they read when they load; not what apps write, such as databases, uploads and logs. */
const SOURCES = new Set(
  '.js .mjs .cjs .jsx .ts .mts .cts .tsx .json .node .wasm .html .ejs .hbs .pug .njk .graphql .sql .yaml .yml'.split(
    ' ',
  ),
);

export interface WatchOptions {
  readonly directory: string;
  /** Absolute paths, such as the server's own logs. */
  readonly ignore: ReadonlySet<string>;
  /** Called once per burst of changes, with the paths. */
  readonly changed: (files: readonly string[]) => void;
  readonly failed: (directory: string, error: NodeJS.ErrnoException) => void;
}

/** Watches until the returned function is called. */
export function watchSources(options: WatchOptions): () => void {
  const watched = new SourceWatch(options);
  watched.add(options.directory);
  return () => watched.close();
}

/** Differs between two states of a file. */
type Stamp = string;

class SourceWatch {
  readonly #options: WatchOptions;
  readonly #watchers = new Map<string, FSWatcher>();
  /** Directory → file → stamp. */
  readonly #known = new Map<string, Map<string, Stamp>>();
  readonly #touched = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #touchedAt = 0;

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  /** Watches `directory` and all below it. Returns the files found. */
  add(directory: string): string[] {
    // Watch before looking: a change in between is seen twice rather than never.
    return this.#watch(directory) ? this.#look(directory) : [];
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const directory of [...this.#watchers.keys()]) this.#forget(directory);
  }

  #watch(directory: string): boolean {
    try {
      const watcher = watch(directory, { persistent: false }, () => this.#touch(directory));
      watcher.on('error', () => this.#touch(directory)); // removed: the next look finds that out
      this.#watchers.set(directory, watcher);
      return true;
    } catch (error) {
      const failure = error as NodeJS.ErrnoException;
      if (failure.code !== 'ENOENT') this.#options.failed(directory, failure);
      return false;
    }
  }

  #touch(directory: string): void {
    const now = performance.now();
    if (this.#touched.size === 0) this.#touchedAt = now;
    this.#touched.add(directory);
    clearTimeout(this.#timer);
    const left = this.#touchedAt + MAX_WAIT_MS - now;
    this.#timer = setTimeout(() => this.#settle(), Math.max(0, Math.min(QUIET_MS, left)));
  }

  #settle(): void {
    const directories = [...this.#touched];
    this.#touched.clear();
    const files = directories.flatMap((directory) => (this.#watchers.has(directory) ? this.#look(directory) : []));
    if (files.length > 0) this.#options.changed([...new Set(files)]);
  }

  /** Compares the files of a directory with the last look, and watches new directories. Returns what changed. */
  #look(directory: string): string[] {
    const before = this.#known.get(directory) ?? new Map<string, Stamp>();
    const after = new Map<string, Stamp>();
    const changed: string[] = [];
    this.#known.set(directory, after);
    for (const entry of entriesOf(directory)) {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) {
        const skipped = entry.name === 'node_modules' || entry.name.startsWith('.');
        if (!skipped && !this.#watchers.has(path)) changed.push(...this.add(path));
        continue;
      }
      if (!isSource(entry.name) || this.#options.ignore.has(path)) continue;
      const stamp = stampOf(path);
      if (stamp === undefined) continue;
      after.set(path, stamp);
      if (before.get(path) !== stamp) changed.push(path);
    }
    for (const path of before.keys()) if (!after.has(path)) changed.push(path);
    for (const below of [...this.#watchers.keys()]) {
      if (below.startsWith(`${directory}/`) && !statSync(below, { throwIfNoEntry: false })) this.#forget(below);
    }
    return changed;
  }

  #forget(directory: string): void {
    this.#watchers.get(directory)?.close();
    this.#watchers.delete(directory);
    this.#known.delete(directory);
  }
}

function entriesOf(directory: string) {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch {
    return []; // removed, or not readable
  }
}

/** `.env` and its variants; other hidden files are editors' own, such as swap files. */
function isSource(name: string): boolean {
  return name.startsWith('.') ? /^\.env(\.|$)/.test(name) : SOURCES.has(extname(name).toLowerCase());
}

function stampOf(path: string): Stamp | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat?.isFile() ? `${stat.mtimeMs} ${stat.size} ${stat.ino}` : undefined;
}
