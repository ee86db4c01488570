/**
 * Clients on raw sockets that account for every request: each ends as ok, or as a failure with its cause. A connection
 * that is refused before anything was sent is a failure too, unless the load has been told to stop.
 */
import net from 'node:net';

export interface LoadOptions {
  readonly port: number;
  readonly clients: number;
  /** `short` opens a connection a request. */
  readonly kind: 'keep-alive' | 'short';
  readonly path?: string;
  /** Causes tell what the connection answered last, for apps that say who they are. */
  readonly tellLast?: boolean;
}

export interface LoadResult {
  ok: number;
  /** Cause → count. */
  readonly failures: Record<string, number>;
}

export class Load {
  readonly result: LoadResult = { ok: 0, failures: {} };
  readonly #options: LoadOptions;
  readonly #clients: Promise<void>[];
  readonly #sockets = new Set<net.Socket>();
  /** Opens no more connections. */
  #stopping = false;
  /** Leaves open ones as well. */
  #leaving = false;

  /** `t.after` ends it, whatever the test did. */
  constructor(t: { after(fn: () => unknown): void }, options: LoadOptions) {
    this.#options = options;
    t.after(() => this.#abort());
    this.#clients = Array.from({ length: options.clients }, () => this.#client());
  }

  get failed(): number {
    return Object.values(this.result.failures).reduce((a, b) => a + b, 0);
  }

  /** Every client finishes its request in flight. Resolves when all are done. */
  async stop(): Promise<LoadResult> {
    this.#leaving = true;
    return await this.stopOpening();
  }

  /**
   * No new connections, as a balancer does that has seen /readyz fail: open keep-alive connections go on until the
   * server ends them. Resolves when every client is done.
   */
  async stopOpening(): Promise<LoadResult> {
    this.#stopping = true;
    await Promise.all(this.#clients);
    return this.result;
  }

  #abort(): void {
    this.#stopping = true;
    this.#leaving = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  async #client(): Promise<void> {
    while (!this.#stopping) {
      try {
        await this.#connection();
      } catch (error) {
        const cause = (error as Error).message;
        this.result.failures[cause] = (this.result.failures[cause] ?? 0) + 1;
      }
    }
  }

  async #connection(): Promise<void> {
    const { port, kind, path = '/', tellLast } = this.#options;
    let last = 'nothing';
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    this.#sockets.add(socket);
    const connection = new ResponseReader(socket);
    try {
      await connection.connected;
      for (;;) {
        const connectionHeader = kind === 'short' ? 'Connection: close\r\n' : '';
        // A connection that the server ended between two requests has lost nothing.
        if (connection.ended) return;
        socket.write(`GET ${path} HTTP/1.1\r\nHost: test\r\n${connectionHeader}\r\n`);
        const { status, close, body } = await connection.response();
        last = body;
        if (status !== 200) throw new Error(`status ${status}`);
        this.result.ok++;
        if (close || kind === 'short' || this.#leaving) return;
      }
    } catch (error) {
      throw tellLast ? new Error(`${(error as Error).message} after ${last}`) : error;
    } finally {
      this.#sockets.delete(socket);
      socket.destroy();
    }
  }
}

class ResponseReader {
  readonly connected: Promise<void>;
  ended = false;
  #buffer = '';
  #failure: Error | undefined;
  #notify: () => void = () => {};

  constructor(socket: net.Socket) {
    this.connected = new Promise((resolve, reject) => {
      socket.once('connect', () => resolve());
      socket.once('error', (error: NodeJS.ErrnoException) => reject(new Error(`connect ${error.code}`)));
    });
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.#buffer += text;
      this.#notify();
    });
    const end = (cause: string) => () => {
      this.ended = true;
      this.#failure ??= new Error(cause);
      this.#notify();
    };
    socket.on('error', (error: NodeJS.ErrnoException) => end(`reset: ${error.code}`)());
    socket.on('end', end('closed without an answer'));
    socket.on('close', end('closed without an answer'));
  }

  /** Reads one response with a Content-Length or chunked body. */
  async response(): Promise<{ status: number; close: boolean; body: string }> {
    for (;;) {
      const parsed = parse(this.#buffer);
      if (parsed) {
        this.#buffer = this.#buffer.slice(parsed.length);
        return parsed;
      }
      if (this.#failure) throw this.#failure;
      await new Promise<void>((resolve) => {
        this.#notify = resolve;
      });
    }
  }
}

/** The body of a response in chunks is left as it is. */
function parse(text: string): { status: number; close: boolean; body: string; length: number } | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const head = text.slice(0, end);
  const status = Number(head.slice(9, 12));
  const close = /\r\nconnection: close/i.test(head);
  const declared = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
  if (declared !== undefined) {
    const length = end + 4 + Number(declared);
    return text.length >= length ? { status, close, body: text.slice(end + 4, length), length } : undefined;
  }
  const last = text.indexOf('0\r\n\r\n', end + 4);
  return last < 0 ? undefined : { status, close, body: text.slice(end + 4, last), length: last + 5 };
}
