/** What the app says of its own readiness: `setReady()`, and pm2's `process.send('ready')`. */
import type { Channel } from './channel.ts';

export class Readiness {
  readonly #channel: Channel;
  #ready = true;
  #changed = Promise.withResolvers<void>();

  constructor(channel: Channel) {
    this.#channel = channel;
    channel.appSent = (message) => {
      if (message === 'ready') this.set(true);
    };
  }

  set(ready: boolean): void {
    if (this.#ready === ready) return;
    this.#ready = ready;
    this.#channel.send({ type: 'app-ready', ready });
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** Resolves once the app does not say that it is not ready. */
  async untilReady(): Promise<void> {
    if (this.#ready) return;
    this.#channel.send({ type: 'boot-progress', waitingFor: "setReady(true) or process.send('ready')" });
    while (!this.#ready) await this.#changed.promise;
  }
}
