/** The image: what is in it, and what it needs to run. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { baseImages, podmanCommand, ROOT, skipReason } from './support/machine.ts';
import { build, Container, HARDENED, IMAGE, podman, tryPodman } from './support/podman.ts';

const APP = `--volume=${ROOT}test/container/app:/app:ro`;
const once = (image: string, ...args: string[]) =>
  tryPodman(['run', '--rm', '--pull=never', '--network=none', ...HARDENED, image, ...args]);

interface Config {
  readonly User: string;
  readonly WorkingDir: string;
  readonly Entrypoint: readonly string[];
  readonly ExposedPorts: Readonly<Record<string, unknown>>;
  readonly Env: readonly string[];
  readonly Labels: Readonly<Record<string, string>>;
  readonly StopSignal: string;
  readonly Healthcheck: { readonly Test: readonly string[] };
}

async function configOf(image: string): Promise<Config> {
  const text = await podman('image', 'inspect', '--format={{json .Config}}', image);
  const health = await podman('image', 'inspect', '--format={{json .HealthCheck}}', image);
  return { Healthcheck: JSON.parse(health), ...JSON.parse(text) };
}

suite('the image', { skip: skipReason() }, () => {
  const images = [IMAGE, 'localhost/tsunicorn:distroless'];

  test('the shell-less target builds from the same Dockerfile', async () => {
    await build({ context: ROOT, tag: 'localhost/tsunicorn:distroless', args: ['--target=distroless'] });
    const { code } = await tryPodman([
      'run',
      '--rm',
      '--pull=never',
      '--entrypoint=sh',
      'localhost/tsunicorn:distroless',
    ]);
    assert.notEqual(code, 0);
  });

  for (const image of images) {
    test(`${image} declares what orchestrators ask for`, async () => {
      const config = await configOf(image);
      assert.match(config.User, /^[1-9]\d*:[1-9]\d*$/);
      assert.equal(config.WorkingDir, '/app');
      assert.deepEqual(config.Entrypoint, ['node', '--disable-sigusr1', '/opt/tsunicorn/dist/main.js']);
      assert.deepEqual(Object.keys(config.ExposedPorts).sort(), ['10464/tcp', '8000/tcp']);
      assert.ok(config.Env.includes('NODE_ENV=production'));
      assert.equal(config.Labels['org.opencontainers.image.title'], 'tsunicorn');
      assert.equal(config.StopSignal, 'SIGTERM');
      assert.deepEqual(config.Healthcheck.Test, ['CMD', 'node', '/opt/tsunicorn/dist/main.js', 'healthcheck']);
    });

    test(`${image} runs each command, read-only and without capabilities`, async () => {
      assert.match((await once(image, 'version')).stdout, /^tsunicorn \d+\.\d+\.\d+ on Node\.js v26\./);
      assert.match((await once(image, 'config')).stdout, /^TSUNICORN_CHDIR +\/app +default$/m);
      assert.match((await once(image, 'check')).stdout, /^ok: /);
      assert.equal((await once(image, 'healthcheck')).code, 1);
      assert.equal((await once(image, 'nonsense')).code, 78);
    });
  }

  test('the layers on top of the base add at most 12 MB', async () => {
    const size = async (image: string) => Number(await podman('image', 'inspect', '--format={{.Size}}', image));
    const added = (await size(IMAGE)) - (await size('docker.io/library/node:26-bookworm-slim'));
    assert.ok(added > 0 && added < 12e6, `${added} bytes`);
  });

  test('it holds nothing that only developers need', async () => {
    const found = await once(IMAGE, 'version').then(() =>
      podman(
        ...['run', '--rm', '--pull=never', '--network=none', '--entrypoint=find', IMAGE, '/opt/tsunicorn'],
        ...['(', '-name', '*.ts', '-o', '-name', '*.map', '-o', '-name', 'typescript', '-o', '-name', '.npm', ')'],
      ),
    );
    assert.equal(found, '');
  });

  test('the compile cache is warm, and nothing else is writable by its user', async () => {
    const user = '10001:10001';
    const look = (image: string, script: string) =>
      podman(
        'run',
        '--rm',
        '--pull=never',
        '--network=none',
        `--user=${user}`,
        '--entrypoint=node',
        image,
        '-e',
        script,
      );
    for (const image of images) {
      const entries = await look(image, 'console.log(fs.readdirSync(process.env.NODE_COMPILE_CACHE).join())');
      assert.match(entries, /^v26\.[\w.-]+-10001\n$/);
      const writable = `const ok = (p) => { try { fs.accessSync(p, 2); return true; } catch { return false; } };
        console.log(['/', '/app', '/opt/tsunicorn', '/run/tsunicorn', '/tmp', '/usr/local/bin', '/var/cache/tsunicorn'].filter(ok).join())`;
      assert.equal(await look(image, writable), '/run/tsunicorn,/tmp,/var/cache/tsunicorn\n');
    }
  });

  for (const user of ['10001:10001', '54321:54321', '1000660000:0']) {
    test(`runs as PID 1 under user ${user}, read-only, without capabilities`, async (t) => {
      const app = await Container.start(t, { args: [APP, `--user=${user}`] });
      await app.untilLogged('worker is ready');
      const status = await app.exec('sh', '-c', 'cat /proc/1/status');
      assert.match(status, /^CapEff:\t0+$/m);
      assert.match(status, /^NoNewPrivs:\t1$/m);
      assert.match(status, new RegExp(`^Uid:\t${user.split(':')[0]}\t`, 'm'));
      assert.match(await app.exec('sh', '-c', 'tr "\\0" " " </proc/1/cmdline'), /^(tsunicorn: arbiter|node )/);
      await assert.rejects(app.exec('sh', '-c', 'touch /opt/tsunicorn/x || touch /app/x'), /Read-only/);
      assert.match(await app.exec('tsunicorn', 'healthcheck'), /"ready":true/);
      assert.equal((await tryPodman(['healthcheck', 'run', app.name])).code, 0);
      assert.equal(await app.stop(), 0);
    });
  }

  test('it has the live page', async (t) => {
    const app = await Container.start(t, { args: [APP] });
    await app.untilLogged('worker is ready');
    const script = `for (const path of ['', 'page/main.js', 'page/page.css', 'status']) {
      const { status, headers } = await fetch('http://127.0.0.1:10464/' + path);
      console.log(status, headers.get('content-type').split(';')[0]);
    }`;
    assert.equal(
      await app.exec('node', '--input-type=module', '-e', script),
      '200 text/html\n200 text/javascript\n200 text/css\n200 application/json\n',
    );
  });

  for (const { cpus, workers } of [
    { cpus: '0.5', workers: 1 },
    { cpus: '1', workers: 1 },
    { cpus: '1.5', workers: 2 },
    { cpus: '2', workers: 2 },
  ]) {
    test(`a CPU quota of ${cpus} gives ${workers} worker${workers > 1 ? 's' : ''}`, async (t) => {
      const app = await Container.start(t, { args: [APP, `--cpus=${cpus}`] });
      await app.untilLogged('worker is ready', workers);
      assert.equal((await app.workers()).length, workers);
      assert.match(await app.logs(), new RegExp(`quota ${cpus} from /sys/fs/cgroup/`));
    });
  }

  for (const { signal, code } of [
    { signal: 'TERM', code: 0 },
    { signal: 'INT', code: 0 },
    { signal: 'QUIT', code: 0 },
    { signal: 'KILL', code: 137 },
  ]) {
    test(`SIG${signal} to PID 1 ends with exit code ${code}`, async (t) => {
      const app = await Container.start(t, { args: [APP] });
      await app.untilLogged('worker is ready');
      await app.signal(signal);
      assert.equal(Number(await podman('wait', app.name)), code);
    });
  }

  test('a secret comes from a file, and bad settings are refused', async (t) => {
    const app = await Container.start(t, {
      args: [APP, `--volume=${ROOT}test/container/app/package.json:/run/secrets/workers:ro`],
      env: { TSUNICORN_WORKERS_FILE: '/run/secrets/workers' },
    });
    assert.equal(Number(await podman('wait', app.name)), 78);
    assert.match(await app.logs(), /TSUNICORN_WORKERS_FILE=\/run\/secrets\/workers: its content must be/);
  });

  test('builds with Node.js 24 too', async () => {
    await baseImages(podmanCommand(), ['slim-24', 'full-24']);
    await build({ context: ROOT, tag: 'localhost/tsunicorn:24', args: ['--build-arg=NODE_VERSION=24'] });
    assert.match((await once('localhost/tsunicorn:24', 'version')).stdout, /on Node\.js v24\./);
  });
});
