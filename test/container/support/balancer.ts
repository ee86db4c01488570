/**
 * A Service as kube-proxy makes it: each new connection goes to the next of the pods that it knows of; a connection that
 * stands stays with its pod, also when that one has left the list. Nothing is repeated.
 */
import net from 'node:net';
import type { Cleaner } from './podman.ts';

export interface Endpoint {
  /** Where its requests go. */
  readonly port: number;
}

export class Balancer {
  readonly #server: net.Server;
  readonly #endpoints: Endpoint[] = [];
  #next = 0;
  /** Connections that found a pod gone, or no pod at all. */
  refused = 0;

  private constructor(t: Cleaner) {
    const sockets = new Set<net.Socket>();
    this.#server = net.createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
      const endpoint = this.#endpoints[this.#next++ % this.#endpoints.length];
      if (!endpoint) {
        this.refused++;
        client.resetAndDestroy();
        return;
      }
      const pod = net.connect({ port: endpoint.port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
      for (const socket of [client, pod]) {
        sockets.add(socket);
        socket.once('close', () => sockets.delete(socket));
      }
      let connected = false;
      pod.once('connect', () => {
        connected = true;
      });
      pod.on('error', () => {
        if (!connected) this.refused++;
        client.resetAndDestroy();
      });
      client.on('error', () => pod.destroy());
      client.pipe(pod).pipe(client);
    });
    t.after(() => {
      this.#server.close();
      for (const socket of sockets) socket.destroy();
    });
  }

  static async start(t: Cleaner): Promise<Balancer> {
    const balancer = new Balancer(t);
    await new Promise<void>((resolve) => balancer.#server.listen(0, '127.0.0.1', resolve));
    return balancer;
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  add(endpoint: Endpoint): void {
    if (!this.#endpoints.includes(endpoint)) this.#endpoints.push(endpoint);
  }

  remove(endpoint: Endpoint): void {
    const index = this.#endpoints.indexOf(endpoint);
    if (index >= 0) this.#endpoints.splice(index, 1);
  }
}
