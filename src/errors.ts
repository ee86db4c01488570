/** Exit codes, and the errors that carry them to `main.ts`. */

/** `docs/exit-codes.md` is generated from this table. 69 and 78 are EX_UNAVAILABLE and EX_CONFIG of sysexits.h. */
export const EXIT_CODES = {
  ok: { status: 0, means: 'Stopped as asked.', mend: 'Nothing to do.' },
  failure: {
    status: 1,
    means: 'Unexpected failure of tsunicorn itself, or a worker that SIGKILL did not end.',
    mend: 'The last line of the log says which. A stack: please report it. A worker: see the `kill() failed` line for the fix.',
  },
  boot: {
    status: 3,
    means: 'Workers fail to boot, or the crash limit is reached.',
    mend: 'Fix the error whose stack is in the log. See `TSUNICORN_CRASH_LIMIT` and `TSUNICORN_BOOT_TIMEOUT`.',
  },
  app: {
    status: 4,
    means: 'The app cannot be imported, or its export is not an app.',
    mend: 'Check `TSUNICORN_APP`. `tsunicorn check` loads the app without serving it.',
  },
  bind: {
    status: 69,
    means: 'An address cannot be bound, or `TSUNICORN_PIDFILE` has the pid of a running arbiter.',
    mend: 'Another process holds the address or the file, or the address is not one of this machine: see `TSUNICORN_BIND` and `TSUNICORN_ADMIN_BIND`.',
  },
  config: {
    status: 78,
    means: 'Bad configuration.',
    mend: 'The log has one line per bad variable; `tsunicorn config` shows the settings in force.',
  },
} as const satisfies Record<string, { status: number; means: string; mend: string }>;

export type ExitName = keyof typeof EXIT_CODES;

/**
 * Stops the server in order; `main.ts` exits with `status`. On the way the arbiter finishes its turn and `serve` logs it;
 * a worker reports it as its failed boot. Two callers go on instead: the executor makes do with fewer workers if a slot
 * cannot get its socket, the admin port answers 500.
 */
export class HaltServer extends Error {
  override name = 'HaltServer';
  readonly status: number;
  constructor(reason: string, exit: ExitName, options?: ErrorOptions) {
    super(reason, options);
    this.status = EXIT_CODES[exit].status;
  }
}

/** A problem with one setting. `value` is redacted if the setting is a secret. */
export interface ConfigProblem {
  readonly name: string;
  readonly value?: string;
  readonly message: string;
}

export class ConfigError extends HaltServer {
  override name = 'ConfigError';
  readonly problems: readonly ConfigProblem[];
  constructor(problems: readonly ConfigProblem[]) {
    const lines = problems.map((p) => `${p.name}${p.value === undefined ? '' : `=${p.value}`}: ${p.message}`);
    super(lines.join('\n'), 'config');
    this.problems = problems;
  }
}

/** The app cannot be imported or is not an app. */
export class AppLoadError extends HaltServer {
  override name = 'AppLoadError';
  constructor(reason: string, options?: ErrorOptions) {
    super(reason, 'app', options);
  }
}
