/** The worker's end of the IPC channel. */
import { type FromWorker, seal, type ToWorker, unseal, type WorkerPlan } from '../messages.ts';
import type { SocketHandle } from '../platform/socket-handle.ts';

export type Listener = (message: ToWorker, handle: SocketHandle | undefined) => void;

export class Channel {
  readonly #process: NodeJS.Process;
  #listener: Listener = () => {};

  /** `gone` is called when the arbiter has disappeared. */
  constructor(process: NodeJS.Process, gone: () => void) {
    this.#process = process;
    process.on('message', (raw, handle) => {
      const message = unseal<ToWorker>(raw);
      if (message) this.#listener(message, handle as SocketHandle | undefined);
    });
    process.once('disconnect', gone);
  }

  /** Says that this process reads, and waits for its plan. `stacks`: it can be asked for its JavaScript stack. */
  async plan(stacks: boolean): Promise<WorkerPlan> {
    const { promise, resolve } = Promise.withResolvers<WorkerPlan>();
    this.#listener = (message) => {
      if (message.type === 'boot') resolve(message.plan);
    };
    this.send({ type: 'born', stacks });
    return await promise;
  }

  listen(listener: Listener): void {
    this.#listener = listener;
  }

  send(message: FromWorker): void {
    if (this.#process.connected) this.#process.send?.(seal(message), undefined, undefined, ignoreGone);
  }

  /** Sends and waits until the message is with the kernel, so that it outlives this process. */
  async sendLast(message: FromWorker): Promise<void> {
    if (!this.#process.connected) return;
    await new Promise<void>((resolve) => this.#process.send?.(seal(message), undefined, undefined, () => resolve()));
  }
}

/** The arbiter is gone: 'disconnect' tells. */
function ignoreGone(): void {}
