/**
 * One worker seen from outside. The only place that spawns, so the only one whose children must not be reaped by
 * anybody else.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import {
  FIRST_SOCKET_FD,
  type FromWorker,
  type LastWords,
  STACK_FD,
  seal,
  type ToWorker,
  unseal,
  type WorkerPlan,
  type WorkerSettings,
} from '../messages.ts';
import { CpuWait } from '../platform/kernel/cpu-wait.ts';
import type { MemoryGroup } from '../platform/kernel/memory.ts';
import { DiagnosticSocket, type OutOfMemory, processState } from '../platform/native/diagnostics.ts';
import { accessSync, constants, statSync } from '../platform/node-fs.ts';
import { NO_DEBUGGER } from '../platform/signals.ts';
import type { SocketHandle } from '../platform/socket-handle.ts';
import { heapLimitOf } from './node-flags.ts';

const ENTRY = fileURLToPath(new URL(`../main${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url));

/** From the end of a process to the end of what it wrote, which the kernel has already. */
const LONGEST_CLOSE_MS = 1_000;

export interface SpawnOptions {
  readonly slot: number;
  readonly workerId: number;
  readonly settings: WorkerSettings;
  /** Sockets to accept on, in the order of their descriptors in the worker. */
  readonly listeners: readonly { readonly key: string; readonly handle: SocketHandle }[];
  /** TCP ports that are served; the first is the worker's PORT where the environment has none. */
  readonly ports: readonly number[];
  /** Flags for `node`, before the entry file. */
  readonly execArgv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  readonly started?: boolean;
  readonly checkOnly?: boolean;
  readonly memory?: MemoryGroup | undefined;
  /** Asks a worker that can tell for its stack. */
  readonly stackSignal?: number | undefined;
}

/** How the process ended: `code` is null where a signal ended it. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The process never came to be (spawn failed). */
  readonly error?: Error;
  /** Because of the directory to start in. */
  readonly badDirectory?: string | undefined;
}

export interface WorkerProcessListener {
  message(worker: WorkerProcess, message: FromWorker): void;
  exit(worker: WorkerProcess, exit: Exit): void;
}

export class WorkerProcess {
  readonly slot: number;
  readonly workerId: number;
  readonly pid: number | undefined;
  /** The limit of its old space, where that is known. */
  readonly heapLimitBytes: number | undefined;
  /** It has run so far that it can speak. */
  born = false;
  /** What the worker said of its own failure before it ended. */
  lastWords: LastWords | undefined;
  /** Why the arbiter killed it. */
  killedFor: string | undefined;
  /** Where its JavaScript was when it was killed for being late. */
  stackAtDeath: string | undefined;
  /** Sockets of other slots that it has said it accepts on, by their keys. */
  readonly covers = new Set<string>();
  /** Known once it is ready. */
  heapSizeLimitBytes: number | undefined;
  /** Undefined where there is no process. */
  readonly cpuWait: CpuWait | undefined;
  /** Where V8 is out of memory it says so: a worker that did not was not. */
  tellsOutOfMemory = false;
  /** Undefined where spawn threw. */
  readonly #child: ChildProcess | undefined;
  readonly #diagnostics: DiagnosticSocket | undefined;
  readonly #end: (exit: Exit) => void;
  #stackSignal: number | undefined;

