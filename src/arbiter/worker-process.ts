/** A worker's process seen from the arbiter. The one spawn site: the reaper leaves these pids to libuv. */
import { type ChildProcess, type SendHandle, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Settings } from '../config/settings.ts';
import { identityVariables } from '../config/worker-identity.ts';
import {
  FIRST_SOCKET_FD,
  type FromWorker,
  parseFromWorker,
  RELAY_FD,
  STACK_FD,
  sealForWorker,
  type ToWorker,
  type WorkerFailure,
  type WorkerPlan,
} from '../messages.ts';
import { MIB } from '../platform/bytes.ts';
import { directoryProblem } from '../platform/directory.ts';
import { CpuWait } from '../platform/kernel/cpu.ts';
import { DiagnosticSocket, type OutOfMemory, processState } from '../platform/native/diagnostics.ts';
import { NO_DEBUGGER } from '../platform/signals.ts';
import type { ListeningSocket } from '../platform/sockets.ts';
import type { Identity } from '../platform/users.ts';

const ENTRY = fileURLToPath(new URL(`../main${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url));

/** From the exit of a process to its last messages, which the kernel already has. */
const LONGEST_CLOSE_MS = 1_000;

const NO_RIGHT =
  'the arbiter must run as the user of its workers or have CAP_KILL (docker run --cap-add KILL; systemd: add CAP_KILL to CapabilityBoundingSet=)';
export interface SpawnOptions extends Omit<WorkerPlan, 'listeners' | 'heapLimitBytes'> {
  /** Of the release that it runs: 1 at the start, one more with each HUP. */
  readonly generation: number;
  /** Sockets to accept on, in the order of their descriptors in the worker. */
  readonly listeners: readonly Pick<ListeningSocket, 'key' | 'handle'>[];
  /** Bytes of old space, from sizing; undefined leaves it to V8. */
  readonly heapBytes: number | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly identity: Identity;
  /** Asks a worker that can tell for its stack. */
  readonly stackSignal: number | undefined;
}

export interface WorkerProcessListener {
  message(worker: WorkerProcess, message: FromWorker): void;
  /** It sent what no worker sends: the app forged a message of ours. Nothing more is read from it. */
  forged(worker: WorkerProcess, fault: string): void;
  exit(worker: WorkerProcess): void;
}

type End = (code: number | null, signal: NodeJS.Signals | null, spawnError?: Error) => void;

export class WorkerProcess {
  readonly slot: number;
  readonly workerId: number;
  readonly pid: number | undefined;
  /** The limit of its old space, where that is known. */
  readonly heapLimitBytes: number | undefined;
  saidHello = false;
  /** V8's limit for the whole heap; known once the worker is ready. */
  heapSizeLimitBytes: number | undefined;
  /** Reports running out of memory; an abort without the report had another cause. */
  reportsOutOfMemory = false;
  failure: WorkerFailure | undefined;
  /** Why the arbiter killed it, and its JavaScript stack then. */
  killReason: string | undefined;
  stackAtKill: string | undefined;
  /** How the process ended. `code` is null after a signal; `spawnError`: there never was a process. */
  code: number | null = null;
  signal: NodeJS.Signals | null = null;
  spawnError: Error | undefined;
  /** Its clients have sessions in it, and wait in long polls. */
  hasLongPolls = false;
  stoppedAccepting = false;
  /** Until its predecessor has stopped accepting. */
  waitsToAccept: boolean;
  /** Keys of other slots' listeners that it accepts on. */
  readonly tookOver = new Set<string>();
  /** Undefined where there is no process. */
  readonly cpuWait: CpuWait | undefined;
  /** For its messages to and from other workers. */
  readonly relaySocket: Socket | undefined;
  readonly #child: ChildProcess | undefined;
  readonly #diagnostics: DiagnosticSocket | undefined;
  readonly #end: End;
  readonly #events: WorkerProcessListener;
  readonly #plan: WorkerPlan;
  readonly #stackSignal: number | undefined;
  /** Keys of the listeners whose descriptors are on their way. */
  readonly #lending = new Set<string>();
  #reportsStacks = false;
  #forged = false;

  constructor(options: SpawnOptions, events: WorkerProcessListener) {
    const { listeners, heapBytes, env, identity, stackSignal, generation, ...plan } = options;
    const { settings, ports } = plan;
    this.slot = plan.slot;
    this.workerId = plan.workerId;
    this.waitsToAccept = plan.waitsToAccept;
    this.#events = events;
    this.#stackSignal = stackSignal;
    const flags = nodeFlags(settings, heapBytes, env.NODE_OPTIONS);
    this.heapLimitBytes = heapLimitOf(flags, env.NODE_OPTIONS);
    const inherited = listeners.map(({ key }, i) => ({ key, fd: FIRST_SOCKET_FD + i }));
    this.#plan = { ...plan, listeners: inherited, heapLimitBytes: this.heapLimitBytes };
    let ended = false;
    const end: End = (code, signal, spawnError) => {
      if (ended) return;
      ended = true;
      Object.assign(this, { code, signal, spawnError });
      events.exit(this);
    };
    this.#end = end;
    try {
      this.#child = spawn(process.execPath, [NO_DEBUGGER, ...flags, ENTRY, 'worker'], {
        cwd: settings.chdir,
        env: {
          ...(ports[0] !== undefined && { PORT: String(ports[0]) }),
          ...env,
          ...identityVariables({ slot: plan.slot, id: plan.workerId, generation }, env, settings.instanceVar),
        },
        stdio: ['ignore', 'inherit', 'inherit', 'ipc', 'pipe', 'pipe', ...listeners.map((l) => l.handle.fd)],
        ...identity,
      });
    } catch (error) {
      // Node.js emits EAGAIN and EMFILE and a few more, and throws the others, such as ENOMEM and E2BIG.
      process.nextTick(end, null, null, error);
      return;
    }
    const child = this.#child;
    this.pid = child.pid;
    if (this.pid !== undefined) {
      this.cpuWait = new CpuWait(this.pid, performance.now());
      this.#diagnostics = new DiagnosticSocket(child.stdio[STACK_FD] as Readable);
      this.relaySocket = (child.stdio as readonly unknown[])[RELAY_FD] as Socket;
    }
    child.on('message', (raw, handle) => this.#read(raw, handle));
    // 'exit' may come before the last messages were read; 'close' comes after the channel is closed too.
    child.on('close', end);
    // But never while a helper process of the app holds the channel.
    child.on('exit', (code, signal) => void setTimeout(end, LONGEST_CLOSE_MS, code, signal).unref());
    child.on('error', (error) => {
      if (this.pid === undefined) end(null, null, directoryProblem(settings.chdir) ?? error);
    });
  }

  #read(raw: unknown, handle: SendHandle): void {
    discard(handle);
    if (this.#forged) return;
    try {
      const message = parseFromWorker(raw);
      if (message === undefined) return;
      if (message.type === 'hello' && this.saidHello) throw new TypeError('hello came twice');
      if (message.type === 'ready' && this.heapSizeLimitBytes !== undefined) throw new TypeError('ready came twice');
      if (message.type === 'ready') this.heapSizeLimitBytes = message.heapSizeLimitBytes;
      if (message.type !== 'hello') return this.#events.message(this, message);
      this.saidHello = true;
      this.#reportsStacks = message.stacks;
      this.reportsOutOfMemory = message.outOfMemory;
      this.send({ type: 'boot', plan: this.#plan });
    } catch (error) {
      this.forged((error as Error).message);
    }
  }

  /** It sent what no worker sends. */
  forged(fault: string): void {
    if (this.#forged) return;
    this.#forged = true;
    this.#events.forged(this, fault);
  }

  /** What it said of that before it ended. */
  get outOfMemory(): OutOfMemory | undefined {
    return this.#diagnostics?.outOfMemory;
  }

  send(message: ToWorker): void {
    if (this.#child?.connected) this.#child.send(sealForWorker(message), ignoreGone);
  }

  /** Sends a duplicate of the listener's descriptor, one at a time: an app may ask thousands of times. */
  lend({ key, handle }: ListeningSocket, takeOver: boolean): void {
    if (!this.#child?.connected || (!takeOver && this.#lending.has(key))) return;
    this.#lending.add(key);
    this.#child.send(sealForWorker({ type: 'descriptor', key, takeOver }), handle as never, () =>
      this.#lending.delete(key),
    );
  }

  /** What it does right now: its JavaScript stack; without one (idle, in native code, no CPU) its process state. */
  async activity(waitMs: number): Promise<{ stack?: string; process?: string }> {
    const { pid } = this;
    // After its end another process may have the pid.
    if (pid === undefined || this.#child?.exitCode !== null || this.#child.signalCode !== null) return {};
    const signal = this.#reportsStacks ? this.#stackSignal : undefined;
    const stack = signal === undefined ? undefined : await this.#diagnostics?.stack({ pid, signal, waitMs });
    if (stack !== undefined) return { stack };
    const state = processState(pid);
    return state === undefined ? {} : { process: state };
  }

  /** Sends SIGKILL, unless it has ended. `problem`: what to log if kill(2) fails; after ESRCH the worker has ended. */
  kill(reason: string): { readonly sent: boolean; readonly problem?: string } {
    this.killReason = reason;
    const { pid } = this;
    if (pid === undefined || this.#child?.exitCode !== null || this.#child.signalCode !== null) return { sent: false };
    try {
      process.kill(pid, 'SIGKILL');
      return { sent: true };
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ESRCH') this.#end(null, null, new Error('no such process (ESRCH)'));
      return {
        sent: false,
        problem: `kill() failed with ${code} (${reason})${code === 'EPERM' ? `: ${NO_RIGHT}` : ''}`,
      };
    }
  }
}

/** EPIPE or ERR_IPC_CHANNEL_CLOSED: the worker has ended, and its exit is reported on its own. */
function ignoreGone(): void {}

/** A socket that the app attached to a message: nothing here serves it, and its errors must not end the arbiter. */
function discard(handle: SendHandle | null): void {
  if (!handle) return;
  if ('on' in handle) handle.on('error', () => {});
  if ('destroy' in handle) handle.destroy();
  else handle.close();
}

/** Whether a worker in `slot` accepts whose clients should not meet its successor before they know. */
export function holdsClients(workers: ReadonlyMap<number, WorkerProcess>, slot: number): boolean {
  return [...workers.values()].some((w) => w.slot === slot && w.hasLongPolls && !w.stoppedAccepting);
}

export function subjectOf({ slot, workerId, pid }: WorkerProcess): Record<string, number | undefined> {
  return { worker: slot, workerId, workerPid: pid };
}

const HEAP_FLAG = /(^|[\s"'])--max[-_]old[-_]space[-_]size/;

/** The heap limit in bytes that `flags` and NODE_OPTIONS set, where the last wins; undefined where they set none. */
function heapLimitOf(flags: readonly string[], nodeOptions = ''): number | undefined {
  const all = `${nodeOptions} ${flags.join(' ')}`;
  const last = [...all.matchAll(/--max[-_]old[-_]space[-_]size[= ](\d+)/g)].at(-1)?.[1];
  return last === undefined ? undefined : Number(last) * MIB;
}

/** The heap limit from sizing, then `TSUNICORN_NODE_OPTIONS`. A limit in NODE_OPTIONS wins over an automatic one. */
export function nodeFlags(
  settings: Pick<Settings, 'nodeOptions' | 'workerHeap'>,
  heapBytes: number | undefined,
  nodeOptions = '',
): string[] {
  const decided = settings.workerHeap === 'auto' && HEAP_FLAG.test(nodeOptions);
  const heap = heapBytes === undefined || decided ? [] : [`--max-old-space-size=${Math.floor(heapBytes / MIB)}`];
  return [...heap, ...settings.nodeOptions];
}
