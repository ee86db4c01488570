/**
 * The load generator: a process of its own, so that its CPU time is in no server's figures. Clients on raw sockets, each with
 * one request under way. A quarter of the cost of the cheapest server here, so servers and not clients set the pace.
 */
import net from 'node:net';

export interface Job {
  readonly port: number;
  /** `connection`: a new connection for each request. */
  readonly mode: 'keep-alive' | 'connection';
  readonly clients: number;
  /** No new request is sent after that; those under way are waited for. */
  readonly until: { readonly seconds: number } | { readonly requests: number };
}

export interface Outcome {
  readonly answered: number;
  readonly failed: number;
}

/** All connections read into it: what it holds is used up before the next read. */
const BUFFER = Buffer.alloc(16 * 1024);
const KEEP_ALIVE = 'GET / HTTP/1.1\r\nHost: bench\r\n\r\n';
const CLOSE = 'GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n';

class Burst {
  readonly #job: Job;
  readonly #startedAt = performance.now();
  #asked = 0;
  #answered = 0;
  #failed = 0;

  constructor(job: Job) {
    this.#job = job;
  }

  async run(): Promise<Outcome> {
    await Promise.all(Array.from({ length: this.#job.clients }, () => this.#client()));
    return { answered: this.#answered, failed: this.#failed };
  }

  async #client(): Promise<void> {
    // A keep-alive client comes back here only when the server ended its connection.
    while (this.#mayAsk() && this.#failed === 0) await this.#connection();
  }

  #mayAsk(): boolean {
    const { until } = this.#job;
    if ('requests' in until) return this.#asked < until.requests;
    return performance.now() - this.#startedAt < until.seconds * 1000;
  }

  /** One connection until it is closed. */
  #connection(): Promise<void> {
    const { port, mode } = this.#job;
    const { promise, resolve } = Promise.withResolvers<void>();
    let waiting = true;
    let received = '';
    const callback = (length: number, buffer: Uint8Array): boolean => {
      received += (buffer as Buffer).toString('latin1', 0, length);
      if (!isComplete(received)) return true;
      if (received.startsWith('HTTP/1.1 200')) this.#answered++;
      else this.#failed++;
      received = '';
      waiting = false;
      if (mode === 'connection') return true; // the server closes
      if (this.#mayAsk()) ask();
      else socket.end();
      return true;
    };
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true, onread: { buffer: BUFFER, callback } });
    const ask = (): void => {
      this.#asked++;
      waiting = true;
      socket.write(mode === 'connection' ? CLOSE : KEEP_ALIVE, 'latin1');
    };
    socket.on('error', () => {});
    socket.once('close', () => {
      if (waiting) this.#failed++;
      resolve();
    });
    ask();
    return promise;
  }
}

/** A response with a Content-Length, as all bench apps send. */
function isComplete(text: string): boolean {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return false;
  const at = text.indexOf('Content-Length: ');
  if (at < 0) throw new Error(`a response without Content-Length:\n${text}`);
  return text.length >= end + 4 + Number.parseInt(text.slice(at + 16, at + 26), 10);
}

process.on('message', (job: Job) => {
  void new Burst(job).run().then((outcome) => process.send?.(outcome));
});
