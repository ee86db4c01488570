/** Rooms of real Socket.IO over three workers (examples/socketio-cluster): the arbiter stands in for the primary. */
import assert from 'node:assert/strict';
import http from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { before, type TestContext, test } from 'node:test';
import { start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { installExample, installNodes, type NodeRelease } from './install.ts';
import { nodesWanted } from './nodes.ts';

const UPDATE = process.env.UPDATE_DOCS === '1';
const WORKERS = 3;
const CLIENTS = 12;
const ROOMS = ['even', 'odd'] as const;
const skip = process.platform !== 'linux' && 'TSUNICORN_STICKY is for Linux';

let nodes: readonly NodeRelease[] = [];
let home = '';

before(async () => {
  nodes = nodesWanted(await installNodes(UPDATE));
  home = await installExample({ directory: 'socketio-cluster' }, UPDATE);
});

/** What is used of socket.io-client. */
interface Client {
  on(event: 'said', listener: (text: unknown) => void): void;
  emit(event: string, ...args: unknown[]): void;
  timeout(ms: number): { emitWithAck(event: string, ...args: unknown[]): Promise<unknown> };
  close(): void;
}

interface Member {
  readonly socket: Client;
  readonly room: (typeof ROOMS)[number];
  readonly said: unknown[];
}

class Rooms {
  readonly #members: readonly Member[];

  constructor(t: TestContext, server: TestServer) {
    const { io } = createRequire(join(home, 'package.json'))('socket.io-client');
    this.#members = Array.from({ length: CLIENTS }, (_, i) => {
      const socket: Client = io(`http://127.0.0.1:${server.port}`, {
        forceNew: true,
        agent: new http.Agent({ localAddress: `127.0.${i + 1}.1` }),
        ...(i % 4 < 2 ? {} : { transports: ['polling'] }),
      });
      const said: unknown[] = [];
      socket.on('said', (text) => said.push(text));
      t.after(() => socket.close());
      return { socket, room: i % 2 === 0 ? 'even' : 'odd', said };
    });
  }

  /** All are in their rooms. Resolves with the pids of their workers. */
  async join(): Promise<number[]> {
    return await Promise.all(this.#members.map(({ socket, room }) => insistently(socket, 'join', room, 'pid')));
  }

  /** Someone in the other room says `text` in each, and all in it hear that. */
  async say(text: string): Promise<void> {
    for (const [i, room] of ROOMS.entries()) this.#members[1 - i]?.socket.emit('say', room, `${text} in ${room}`);
    const heard = ({ said, room }: Member) => said.includes(`${text} in ${room}`);
    await waitFor(`${text} has been heard`, () => this.#members.every(heard), {
      seconds: 15,
      state: () => this.#members.filter((member) => !heard(member)).length,
    });
  }

  /** Each worker knows of all members. */
  async assertCounted(): Promise<void> {
    const counts = await Promise.all(
      this.#members.map(({ socket, room }) => socket.timeout(15_000).emitWithAck('members', room)),
    );
    assert.deepEqual(new Set(counts), new Set([CLIENTS / 2]));
  }

  get pids(): Promise<number[]> {
    return Promise.all(this.#members.map(({ socket }) => insistently(socket, 'hello', 'x', 'pid')));
  }

  /** Texts that went to the other room. */
  get misled(): unknown[] {
    return this.#members.flatMap(({ said, room }) => said.filter((text) => !String(text).endsWith(room)));
  }
}

/** Asks until it is answered: a client whose worker has ended connects anew. */
async function insistently(socket: Client, event: string, text: string, field: string): Promise<number> {
  return await waitFor(
    `an answer to ${event}`,
    async () => {
      const answer = await socket
        .timeout(2_000)
        .emitWithAck(event, text)
        .catch(() => undefined);
      return (answer as Record<string, number> | undefined)?.[field];
    },
    { seconds: 30 },
  );
}

test('rooms have members in all workers, also after a reload and a death', { skip }, async (t) => {
  for (const node of nodes) {
    await t.test(`on Node.js ${node.version}`, async (on) => {
      const env = {
        TSUNICORN_CHDIR: home,
        TSUNICORN_WORKERS: String(WORKERS),
        TSUNICORN_STICKY: 'ip',
        TSUNICORN_ACCESS_LOG: 'off',
        TSUNICORN_GRACEFUL_TIMEOUT: '3',
      };
      const server = await (await start(on, { node: node.path, env })).ready(60);
      const rooms = new Rooms(on, server);
      const first = new Set(await rooms.join());
      assert.equal(first.size, WORKERS);
      await rooms.say('hello');
      await rooms.assertCounted();

      server.child.kill('SIGHUP');
      await waitFor('the old workers have ended', () => server.logged('worker ended').length === WORKERS, {
        seconds: 30,
      });
      const second = await rooms.join();
      assert.ok(second.every((pid) => !first.has(pid)));
      await rooms.say('a reload');
      await rooms.assertCounted();

      const [victim = 0] = second;
      process.kill(victim, 'SIGKILL');
      await waitFor('its clients have come back', async () => !(await rooms.pids).includes(victim), { seconds: 30 });
      await rooms.join();
      await rooms.say('a death');
      await rooms.assertCounted();
      assert.deepEqual(rooms.misled, []);
      assert.equal(await server.stop(), 0);
      assert.equal(server.logged(/server\.js:\d+:\d+ asks node:cluster whether this is the primary/).length, 1);
    });
  }
});
