/** What docs/several-workers.md says of state that workers share, with its examples, on each release of Node.js. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Answer, start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { installExample, installNodes, type NodeRelease } from './install.ts';
import { nodesWanted } from './nodes.ts';
import { skipReason, startRedis } from './redis.ts';

const UPDATE = process.env.UPDATE_DOCS === '1';
const BOOT_TIMEOUT_S = 60;
const skip = skipReason();

let nodes: readonly NodeRelease[] = [];

before(async () => {
  nodes = nodesWanted(await installNodes(UPDATE));
});

/** The example under tsunicorn with two workers, on each Node.js. */
async function onEach(
  t: TestContext,
  directory: string,
  env: (on: TestContext) => Record<string, string> | Promise<Record<string, string>>,
  tried: (server: TestServer, node: NodeRelease, on: TestContext, home: string) => Promise<void>,
  expected = /$^/,
): Promise<void> {
  const home = await installExample({ directory }, UPDATE);
  linkPackage(home);
  for (const node of nodes) {
    await t.test(`on Node.js ${node.version}`, async (on) => {
      const settings = { NODE_ENV: 'production', TSUNICORN_CHDIR: home, ...(await env(on)) };
      const server = await (await start(on, { node: node.path, env: settings })).ready(BOOT_TIMEOUT_S);
      await tried(server, node, on, home);
      if (server.exitCode === undefined) assert.equal(await server.stop(), 0);
      const complaints = server.log.filter(
        ({ level, msg }) => ['error', 'fatal'].includes(level) && !expected.test(msg),
      );
      assert.deepEqual(complaints, []);
    });
  }
}

/** `npm install tsunicorn`, which is not there yet. */
function linkPackage(home: string): void {
  const link = join(home, 'node_modules/tsunicorn');
  rmSync(link, { recursive: true, force: true });
  symlinkSync(fileURLToPath(new URL('../..', import.meta.url)), link);
}

function temporary(on: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'tsunicorn-several-'));
  on.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

const pidIn = ({ body }: Answer): number => JSON.parse(body).pid;

/** Asks until both workers have answered, each time on a new connection; gives all answers. */
async function untilBothAnswered(server: TestServer, ask: () => Promise<Answer>): Promise<Answer[]> {
  const answers: Answer[] = [];
  await waitFor('an answer from each worker', async () => {
    answers.push(await ask());
    return new Set(answers.map(pidIn)).size === server.workerPids().length;
  });
  return answers;
}

test('sessions in Redis are there in every worker (examples/redis)', { skip }, async (t) => {
  const env = async (on: TestContext) => ({ REDIS_URL: await startRedis(on) });
  await onEach(t, 'redis', env, async (server) => {
    let headers: Record<string, string> = {};
    const answers = await untilBothAnswered(server, async () => {
      const answer = await server.get('/visits', { headers });
      const [cookie] = answer.headers['set-cookie'] ?? [];
      if (cookie !== undefined) headers = { cookie: cookie.split(';')[0] as string };
      return answer;
    });
    const visits = answers.map(({ body }) => JSON.parse(body).visits);
    assert.deepEqual(
      visits,
      visits.map((_, i) => i + 1),
    );
  });
});

test('rate limits in Redis count over all workers (examples/redis)', { skip }, async (t) => {
  const env = async (on: TestContext) => ({ REDIS_URL: await startRedis(on) });
  await onEach(t, 'redis', env, async (server) => {
    const limited: Answer[] = [];
    await waitFor('40 answers, of both workers', async () => {
      limited.push(...(await Promise.all(Array.from({ length: 8 }, () => server.get('/limited')))));
      return limited.length >= 40 && new Set(limited.map(({ headers }) => headers['x-worker'])).size === 2;
    });
    const refused = limited.filter(({ status }) => status === 429);
    assert.equal(limited.length - refused.length, 20);
    assert.equal(limited.filter(({ status }) => status === 200).length, 20);
    const logins = await Promise.all(Array.from({ length: 20 }, () => server.get('/login?user=a')));
    assert.equal(logins.filter(({ status }) => status === 401).length, 5);
    assert.equal(logins.filter(({ status }) => status === 429).length, 15);
    assert.ok(logins.every(({ status, headers }) => status === 401 || Number(headers['retry-after']) > 0));
    assert.equal((await server.get('/login?user=b')).status, 401, 'another user has a limit of its own');
  });
});

for (const app of ['app.js', 'better-sqlite3.js']) {
  test(`no deposit is lost or refused where two workers write to one SQLite file (examples/sqlite/${app})`, async (t) => {
    const env = (on: TestContext) => ({ TSUNICORN_APP: app, DATABASE: join(temporary(on), 'accounts.db') });
    await onEach(t, 'sqlite', env, async (server) => {
      const seen = new Set<number>();
      let sum = 0;
      const client = async (): Promise<void> => {
        for (let i = 0; i < 50 || seen.size < 2; i++) {
          const answer = await server.get('/alice?amount=1', { method: 'POST' });
          assert.equal(answer.status, 200, answer.body);
          seen.add(pidIn(answer));
          sum += 1;
        }
      };
      await Promise.all(Array.from({ length: 16 }, client));
      assert.equal(JSON.parse((await server.get('/alice')).body).balance, sum);
    });
  });
}