  constructor(options: SpawnOptions, events: WorkerProcessListener) {
    const { slot, workerId, settings, listeners, ports } = options;
    this.slot = slot;
    this.workerId = workerId;
    this.heapLimitBytes = heapLimitOf(options.execArgv, options.env.NODE_OPTIONS);
    const plan: WorkerPlan = {
      slot,
      workerId,
      settings,
      listeners: listeners.map(({ key }, i) => ({ key, fd: FIRST_SOCKET_FD + i })),
      ports,
      memory: options.memory,
      heapLimitBytes: this.heapLimitBytes,
      started: options.started ?? false,
      checkOnly: options.checkOnly ?? false,
    };
    let ended = false;
    const end = (exit: Exit): void => {
      if (ended) return;
      ended = true;
      events.exit(this, exit);
    };
    this.#end = end;
    try {
      this.#child = spawn(process.execPath, [NO_DEBUGGER, ...options.execArgv, ENTRY, 'worker'], {
        cwd: settings.chdir,
        env: { ...(ports[0] === undefined ? {} : { PORT: String(ports[0]) }), ...options.env },
        stdio: ['ignore', 'inherit', 'inherit', 'ipc', 'pipe', ...listeners.map((l) => l.handle.fd)],
        ...(options.uid === undefined ? {} : { uid: options.uid }),
        ...(options.gid === undefined ? {} : { gid: options.gid }),
      });
    } catch (error) {
      // Node.js emits EAGAIN and EMFILE and a few more, and throws the others, such as ENOMEM and E2BIG.
      process.nextTick(end, { code: null, signal: null, error });
      return;
    }
    const child = this.#child;
    this.pid = child.pid;
    if (this.pid !== undefined) {
      this.cpuWait = new CpuWait(this.pid, performance.now());
      this.#diagnostics = new DiagnosticSocket(child.stdio[STACK_FD] as Readable);
    }
    child.on('message', (raw) => {
      const message = unseal<FromWorker>(raw);
      if (message?.type === 'hello') {
        this.born = true;
        this.#stackSignal = message.stacks ? options.stackSignal : undefined;
        this.tellsOutOfMemory = message.outOfMemory;
        this.send({ type: 'boot', plan });
      } else if (message) events.message(this, message);
    });
    // 'exit' may come before the last messages were read, 'close' comes after the channel is closed too.
    child.on('close', (code, signal) => end({ code, signal }));
    // 'close' never comes while a helper process of the app holds the channel.
    child.on('exit', (code, signal) => void setTimeout(end, LONGEST_CLOSE_MS, { code, signal }).unref());
    child.on('error', (error) => {
      if (this.pid !== undefined) return;
      const problem = directoryProblem(settings.chdir);
      end({
        code: null,
        signal: null,
        error: problem === undefined ? error : new Error(problem),
        badDirectory: problem,
      });
    });
  }

  /** What it said of that before its end. */
  get outOfMemory(): OutOfMemory | undefined {
    return this.#diagnostics?.outOfMemory;
  }

  /** Sends, with a duplicate of `handle` where one is given. A worker that is gone already misses nothing. */
  send(message: ToWorker, handle?: SocketHandle): void {
    if (!this.#child?.connected) return;
    this.#child.send(seal(message), handle as never, ignoreGone);
  }

  /**
   * What it does at this moment: the stack of its JavaScript, or, where it has none to tell (it is idle, in native code,
   * or has no CPU), what the kernel says.
   */
  async whereabouts(waitMs: number): Promise<{ stack?: string; process?: string }> {
    const { pid } = this;
    // A process that has ended may have left its pid to another.
    if (pid === undefined || this.#child?.exitCode !== null || this.#child.signalCode !== null) return {};
    const signal = this.#stackSignal;
    const stack = signal === undefined ? undefined : await this.#diagnostics?.stack({ pid, signal, waitMs });
    if (stack !== undefined) return { stack };
    const state = processState(pid);
    return state === undefined ? {} : { process: state };
  }

  /** Sends SIGKILL. Returns the code of the error where kill(2) fails: EPERM, or ESRCH, which ends it here too. */
  kill(why: string): string | undefined {
    this.killedFor = why;
    const { pid } = this;
    if (pid === undefined || this.#child?.exitCode !== null || this.#child.signalCode !== null) return undefined;
    try {
      process.kill(pid, 'SIGKILL');
      return undefined;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ESRCH') this.#end({ code: null, signal: null, error: new Error('no such process (ESRCH)') });
      return code;
    }
  }
}

/**
 * Why no process can start in a directory: spawn says ENOENT and EACCES for it and the program alike. Where it is fine
 * again the problem was another one.
 */
export function directoryProblem(path: string): string | undefined {
  try {
    // As chdir(2), which wants no right to read.
    if (statSync(path).isDirectory()) accessSync(path, constants.X_OK);
    else return `TSUNICORN_CHDIR=${path}: this is not a directory`;
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return `TSUNICORN_CHDIR=${path}: there is no such directory`;
    return `TSUNICORN_CHDIR=${path}: the directory cannot be entered (${code})`;
  }
}

/** EPIPE or ERR_IPC_CHANNEL_CLOSED: the worker ended meanwhile, and its exit is reported on its own. */
function ignoreGone(): void {}

/** How lines of the log name a worker. */
export function subjectOf({ slot, workerId, pid }: WorkerProcess): {
  worker: number;
  workerId: number;
  workerPid: number | undefined;
} {
  return { worker: slot, workerId, workerPid: pid };
}
