/**
 * Watches the source files below a directory, for development. One watcher per directory: the recursive fs.watch() would
 * watch all of node_modules too.
 */
import type { FSWatcher } from 'node:fs';
import { join } from 'node:path';
import { readdirSync, statSync, watch } from './node-fs.ts';

/** Editors write a file in several steps, and a checkout writes many files: wait until it has been quiet this long. */
const QUIET_MS = 100;
/** But no longer than this after the first change. */
const MAX_WAIT_MS = 500;

/** Modules and what they read when they load; not what apps write, such as databases, uploads and logs. */
const SOURCE = /\.([cm]?[jt]s|[jt]sx|json|node|wasm|html|ejs|hbs|pug|njk|graphql|sql|ya?ml)$/i;

export interface WatchOptions {
  readonly directory: string;
  /** Absolute paths, such as the server's own logs. */
  readonly ignore: ReadonlySet<string>;
  readonly changed: (files: readonly string[]) => void;
  readonly failed: (directory: string, error: NodeJS.ErrnoException) => void;
}

export function watchSources({ directory: top, ignore, changed, failed }: WatchOptions): () => void {
  /** By directory, with the stamp of each file at the last look. */
  const watched = new Map<string, { watcher: FSWatcher; stamps: Map<string, string> }>();
  const touched = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  let firstTouch = 0;

  /** Watches `directory` and all below it. Returns the files found. */
  function add(directory: string): string[] {
    try {
      const watcher = watch(directory, { persistent: false }, () => touch(directory));
      watcher.on('error', () => touch(directory)); // removed: the next look finds that out
      watched.set(directory, { watcher, stamps: new Map() });
    } catch (error) {
      const failure = error as NodeJS.ErrnoException;
      if (failure.code !== 'ENOENT') failed(directory, failure);
    }
    // After the watch began: a change in between is seen twice rather than never.
    return look(directory);
  }

  function touch(directory: string): void {
    const now = performance.now();
    if (touched.size === 0) firstTouch = now;
    touched.add(directory);
    clearTimeout(timer);
    timer = setTimeout(settle, Math.max(0, Math.min(QUIET_MS, firstTouch + MAX_WAIT_MS - now)));
  }

  function settle(): void {
    const files = new Set([...touched].flatMap(look));
    touched.clear();
    if (files.size > 0) changed([...files]);
  }

  /** Compares a watched directory with the last look, and watches new directories. Returns the files that changed. */
  function look(directory: string): string[] {
    const known = watched.get(directory);
    if (!known) return [];
    const before = known.stamps;
    const after = new Map<string, string>();
    known.stamps = after;
    const found: string[] = [];
    for (const entry of entriesOf(directory)) {
      const { name } = entry;
      const path = join(directory, name);
      if (entry.isDirectory()) {
        const skipped = name === 'node_modules' || name.startsWith('.');
        if (!skipped && !watched.has(path)) found.push(...add(path));
        continue;
      }
      const stamp = isSource(name) && !ignore.has(path) ? stampOf(path) : undefined;
      if (stamp === undefined) continue;
      after.set(path, stamp);
      if (before.get(path) !== stamp) found.push(path);
    }
    for (const path of before.keys()) if (!after.has(path)) found.push(path);
    for (const [below, { watcher }] of watched) {
      if (!below.startsWith(`${directory}/`) || statSync(below, { throwIfNoEntry: false })) continue;
      watcher.close();
      watched.delete(below);
    }
    return found;
  }

  add(top);
  return () => {
    clearTimeout(timer);
    for (const { watcher } of watched.values()) watcher.close();
    watched.clear();
  };
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
  return name.startsWith('.') ? /^\.env(\.|$)/.test(name) : SOURCE.test(name);
}

/** Differs between two states of a file. */
function stampOf(path: string): string | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat?.isFile() ? `${stat.mtimeMs} ${stat.size} ${stat.ino}` : undefined;
}