test('a BullMQ worker beside the server does the jobs of all workers (examples/bullmq)', { skip }, async (t) => {
  let url = '';
  const env = async (on: TestContext) => {
    url = await startRedis(on);
    return { REDIS_URL: url };
  };
  await onEach(t, 'bullmq', env, async (server, node, on, home) => {
    const worker = spawn(node.path, ['worker.js'], { cwd: home, env: { ...process.env, REDIS_URL: url } });
    on.after(() => worker.kill('SIGKILL'));
    let output = '';
    for (const stream of [worker.stdout, worker.stderr])
      stream.setEncoding('utf8').on('data', (text) => (output += text));
    const exited = new Promise((resolve) => worker.once('close', resolve));
    await waitFor('the BullMQ worker is ready', () => output.includes('takes jobs'), {
      state: () => output,
      seconds: 60,
    });
    const queued = await untilBothAnswered(server, () => server.get('/mail?to=a@example.org', { method: 'POST' }));
    for (const { body, status } of queued) {
      assert.equal(status, 202, body);
      const done = await waitFor('the job is done', async () => {
        const answer = JSON.parse((await server.get(`/mail/${JSON.parse(body).id}`)).body);
        return answer.state === 'completed' && answer;
      });
      assert.deepEqual(done.result, { sent: 'a@example.org', pid: worker.pid });
    }
    // Ends in order with a job under way.
    const { body } = await server.get('/mail?to=b@example.org', { method: 'POST' });
    const state = async () => JSON.parse((await server.get(`/mail/${JSON.parse(body).id}`)).body).state;
    await waitFor('the job is under way', async () => (await state()) !== 'waiting');
    worker.kill('SIGTERM');
    assert.equal(await exited, 0, output);
    assert.match(output, /all jobs are finished/);
    assert.equal(await state(), 'completed');
  });
});

test('a file uploaded to one worker is served whole by every worker (examples/uploads)', async (t) => {
  let uploads = '';
  const env = (on: TestContext) => {
    uploads = temporary(on);
    return { UPLOADS: uploads };
  };
  await onEach(t, 'uploads', env, async (server) => {
    const file = randomBytes(3 << 20);
    const form = new FormData();
    form.set('file', new Blob([file]), '../../a name of the client.bin');
    const encoded = new Response(form);
    const answer = await server.get('/files', {
      method: 'POST',
      headers: { 'content-type': encoded.headers.get('content-type') ?? '' },
      body: Buffer.from(await encoded.arrayBuffer()),
    });
    assert.equal(answer.status, 201, answer.body);
    const { id, bytes } = JSON.parse(answer.body);
    assert.equal(bytes, file.length);
    const workers = new Set<string>();
    await waitFor('the file from each worker', async () => {
      const response = await fetch(`http://127.0.0.1:${server.port}/files/${id}`, { headers: { connection: 'close' } });
      workers.add(response.headers.get('x-worker') ?? '');
      assert.equal(sha256(Buffer.from(await response.arrayBuffer())), sha256(file));
      return workers.size === 2;
    });
    assert.deepEqual(readdirSync(join(uploads, '.unfinished')), []);
  });
});

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

interface Said {
  readonly job: string;
  readonly worker: number;
  readonly at: number;
}

test('jobs of node-cron, croner and node-schedule run once, also across a reload and a kill (examples/leader)', async (t) => {
  await onEach(
    t,
    'leader',
    () => ({}),
    async (server) => {
      const said = (): Said[] =>
        server.stdout.split('\n').flatMap((line) => (line.startsWith('{"job"') ? [JSON.parse(line)] : []));
      const untilAllRun = async (what: string, isNew: (workerId: number) => boolean): Promise<number> => {
        const options = { seconds: 30, state: () => server.stderr.slice(-2000) };
        return await waitFor(
          `all jobs ${what}`,
          () => {
            const last = said().filter(({ worker }) => isNew(worker));
            return new Set(last.map(({ job }) => job)).size === 3 && last[0]?.worker;
          },
          options,
        );
      };
      const first = await untilAllRun('at the start', () => true);
      server.signal('SIGHUP');
      const second = await untilAllRun('after a reload', (id) => id > first && id > 2);
      const { workers } = JSON.parse((await server.admin('/status')).body);
      const { pid } = workers.find(({ workerId }: { workerId: number }) => workerId === second);
      process.kill(pid, 'SIGKILL');
      await untilAllRun('after a kill', (id) => id !== first && id !== second);
      // No job runs again in a worker that another one has followed.
      for (const runs of Map.groupBy(said(), ({ job }) => job).values()) {
        const inOrder = runs.toSorted((x, y) => x.at - y.at).map(({ worker }) => worker);
        const changes = inOrder.filter((worker, i) => worker !== inOrder[i - 1]);
        assert.equal(new Set(changes).size, changes.length, String(inOrder));
      }
    },
    /worker ended: SIGKILL/,
  );
});
