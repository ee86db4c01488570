/** A crowd of real Socket.IO clients, from several addresses of 127.0.0.0/8. */
import http from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from './wait.ts';

/** What is used of socket.io-client. */
interface ClientSocket {
  readonly connected: boolean;
  on(event: 'connect', listener: () => void): void;
  on(event: 'connect_error', listener: (error: Failure) => void): void;
  on(event: 'disconnect', listener: (reason: string, details?: Failure) => void): void;
  timeout(ms: number): { emitWithAck(event: string, ...args: unknown[]): Promise<unknown> };
  close(): void;
}

/** `context` is the request that failed. */
interface Failure {
  readonly message?: string;
  readonly description?: unknown;
  readonly context?: { readonly responseText?: string };
}

type Connect = (url: string, options: Readonly<Record<string, unknown>>) => ClientSocket;

export interface CrowdOptions {
  /** A directory with socket.io-client in node_modules. */
  readonly home: string;
  readonly url: string;
  readonly clients: number;
  /** How many addresses they share; 50 by default. */
  readonly addresses?: number;
  /** Sent with each request, as a browser keeps it. */
  readonly cookie?: (client: number) => string | undefined;
}

export const SESSION_UNKNOWN = 'Session ID unknown';

export class SocketCrowd {
  readonly clients: CrowdClient[];
  readonly #talk: Promise<void>[];
  #over = false;

  constructor({ home, url, clients, addresses = 50, cookie = () => undefined }: CrowdOptions) {
    const { io } = createRequire(join(home, 'package.json'))('socket.io-client') as { io: Connect };
    this.clients = Array.from({ length: clients }, (_, i) => {
      const sent = cookie(i);
      const options = {
        forceNew: true,
        agent: new http.Agent({ localAddress: `127.0.${1 + (i % addresses)}.1` }),
        // Half of them cannot or will not upgrade, as behind some company proxies; the others begin with polling too.
        ...(i % 2 === 0 ? {} : { transports: ['polling'] }),
        ...(sent === undefined ? {} : { extraHeaders: { cookie: sent } }),
      };
      return new CrowdClient(io(url, options), i % 2 === 1, `127.0.${1 + (i % addresses)}.1`);
    });
    this.#talk = this.clients.map((client) => this.#talks(client));
  }

  /** Each says something five times a second, and waits for the answer. */
  async #talks(client: CrowdClient): Promise<void> {
    while (!this.#over) {
      await sleep(200 * (0.5 + Math.random()));
      await client.hello();
    }
  }

  async connected(seconds = 30): Promise<void> {
    await waitFor('all clients are connected', () => this.clients.every(({ socket }) => socket.connected), {
      seconds,
      state: () => this.summary(),
    });
  }

  /** Each has had `count` answers more. */
  async answered(count: number, seconds = 30): Promise<void> {
    const before = this.clients.map(({ answers }) => answers);
    await waitFor(
      `${count} answers to each client`,
      () => this.clients.every(({ answers }, i) => answers - (before[i] ?? 0) >= count),
      { seconds, state: () => this.summary() },
    );
  }

  /** How often each thing went wrong, by kind of client. */
  summary(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { polls, failures } of this.clients) {
      for (const failure of failures) {
        const key = `${polls ? 'polling' : 'websocket'}: ${failure}`;
        counts[key] = (counts[key] ?? 0) + 1;
      }
    }
    return counts;
  }

  async close(): Promise<void> {
    this.#over = true;
    for (const { socket } of this.clients) socket.close();
    await Promise.all(this.#talk);
  }
}

export class CrowdClient {
  readonly socket: ClientSocket;
  readonly polls: boolean;
  readonly address: string;
  readonly failures: string[] = [];
  answers = 0;
  connections = 0;
  /** The pids of the workers that answered. */
  readonly pids = new Set<number>();

  constructor(socket: ClientSocket, polls: boolean, address: string) {
    this.socket = socket;
    this.polls = polls;
    this.address = address;
    socket.on('connect', () => {
      this.connections++;
    });
    socket.on('connect_error', (error) => void this.failures.push(`connect_error: ${why(error)}`));
    socket.on('disconnect', (reason, details) => {
      if (reason !== 'io client disconnect') this.failures.push(`${reason}: ${why(details)}`);
    });
  }

  async hello(): Promise<void> {
    if (!this.socket.connected) return;
    try {
      const { pid } = (await this.socket.timeout(3_000).emitWithAck('hello', 'x')) as { pid: number };
      this.pids.add(pid);
      this.answers++;
    } catch {
      // Its connection has ended: said by 'disconnect'.
    }
  }

  get sessionUnknown(): boolean {
    return this.failures.some((failure) => failure.includes(SESSION_UNKNOWN));
  }
}

function why({ context, description, message }: Failure = {}): string {
  return context?.responseText || String((description as Error | undefined)?.message ?? description ?? message ?? '');
}
