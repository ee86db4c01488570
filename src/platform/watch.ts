/**
 * Watches the source files below a directory, for development. A directory at a time, since the recursive fs.watch() of
 * Node.js on Linux would also follow every directory of node_modules.
 */
import type { FSWatcher } from 'node:fs';
import { extname, join } from 'node:path';
import { readdirSync, statSync, watch } from './node-fs.ts';

/** An editor writes a file in several steps, and a formatter or a checkout many files: their last event counts. */
const QUIET_MS = 100;
/** Who writes without a pause is heard after this long nevertheless. */
const PATIENCE_MS = 500;

/** What modules are made of, and what they read when they are loaded. Not what apps write: databases, uploads, logs. */
const SOURCES = new Set(
  '.js .mjs .cjs .jsx .ts .mts .cts .tsx .json .node .wasm .html .ejs .hbs .pug .njk .graphql .sql .yaml .yml'.split(
    ' ',
  ),
);

export interface WatchOptions {
  readonly directory: string;
  /** Absolute paths of files that say nothing, as the server's own logs. */
  readonly ignore: ReadonlySet<string>;
  /** Called once for a burst of changes, with the paths. */
  readonly changed: (files: readonly string[]) => void;
  /** A directory cannot be watched. */
  readonly failed: (directory: string, error: NodeJS.ErrnoException) => void;
}

/** Watches until the returned function is called. */
export function watchSources(options: WatchOptions): () => void {
  const watched = new SourceWatch(options);
  watched.add(options.directory);
  return () => watched.close();
}

/** What tells one state of a file from another. */
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

  /** Watches `directory` and all below. Returns the files that were found. */
  add(directory: string): string[] {
    // First to watch and then to look: what happens in between is seen twice rather than never.
    if (!this.#watch(directory)) return [];
    return this.#look(directory);
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const directory of [...this.#watchers.keys()]) this.#forget(directory);
  }

  #watch(directory: string): boolean {
    try {
      const watcher = watch(directory, { persistent: false }, () => this.#touch(directory));
      watcher.on('error', () => this.#touch(directory)); // it is gone, as the next look will find
      this.#watchers.set(directory, watcher);
      return true;
    } catch (error) {
      const gone = (error as NodeJS.ErrnoException).code === 'ENOENT';
      if (!gone) this.#options.failed(directory, error as NodeJS.ErrnoException);
      return false;
    }
  }

  #touch(directory: string): void {
    const now = performance.now();
    if (this.#touched.size === 0) this.#touchedAt = now;
    this.#touched.add(directory);
    clearTimeout(this.#timer);
    const patience = this.#touchedAt + PATIENCE_MS - now;
    this.#timer = setTimeout(() => this.#settle(), Math.max(0, Math.min(QUIET_MS, patience)));
  }

  #settle(): void {
    const directories = [...this.#touched];
    this.#touched.clear();
    const files = directories.flatMap((directory) => (this.#watchers.has(directory) ? this.#look(directory) : []));
    if (files.length > 0) this.#options.changed([...new Set(files)]);
  }

  /** Looks at the files of a directory, and adds directories that are new. Returns what changed. */
  #look(directory: string): string[] {
    const before = this.#known.get(directory) ?? new Map<string, Stamp>();
    const after = new Map<string, Stamp>();
    const changed: string[] = [];
    this.#known.set(directory, after);
    for (const entry of entriesOf(directory)) {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) {
        if (!isIgnored(entry.name) && !this.#watchers.has(path)) changed.push(...this.add(path));
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
    return []; // it went, or may not be read: no sources
  }
}

function isIgnored(directory: string): boolean {
  return directory === 'node_modules' || directory.startsWith('.');
}

/** `.env` and its variants count; other hidden files are editors' own, such as swap files. */
function isSource(name: string): boolean {
  return name.startsWith('.') ? /^\.env(\.|$)/.test(name) : SOURCES.has(extname(name).toLowerCase());
}

function stampOf(path: string): Stamp | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat?.isFile() ? `${stat.mtimeMs} ${stat.size} ${stat.ino}` : undefined;
}
