/**
 * Tells a service manager how it goes: systemd with `Type=notify` or `Type=notify-reload`, Podman with `--sdnotify`.
 * The protocol is sd_notify(3), the watchdog sd_watchdog_enabled(3). Without NOTIFY_SOCKET nothing happens.
 */
import type { Logger } from 'pino';
import type { LoadedNative } from './native/native.ts';

// As ./node-fs.ts does: the facade of node:util loads 2 MB.
const { getSystemErrorName } = process.getBuiltinModule('node:util');

/** Meant for the arbiter alone: a worker that inherited them would be taken for it, or warned about. */
export const NOTIFY_VARIABLES = ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID'] as const;

export type ServiceState = 'starting' | 'ready' | 'reloading' | 'stopping';

/** What may follow: a reload before the first readiness is none, and the end has no way back. */
const NEXT: Readonly<Record<ServiceState, readonly ServiceState[]>> = {
  starting: ['ready', 'stopping'],
  ready: ['reloading', 'stopping'],
  reloading: ['ready', 'stopping'],
  stopping: [],
};

export interface NotifierOptions {
  readonly loaded: LoadedNative;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly pid: number;
  readonly log: Pick<Logger, 'warn'>;
  /** CLOCK_MONOTONIC in nanoseconds. */
  readonly monotonic?: () => bigint;
}

export class Notifier {
  readonly #send: (message: string) => void;
  readonly #monotonic: () => bigint;
  readonly #watchdog: NodeJS.Timeout | undefined;
  #state: ServiceState = 'starting';
  #status = '';

  constructor({ loaded, env, pid, log, monotonic = process.hrtime.bigint }: NotifierOptions) {
    this.#send = sender(env.NOTIFY_SOCKET, loaded, log);
    this.#monotonic = monotonic;
    const intervalMs = watchdogInterval(env, pid);
    if (env.NOTIFY_SOCKET && intervalMs !== undefined) {
      this.#watchdog = setInterval(() => this.#send('WATCHDOG=1'), intervalMs).unref();
    }
  }

  /** Sends what is new. `status` is one line for people. */
  update(state: ServiceState, status: string): void {
    const news: string[] = [];
    if (NEXT[this.#state].includes(state)) {
      this.#state = state;
      news.push(...this.#linesOf(state));
    }
    if (status !== this.#status) {
      this.#status = status;
      news.push(`STATUS=${status.replaceAll('\n', ' ')}`);
    }
    if (news.length > 0) this.#send(news.join('\n'));
  }

  stop(): void {
    clearInterval(this.#watchdog);
  }

  #linesOf(state: ServiceState): string[] {
    switch (state) {
      case 'starting':
        return [];
      case 'ready':
        return ['READY=1'];
      case 'reloading':
        // The manager tells by the time that this answers its own SIGHUP and no earlier one.
        return ['RELOADING=1', `MONOTONIC_USEC=${this.#monotonic() / 1000n}`];
      case 'stopping':
        return ['STOPPING=1'];
      default:
        return state satisfies never;
    }
  }
}

function sender(socket: string | undefined, { native, problem }: LoadedNative, log: Pick<Logger, 'warn'>) {
  let failed = false;
  const fail = (why: string): void => {
    if (!failed) log.warn(`cannot notify the service manager at NOTIFY_SOCKET=${socket}: ${why}`);
    failed = true;
  };
  return (message: string): void => {
    if (!socket) return;
    if (!native) return fail(`${problem}. Run npm run build where a C compiler (cc) is, or use Type=exec`);
    const errno = native.notify(socket, message);
    if (errno !== 0) fail(getSystemErrorName(-errno));
  };
}

/** Milliseconds between two signs of life: half of what the manager waits. Undefined where it does not wait for us. */
function watchdogInterval(env: NotifierOptions['env'], pid: number): number | undefined {
  if (env.WATCHDOG_PID !== undefined && env.WATCHDOG_PID !== String(pid)) return undefined;
  const microseconds = Number(env.WATCHDOG_USEC);
  return Number.isSafeInteger(microseconds) && microseconds > 0 ? microseconds / 2000 : undefined;
}
