/** The worker's end of the IPC channel, which the app shares. */
import { type FromWorker, MESSAGE_EVENT, seal, type ToWorker, unseal, type WorkerPlan } from '../messages.ts';
import type { SocketHandle } from '../platform/socket-handle.ts';
import { type ProcessEvents, TAKEN } from './process-events.ts';

export class Channel {
  readonly #process: NodeJS.Process;
  readonly #events: ProcessEvents;
  /** As it was before the app came. */
  readonly #send: NonNullable<NodeJS.Process['send']> | undefined;
  onMessage: (message: ToWorker, handle: SocketHandle | undefined) => void = () => {};
  gone = (): void => {};
  /** What the app sends itself. */
  appSent: (message: unknown) => void = () => {};

  constructor(process: NodeJS.Process, events: ProcessEvents) {
    this.#process = process;
    this.#events = events;
    const send = process.send?.bind(process);
    this.#send = send;
    if (send) process.send = this.#spyOn(send);
    process.channel?.ref(); // listeners in the process's own lists would do it
    events.on(MESSAGE_EVENT, (raw: unknown, handle: SocketHandle | undefined) => {
      const message = unseal(raw) as ToWorker | undefined;
      if (!message) return undefined;
      this.onMessage(message, handle);
      return TAKEN;
    });
    events.on('disconnect', () => this.gone());
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

  /**
   * Resolves when nothing but this channel keeps the process alive. `done` ends the watch. `ends`: so would the process
   * without us, and the app learns of it.
   */
  alone(ends: boolean): { promise: Promise<void>; done: () => void } {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { channel } = this.#process;
    const done = (): void => {
      off();
      channel?.ref();
    };
    const off = this.#events.on('beforeExit', () => {
      done(); // the process stays for its last messages
      resolve();
      return ends ? undefined : TAKEN;
    });
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
