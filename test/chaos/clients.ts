/** Clients on raw sockets that keep account of every request: when, how it ended, and which worker it was with. */
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { HANDSHAKE } from '../support/raw.ts';

export interface Failure {
  readonly client: string;
  /** Undefined for a WebSocket, whose handshake is in no count. */
  readonly method: 'GET' | 'POST' | undefined;
  readonly cause: string;
  /** Of the worker that answered on this connection before; undefined on a new connection. */
  readonly pid: number | undefined;
  /** Milliseconds since the epoch, as in the log. */
  readonly from: number;
  readonly at: number;
}

/** Beyond this a request counts as lost. */
const PATIENCE_MS = 20_000;

export class Results {
  readonly failures: Failure[] = [];
  /** Answers by method and code, as the label values of the metric. */
  readonly answers: Record<string, number> = {};
  /** When each worker answered, and what. */
  readonly byPid = new Map<number, { readonly at: number; readonly labels: string }[]>();
  echoes = 0;

  answered(method: string, status: number, pid: number): void {
    const labels = `method="${method}",code="${status}"`;
    this.answers[labels] = (this.answers[labels] ?? 0) + 1;
    const answers = this.byPid.get(pid) ?? [];
    answers.push({ at: Date.now(), labels });
    // Only the last moments of a worker are ever asked for.
    if (answers.length > 20_000) answers.splice(0, 10_000);
    this.byPid.set(pid, answers);
  }
}

export interface Kind {
  readonly name: string;
  readonly path: string;
  readonly method?: 'GET' | 'POST';
  readonly body?: string;
  readonly keepAlive: boolean;
  readonly pauseMs: number;
}

export class Client {
  readonly done: Promise<void>;
  readonly #port: number;
  readonly #results: Results;
  #stopping = false;

  /** `once`: one request and no more. */
  constructor(port: number, results: Results, kind: Kind | 'websocket', once = false) {
    this.#port = port;
    this.#results = results;
    this.done = this.#run(kind, once);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.done;
  }

  async #run(kind: Kind | 'websocket', once: boolean): Promise<void> {
    do {
      const who =
        kind === 'websocket'
          ? { client: kind, method: undefined }
          : { client: kind.name, method: kind.method ?? 'GET' };
      const state: { from: number; pid: number | undefined } = { from: Date.now(), pid: undefined };
      const socket = net.connect({ port: this.#port, host: '127.0.0.1', noDelay: true });
      try {
        await (kind === 'websocket' ? this.#webSocket(socket, state) : this.#requests(socket, kind, state, once));
      } catch (error) {
        this.#results.failures.push({ ...who, ...state, cause: (error as Error).message, at: Date.now() });
        await sleep(20);
      } finally {
        socket.destroy();
      }
    } while (!this.#stopping && !once);
  }

  async #requests(socket: net.Socket, kind: Kind, state: { from: number; pid: number | undefined }, once: boolean) {
    const { path, method = 'GET', body = '', keepAlive, pauseMs } = kind;
    const reader = new Reader(socket);
    for (;;) {
      if (reader.failure && state.pid !== undefined) return; // between two requests: nothing is lost
      state.from = Date.now();
      const close = keepAlive && !once ? '' : 'Connection: close\r\n';
      socket.write(`${method} ${path} HTTP/1.1\r\nHost: test\r\n${close}Content-Length: ${body.length}\r\n\r\n${body}`);
      const answer = await reader.until(answerIn);
      state.pid = answer.pid;
      this.#results.answered(method, answer.status, answer.pid);
      if (pauseMs > 0) await sleep(pauseMs);
      if (answer.close || once || !keepAlive || this.#stopping) return;
    }
  }

  /** Echoes until the server ends the connection, which is no failure; a reset is. */
  async #webSocket(socket: net.Socket, state: { from: number; pid: number | undefined }): Promise<void> {
    const reader = new Reader(socket);
    const handshake = Object.entries(HANDSHAKE).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`GET /socket HTTP/1.1\r\nHost: test\r\n${handshake.join('')}\r\n`);
    state.pid = await reader.until((text) => {
      const end = text.indexOf('\r\n\r\n');
      return end < 0 ? undefined : { length: end + 4, value: Number(/X-Pid: (\d+)/.exec(text)?.[1]) };
    });
    while (!this.#stopping) {
      state.from = Date.now();
      if (!socket.writable) return;
      socket.write(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]));
      try {
        await reader.until((text) => {
          const at = text.indexOf('\x81\x02hi');
          return at < 0 ? undefined : { length: at + 4, value: true };
        });
      } catch (error) {
        // Told first, then ended in order: so it is meant to be.
        if (reader.told && reader.failure === 'ended') return;
        throw error;
      }
      this.#results.echoes++;
      await sleep(50);
    }
  }
}

class Reader {
  text = '';
  failure: string | undefined;
  /** The app's `onShutdown()` has said so. */
  told = false;
  #wake: () => void = () => {};

  constructor(socket: net.Socket) {
    socket.setEncoding('latin1').on('data', (text: string) => {
      this.text += text;
      if (this.text.includes('goodbye')) this.told = true;
      this.#wake();
    });
    const fail = (cause: string): void => {
      this.failure ??= cause;
      this.#wake();
    };
    socket.on('error', (error: NodeJS.ErrnoException) => fail(`${error.syscall} ${error.code}`));
    socket.on('end', () => fail('ended'));
    socket.on('close', () => fail('closed'));
    socket.setTimeout(PATIENCE_MS, () => fail('no answer in time'));
  }

  async until<T>(find: (text: string) => { length: number; value: T } | undefined): Promise<T> {
    for (;;) {
      const found = find(this.text);
      if (found) {
        this.text = this.text.slice(found.length);
        return found.value;
      }
      if (this.failure) throw new Error(this.failure);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

interface Answer {
  readonly status: number;
  readonly pid: number;
  readonly close: boolean;
}

function answerIn(text: string): { length: number; value: Answer } | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const head = text.slice(0, end);
  const length = end + 4 + Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
  if (text.length < length) return undefined;
  const pid = Number(/\r\nx-pid: (\d+)/i.exec(head)?.[1] ?? 0);
  return { length, value: { status: Number(head.slice(9, 12)), pid, close: /\r\nconnection: close/i.test(head) } };
}
