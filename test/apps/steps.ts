/** What is tried with a running example. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { established, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import type { Paths, Step } from './examples.ts';

const UPLOAD_BYTES = 1 << 20;
const EVENTS = 5;
/** Throws where the example does not do what it has to. `Drained` comes last: it ends the server. */
export const TRY: Readonly<Record<Step, (server: TestServer, paths: Paths) => Promise<void>>> = {
  /** Both workers answer. */
  async Served(server, { hello, headers }) {
    const answered = new Set<number>();
    await waitFor('an answer from each worker', async () => {
      const { status, body } = await server.get(hello, { headers });
      assert.equal(status, 200, body);
      answered.add(pidIn(body));
      return answered.size === 2;
    });
    assert.deepEqual([...answered].sort(), server.workerPids().sort());
  },

  /** Events arrive while the server still makes others. */
  async Streamed(server, { events = '' }) {
    const seen = await readEvents(server.port, events);
    assert.deepEqual(
      seen.map(({ n }) => n),
      Array.from({ length: EVENTS }, (_, i) => i + 1),
    );
    // Each but the last is here before the one after the next has been sent: nothing waits for the end.
    for (const [i, { arrived }] of seen.slice(0, -2).entries()) {
      const later = seen[i + 2]?.sent ?? 0;
      assert.ok(arrived < later, `event ${i + 1} arrived ${arrived - later} ms after event ${i + 3} was sent`);
    }
  },

  async Uploaded(server, { upload = '' }) {
    const headers = { 'content-type': 'application/octet-stream' };
    const { status, body } = await server.get(upload, { method: 'POST', headers, body: randomBytes(UPLOAD_BYTES) });
    assert.equal(status, 200, body);
    assert.match(body, new RegExp(`"bytes":${UPLOAD_BYTES}\\b`));
  },

  async WebSocket(server, { webSocket = '' }) {
    const client = await Client.open(server.port, webSocket);
    for (const text of ['one', 'two ü']) {
      const [pid, ...echo] = (await client.echo(text)).split(' ');
      assert.ok(server.workerPids().includes(Number(pid)), `${pid} is a worker`);
      assert.equal(echo.join(' '), text);
    }
    assert.equal(await client.close(), 1000);
  },

  /** 500, and the same workers go on. */
  async Error(server, { error = '', hello, headers }) {
    const before = server.workerPids();
    for (let i = 0; i < 4; i++) {
      const { status, body } = await server.get(error, { headers });
      assert.equal(status, 500, body);
    }
    assert.equal((await server.get(hello, { headers })).status, 200);
    assert.deepEqual(server.workerPids(), before);
  },

  /** A request in flight at SIGTERM gets its whole answer, a WebSocket is told, and nothing had to be killed. */
  async Drained(server, { slow, events, webSocket, closeCode = 1001, headers }) {
    await waitFor('the connections of earlier steps are closed', () => established(server.port) === 0);
    const client = webSocket === undefined ? undefined : await Client.open(server.port, webSocket);
    const answer = slow === undefined ? undefined : server.get(slow, { headers });
    const stream = events === undefined ? undefined : readEvents(server.port, events);
    const open = [client, answer, stream].filter((connection) => connection !== undefined).length;
    await waitFor('the connections are open', () => established(server.port) === open);
    const linesBefore = server.log.length;
    server.signal('SIGTERM');
    if (answer) {
      const { status, body } = await answer;
      assert.equal(status, 200, body);
      assert.match(body, /"waited":700\b/);
    }
    if (stream) assert.equal((await stream).length, EVENTS);
    if (client) assert.equal(await client.closed, closeCode);
    assert.deepEqual(await server.exited, { code: 0, signal: null });
    const complaints = server.log.slice(linesBefore).filter(({ level }) => !['trace', 'debug', 'info'].includes(level));
    assert.deepEqual(complaints, []);
  },
};

/** In JSON, or in a page. */
function pidIn(body: string): number {
  const [, pid] = /(?:"pid":|process )(\d+)/.exec(body) ?? [];
  assert.ok(pid !== undefined, `a pid in ${body}`);
  return Number(pid);
}

interface SeenEvent {
  readonly n: number;
  /** By the clock of this machine, in milliseconds. */
  readonly sent: number;
  readonly arrived: number;
}

/** The events of a stream that ends. */
async function readEvents(port: number, path: string): Promise<SeenEvent[]> {
  const outgoing = http.get({ host: '127.0.0.1', port, path, agent: false, headers: { accept: 'text/event-stream' } });
  const [response] = (await once(outgoing, 'response')) as [http.IncomingMessage];
  assert.equal(response.statusCode, 200);
  assert.match(response.headers['content-type'] ?? '', /^text\/event-stream\b/);
  const seen: SeenEvent[] = [];
  let rest = '';
  for await (const text of response.setEncoding('utf8')) {
    const arrived = Date.now();
    const lines = `${rest}${text}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const [, n, sent] = /^data: ?\{.*"n":(\d+),"at":(\d+)\}/.exec(line) ?? [];
      if (n !== undefined) seen.push({ n: Number(n), sent: Number(sent), arrived });
    }
  }
  return seen;
}

class Client {
  readonly #socket: WebSocket;
  /** The code that it was closed with. */
  readonly closed: Promise<number>;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    this.closed = new Promise((resolve) => socket.addEventListener('close', ({ code }) => resolve(code)));
  }

  static async open(port: number, path: string): Promise<Client> {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`);
    const client = new Client(socket);
    const opened = new Promise((resolve) => socket.addEventListener('open', resolve));
    const failed = client.closed.then((code) => assert.fail(`the WebSocket was not opened: ${code}`));
    await Promise.race([opened, failed]);
    failed.catch(() => {}); // later it closes as it should
    return client;
  }

  async echo(text: string): Promise<string> {
    this.#socket.send(text);
    const [event] = await once(this.#socket, 'message');
    return String((event as MessageEvent).data);
  }

  async close(): Promise<number> {
    this.#socket.close(1000);
    return await this.closed;
  }
}
