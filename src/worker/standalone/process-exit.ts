/** `process.exit()` as the app calls it. Only `main.ts` ends a process, and a worker may have requests in flight. */
import { exitDespiteWrites } from '../../platform/thread-writes.ts';

/** Whether to end the process now. `stack` shows the caller. */
type OnExit = (status: number, stack: string) => 'now' | 'later';

export class ProcessExit {
  readonly #process: NodeJS.Process;
  readonly #exit: NodeJS.Process['exit'];
  readonly #onExit: OnExit;
  readonly #requested = Promise.withResolvers<void>();
  #status: number | undefined;

  constructor(process: NodeJS.Process, onExit: OnExit) {
    this.#process = process;
    this.#exit = process.exit;
    this.#onExit = onExit;
    process.exit = this.#appExits as NodeJS.Process['exit'];
  }

  /** Resolves once the app has called for an exit later. */
  get requested(): Promise<void> {
    return this.#requested.promise;
  }

  /** The status of the app's first call for an exit later; undefined if there was none. */
  get status(): number | undefined {
    return this.#status;
  }

  now(status: number): never {
    exitDespiteWrites(this.#process);
    return Reflect.apply(this.#exit, this.#process, [status]);
  }

  /** `process.exit()` is Node.js' own again. */
  restore(): void {
    this.#process.exit = this.#exit;
  }

  readonly #appExits = (code?: number | string | null): void => {
    const status = Number(code ?? this.#process.exitCode ?? 0);
    const trace = { name: 'process.exit()', message: 'called', stack: '' };
    Error.captureStackTrace(trace, this.#appExits);
    if (this.#onExit(status, trace.stack) === 'now') this.now(status);
    this.#status ??= status;
    this.#requested.resolve();
  };
}
