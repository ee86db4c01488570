/**
 * One worker seen from outside. The only place that spawns, so the only one whose children must not be reaped by
 * anybody else.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type FromWorker, seal, type ToWorker, unseal, type WorkerPlan, type WorkerSettings } from '../messages.ts';
import type { SocketHandle } from '../platform/socket-handle.ts';

/** stdio 0 to 2 and the IPC channel come before the first listening socket. */
const FIRST_SOCKET_FD = 4;

const ENTRY = fileURLToPath(new URL(`../main${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url));

export interface SpawnOptions {
  readonly slot: number;
  readonly age: number;
  readonly settings: WorkerSettings;
  /** Sockets to accept on, in the order of their descriptors in the worker. */
  readonly listeners: readonly { readonly key: string; readonly handle: SocketHandle }[];
  /** Flags for `node`, before the entry file. */
  readonly execArgv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  readonly checkOnly?: boolean;
}

/** How the process ended: `code` is null where a signal ended it. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The process never came to be (spawn failed). */
  readonly error?: Error;
}

export interface WorkerEvents {
  message(worker: WorkerHandle, message: FromWorker): void;
  exit(worker: WorkerHandle, exit: Exit): void;
}

export class WorkerHandle {
  readonly slot: number;
  readonly age: number;
  readonly pid: number | undefined;
  /** What the worker said of its own failure before it ended. */
  lastWords: { reason: string; fatal: boolean } | undefined;
  readonly #child: ChildProcess;

  constructor(options: SpawnOptions, events: WorkerEvents) {
    const { slot, age, settings, listeners } = options;
    this.slot = slot;
    this.age = age;
    const plan: WorkerPlan = {
      slot,
      age,
      settings,
      listeners: listeners.map(({ key }, i) => ({ key, fd: FIRST_SOCKET_FD + i })),
      checkOnly: options.checkOnly ?? false,
    };
    this.#child = spawn(process.execPath, [...options.execArgv, ENTRY, 'worker'], {
      cwd: settings.chdir,
      env: options.env,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...listeners.map((l) => l.handle.fd)],
      ...(options.uid === undefined ? {} : { uid: options.uid }),
      ...(options.gid === undefined ? {} : { gid: options.gid }),
    });
    this.pid = this.#child.pid;

    let ended = false;
    const end = (exit: Exit): void => {
      if (ended) return;
      ended = true;
      events.exit(this, exit);
    };
    this.#child.on('message', (raw) => {
      const message = unseal<FromWorker>(raw);
      if (message?.type === 'born') this.send({ type: 'boot', plan });
      else if (message) events.message(this, message);
    });
    // 'exit' may come before the last messages were read, 'close' comes after the channel is closed too.
    this.#child.on('close', (code, signal) => end({ code, signal }));
    this.#child.on('error', (error) => {
      if (this.pid === undefined) end({ code: null, signal: null, error });
    });
  }

  /** Sends, with a duplicate of `handle` where one is given. A worker that is gone already misses nothing. */
  send(message: ToWorker, handle?: SocketHandle): void {
    if (!this.#child.connected) return;
    this.#child.send(seal(message), handle as never, ignoreGone);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

/** EPIPE or ERR_IPC_CHANNEL_CLOSED: the worker ended meanwhile, and its exit is reported on its own. */
function ignoreGone(): void {}
