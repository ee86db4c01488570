/** `process.exit()` as the app calls it. Only `main.ts` ends a process, and a worker may have requests in flight. */
import { exitDespiteWrites } from '../../platform/thread-writes.ts';

export interface ProcessExit {
  /** Resolves once the app has called for an exit later. */
  readonly requested: Promise<void>;
  /** The status of the app's first call for an exit later; undefined if there was none. */
  readonly status: number | undefined;
  now(status: number): never;
  /** `process.exit()` is Node.js' own again. */
  restore(): void;
}

/** `onExit`: the app called process.exit(), `stack` shows where; says whether to end the process now. */
export function interceptExit(
  process: NodeJS.Process,
  onExit: (status: number, stack: string) => 'now' | 'later',
): ProcessExit {
  const { exit } = process;
  const { promise: requested, resolve } = Promise.withResolvers<void>();
  const intercepted = {
    requested,
    status: undefined as number | undefined,
    now(status: number): never {
      exitDespiteWrites(process);
      return Reflect.apply(exit, process, [status]);
    },
    restore() {
      process.exit = exit;
    },
  };
  process.exit = function appExits(code?: number | string | null): void {
    const status = Number(code ?? process.exitCode ?? 0);
    const trace = { name: 'process.exit()', message: 'called', stack: '' };
    Error.captureStackTrace(trace, appExits);
    if (onExit(status, trace.stack) === 'now') intercepted.now(status);
    intercepted.status ??= status;
    resolve();
  } as NodeJS.Process['exit'];
  return intercepted;
}
