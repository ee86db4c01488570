/** The kernel's out-of-memory kills in the own cgroup. */
import { join } from 'node:path/posix';
import { findCgroup } from './cgroup.ts';
import { fileReader } from './read-file.ts';

/** The kernel counts before the process has ended: a death later than this after a look that found the kill is another. */
const FRESH_MS = 2_000;

/**
 * Processes that the kernel has killed so far for want of memory, whichever limit it was, on the way up, that was
 * reached. Undefined where it does not tell (cgroup-v2, "Memory Interface Files"; v1: memory.oom_control since 4.13).
 */
export function readOomKills(root = '/'): number | undefined {
  const read = fileReader(root);
  const { memory } = findCgroup(read);
  if (!memory) return undefined;
  const file = memory.version === 1 ? 'memory.oom_control' : 'memory.events';
  const digits = /^oom_kill (\d+)$/m.exec(read(join(memory.directories[0], file)) ?? '')?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Says of deaths by SIGKILL, one after another, whether the kernel's count has risen for them. */
export class OomKills {
  readonly #read: () => number | undefined;
  #seen: number;
  /** Kills that were counted and not told yet: the exits may follow. */
  #more = 0;
  #moreUntil = 0;

  constructor(read: () => number | undefined = readOomKills) {
    this.#read = read;
    this.#seen = read() ?? 0;
  }

  /** To be called now and then: what is found counts for a moment. */
  look(now: number): void {
    const count = this.#read() ?? this.#seen;
    const risen = count - this.#seen;
    this.#seen = count;
    if (now >= this.#moreUntil) this.#more = 0;
    if (risen <= 0) return;
    this.#more += risen;
    this.#moreUntil = now + FRESH_MS;
  }

  explains(now: number): boolean {
    this.look(now);
    if (this.#more <= 0) return false;
    this.#more--;
    return true;
  }
}
