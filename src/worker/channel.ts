/** The worker's end of the IPC channel. */
import { type FromWorker, seal, type ToWorker, unseal, type WorkerPlan } from '../messages.ts';
import type { SocketHandle } from '../platform/socket-handle.ts';
import { keepHooks, keepListener } from './kept-listeners.ts';

export type Listener = (message: ToWorker, handle: SocketHandle | undefined) => void;

export class Channel {
  readonly #process: NodeJS.Process;
  /** As it was before the app came. */
  readonly #send: NonNullable<NodeJS.Process['send']> | undefined;
  #listener: Listener = () => {};

  /** `gone` is called when the arbiter has disappeared. */
  constructor(process: NodeJS.Process, gone: () => void) {
    this.#process = process;
    this.#send = process.send?.bind(process);
    keepHooks(process);
    keepListener(process, 'message', (raw: unknown, handle: unknown) => {
      const message = unseal(raw) as ToWorker | undefined;
      if (message) this.#listener(message, handle as SocketHandle | undefined);
    });
    keepListener(process, 'disconnect', gone);
    process.disconnect = () => void process.nextTick(() => this.#disconnected());
  }

  /**
   * The app shares the channel: for it to leave would look as if the arbiter were gone, so it stays. Node.js calls the
   * same function when the arbiter really is gone, and lets go of the channel right after.
   */
  #disconnected(): void {
    if (this.#process.channel) return;
    Object.assign(this.#process, { connected: false });
    this.#process.emit('disconnect');
  }

  /** Resolves when nothing but this channel keeps the process alive. `done` ends the watch. */
  alone(): { promise: Promise<void>; done: () => void } {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { channel } = this.#process;
    const done = (): void => {
      this.#process.off('beforeExit', left);
      channel?.ref();
    };
    const left = (): void => {
      done(); // the process stays, for what is to be said at the end
      resolve();
    };
    this.#process.once('beforeExit', left);
    channel?.unref();
    return { promise, done };
  }

  /** Says that this process reads, and what of itself it can tell, and waits for its plan. */
  async plan(able: Omit<FromWorker & { type: 'hello' }, 'type'>): Promise<WorkerPlan> {
    const { promise, resolve } = Promise.withResolvers<WorkerPlan>();
    this.#listener = (message) => {
      if (message.type === 'boot') resolve(message.plan);
    };
    this.send({ type: 'hello', ...able });
    return await promise;
  }

  listen(listener: Listener): void {
    this.#listener = listener;
  }

  send(message: FromWorker): void {
    if (this.#process.connected) this.#send?.(seal(message), undefined, undefined, ignoreGone);
  }

  /** Sends and waits until the message is with the kernel, so that it outlives this process. */
  async sendLast(message: FromWorker): Promise<void> {
    if (!this.#process.connected) return;
    await new Promise<void>((resolve) => this.#send?.(seal(message), undefined, undefined, () => resolve()));
  }
}

/** The arbiter is gone: 'disconnect' tells. */
function ignoreGone(): void {}
