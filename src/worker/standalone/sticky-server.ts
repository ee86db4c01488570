/**
 * A worker of @socket.io/sticky never listens: the program's primary accepts connections and sends them on. That primary
 * does not run, so the server that waits for them has to listen after all.
 */
import type { Server } from 'node:http';
import { http } from '../../platform/node-http.ts';

const STICKY = /[\\/]@socket\.io[\\/]sticky[\\/]/;

export class StickyServer {
  readonly #made = new Set<Server>();
  readonly #loaded: Readonly<Record<string, unknown>>;

  /** Watches the http servers that are made from now on. `loaded`: the CommonJS modules of the program, by file. */
  constructor(loaded: Readonly<Record<string, unknown>>) {
    this.#loaded = loaded;
    const made = this.#made;
    const { prototype } = http.Server;
    const { on } = prototype;
    // Its constructor adds this listener first.
    Object.assign(prototype, {
      on(this: Server, event: string, listener: () => void): Server {
        if (event === 'connection') made.add(this);
        return Reflect.apply(on, this, [event, listener]);
      },
    });
  }

  /** Makes it listen, where it is clear which one that is. Returns whether it does. */
  listen(port: number): boolean {
    const [server, another] = [...this.#made].filter(({ listening }) => !listening);
    this.#made.clear();
    if (!server || another || !Object.keys(this.#loaded).some((file) => STICKY.test(file))) return false;
    server.listen(port);
    return true;
  }
}
