/**
 * Reports readiness to a service manager: systemd with `Type=notify` or `Type=notify-reload`, Podman with `--sdnotify`.
 * sd_notify(3), sd_watchdog_enabled(3). Does nothing without NOTIFY_SOCKET.
 */
import type { Logger } from 'pino';
import type { LoadedNative } from './native/native.ts';

// As in ./node-fs.ts: importing node:util loads 2 MB.
const { getSystemErrorName } = process.getBuiltinModule('node:util');

/** Not passed on to workers: the manager would take a worker's messages for the arbiter's. */
export const NOTIFY_VARIABLES = ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID'] as const;

export type ServiceState = 'starting' | 'ready' | 'reloading' | 'stopping';

/** HUP before the first readiness is not a reload to the manager, and a stop is final. */
const STATES: Readonly<Record<ServiceState, { line: string; next: readonly ServiceState[] }>> = {
  starting: { line: '', next: ['ready', 'stopping'] },
  ready: { line: 'READY=1', next: ['reloading', 'stopping'] },
  reloading: { line: 'RELOADING=1', next: ['ready', 'stopping'] },
  stopping: { line: 'STOPPING=1', next: [] },
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

  /** Sends what has changed. `status` is one line for people. */
  update(state: ServiceState, status: string): void {
    const lines: string[] = [];
    if (STATES[this.#state].next.includes(state)) {
      this.#state = state;
      lines.push(STATES[state].line);
      // The timestamp tells the manager which of its SIGHUPs this answers.
      if (state === 'reloading') lines.push(`MONOTONIC_USEC=${this.#monotonic() / 1000n}`);
    }
    if (status !== this.#status) {
      this.#status = status;
      lines.push(`STATUS=${status.replaceAll('\n', ' ')}`);
    }
    if (lines.length > 0) this.#send(lines.join('\n'));
  }

  stop(): void {
    clearInterval(this.#watchdog);
  }
}

function sender(socket: string | undefined, { native, problem }: LoadedNative, log: Pick<Logger, 'warn'>) {
  let failed = false;
  return (message: string): void => {
    if (!socket) return;
    const errno = native?.notify(socket, message);
    if (errno === 0 || failed) return;
    failed = true;
    const install = `${problem}. Run npm run build with a C compiler (cc), or use Type=exec`;
    const why = errno === undefined ? install : getSystemErrorName(-errno);
    log.warn(`cannot notify the service manager at NOTIFY_SOCKET=${socket}: ${why}`);
  };
}

/** Milliseconds between two messages: half the manager's timeout. Undefined if it does not watch this process. */
function watchdogInterval(env: NotifierOptions['env'], pid: number): number | undefined {
  if (env.WATCHDOG_PID !== undefined && env.WATCHDOG_PID !== String(pid)) return undefined;
  const microseconds = Number(env.WATCHDOG_USEC);
  return Number.isSafeInteger(microseconds) && microseconds > 0 ? microseconds / 2000 : undefined;
}
