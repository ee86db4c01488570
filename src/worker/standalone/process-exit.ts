/** `process.exit()` as the app calls it. Only `main.ts` ends a process, and a worker also has requests in hand. */

import { exitDespiteWrites } from '../../platform/thread-writes.ts';

/** Whether the process is to end now. `stack` says who called. */
type OnExit = (status: number, stack: string) => 'now' | 'later';

export class ProcessExit {
  readonly #process: NodeJS.Process;
  readonly #exit: NodeJS.Process['exit'];
  readonly #onExit: OnExit;
  readonly #asked = Promise.withResolvers<void>();
  #status: number | undefined;

  constructor(process: NodeJS.Process, onExit: OnExit) {
    this.#process = process;
    this.#exit = process.exit;
    this.#onExit = onExit;
    process.exit = this.#appExits as NodeJS.Process['exit'];
  }

  /** Resolves once the app has asked to end later. */
  get asked(): Promise<void> {
    return this.#asked.promise;
  }

  /** What the app first asked to end with later; undefined where it has not. */
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
    if (this.#onExit(status, stackAt(this.#appExits)) === 'now') this.now(status);
    this.#status ??= status;
    this.#asked.resolve();
  };
}

/** The stack from the caller of `callee` on. */
function stackAt(callee: (code?: number) => unknown): string {
  const trace = { name: 'process.exit()', message: 'called', stack: '' };
  Error.captureStackTrace(trace, callee);
  return trace.stack;
}
