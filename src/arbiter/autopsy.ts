/** What a worker died of, as far as it told and its remains show. Pure. */
import type { OutOfMemory } from '../platform/native/diagnostics.ts';
import type { Exit } from './worker-process.ts';

export interface Remains {
  readonly exit: Exit;
  /** The arbiter killed it. */
  readonly murdered: boolean;
  /** The kernel counted a kill for want of memory. */
  readonly oomKilled: boolean;
  /** What it said before its end. */
  readonly outOfMemory: OutOfMemory | undefined;
  /** It would have said so: it has the native part. */
  readonly tellsOutOfMemory: boolean;
  /** Of its last report; undefined where there was none. */
  readonly heapUsedBytes: number | undefined;
  /** The limit of its old space; undefined where V8 chose it. */
  readonly heapLimitBytes: number | undefined;
}

export interface Finding {
  readonly cause?: 'oom' | 'heap';
  /** How it ended, in one line, with what can be done about it. */
  readonly how: string;
}

const MIB = 1024 * 1024;
/** A second before its death a heap that is full may have been this empty, or emptier: without its word it is a guess. */
const NEARLY_FULL = 0.5;
/** Where V8 chose the limit itself, which is 2 to 4 GiB on most machines. */
const UNKNOWN_LIMIT_BYTES = 2048 * MIB;

export function explainExit(remains: Remains): Finding {
  const { exit, murdered, oomKilled, outOfMemory, tellsOutOfMemory, heapUsedBytes = 0, heapLimitBytes } = remains;
  const how = exit.error?.message ?? exit.signal ?? `exit code ${exit.code}`;
  if (exit.signal === 'SIGKILL' && !murdered && oomKilled) return { cause: 'oom', how: `${how}, ${OOM}` };
  const seen = `${mib(heapUsedBytes)} of ${heapLimitBytes === undefined ? 'what V8 allows' : mib(heapLimitBytes)} when it last reported`;
  if (outOfMemory?.of === 'heap') {
    return { cause: 'heap', how: `${how}, as its JavaScript heap was full (${outOfMemory.where}; ${seen}). ${HEAP}` };
  }
  if (outOfMemory) return { how: `${how}, as the system gave V8 no more memory (${outOfMemory.where}). ${PROCESS}` };
  if (exit.signal !== 'SIGABRT') return { how };
  if (tellsOutOfMemory) return { how: `${how}, ${ABORTED}` };
  // Node.js 22, 24 and 26 end so after "FATAL ERROR: … JavaScript heap out of memory" on stderr.
  const limit = heapLimitBytes ?? UNKNOWN_LIMIT_BYTES;
  if (heapUsedBytes < NEARLY_FULL * limit) return { how: `${how}, ${UNKNOWN}` };
  return { cause: 'heap', how: `${how}, probably as its JavaScript heap was full (${seen}). ${HEAP}` };
}

const mib = (bytes: number): string => `${Math.round(bytes / MIB)}MiB`;

const OOM =
  'from the kernel, as the memory limit was reached: raise the limit, or set a lower TSUNICORN_WORKERS or TSUNICORN_MAX_WORKER_RSS';
const HEAP = 'Raise TSUNICORN_WORKER_HEAP or the memory limit, or look for a leak';
const PROCESS = 'Look at the limits of its address space (ulimit -v) and of the system (vm.overcommit_memory)';
const ABORTED = 'and not for want of heap: a check in Node.js or in native code failed, and stderr says which';
const UNKNOWN =
  'which Node.js ends with where its heap is full: stderr says so then, and TSUNICORN_WORKER_HEAP is the limit';
