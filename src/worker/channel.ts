/** The worker's end of the IPC channel, which the app shares. */
import { type FromWorker, seal, type ToWorker, unseal, type WorkerPlan } from '../messages.ts';
import type { SocketHandle } from '../platform/socket-handle.ts';

export class Channel {
  readonly #process: NodeJS.Process;
  /** As it was before the app came. */
  readonly #send: NonNullable<NodeJS.Process['send']> | undefined;
  onMessage: (message: ToWorker, handle: SocketHandle | undefined) => void = () => {};
  gone = (): void => {};
  /** What the app sends itself. */
  appSent: (message: unknown) => void = () => {};

  constructor(process: NodeJS.Process) {
    this.#process = process;
    const send = process.send?.bind(process);
    this.#send = send;
    if (send) process.send = this.#spyOn(send);
    keepHooks(process);
    keepListener(process, 'message', (raw: unknown, handle: unknown) => {
      const message = unseal(raw) as ToWorker | undefined;
      if (message) this.onMessage(message, handle as SocketHandle | undefined);
    });
    keepListener(process, 'disconnect', () => this.gone());
    process.disconnect = () => void process.nextTick(() => this.#disconnected());
  }

  #spyOn(send: NonNullable<NodeJS.Process['send']>): typeof send {
    return (message: unknown, ...rest: []) => {
      this.appSent(message);
      return send(message, ...rest);
    };
  }

  /**
   * An app that disconnected would look to us as if the arbiter were gone, so the channel stays. Node.js calls the same
   * function when the arbiter really is gone, and drops the channel right after.
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
      done(); // the process stays for its last messages
      resolve();
    };
    this.#process.once('beforeExit', left);
    channel?.unref();
    return { promise, done };
  }

  /** Says hello, with what this process can report about itself, and waits for its plan. */
  async plan(able: Omit<FromWorker & { type: 'hello' }, 'type'>): Promise<WorkerPlan> {
    const { promise, resolve } = Promise.withResolvers<WorkerPlan>();
    this.onMessage = (message) => {
      if (message.type === 'boot') resolve(message.plan);
    };
    this.send({ type: 'hello', ...able });
    return await promise;
  }

  /** `done`: the kernel has the message, or the arbiter is gone, which 'disconnect' tells. */
  send(message: FromWorker, done = (): void => {}): void {
    if (this.#process.connected) this.#send?.(seal(message), undefined, undefined, () => done());
    else done();
  }

  /** Resolves when the kernel has the message, so that it outlives this process. */
  async sendLast(message: FromWorker): Promise<void> {
    await new Promise<void>((resolve) => this.send(message, resolve));
  }
}

/** A listener that survives the app's removeAllListeners(name). */
function keepListener(process: NodeJS.Process, event: 'message' | 'disconnect', listener: (...args: never[]) => void) {
  const add = (): void => void process.on(event as 'message', listener as NodeJS.MessageListener);
  add();
  process.on('removeListener', (name, removed) => {
    if (name === event && removed === listener) add();
  });
}

/** A bare removeAllListeners() would also remove the hooks that keep signal handling and our listeners alive. */
const HOOKS: readonly (string | symbol)[] = ['newListener', 'removeListener'];

function keepHooks(process: NodeJS.Process): void {
  const { removeAllListeners } = process;
  process.removeAllListeners = function removeAll(...names: []) {
    if (names.length > 0) return Reflect.apply(removeAllListeners, process, names);
    for (const name of process.eventNames()) {
      if (!HOOKS.includes(name)) Reflect.apply(removeAllListeners, process, [name]);
    }
    return process;
  } as typeof removeAllListeners;
}
