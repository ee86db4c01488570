import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import {
  accept,
  answering,
  connect,
  listeners,
  listening,
  refuses,
  socketPath,
  temporary,
  undo,
  unix,
} from './sockets-kit.ts';

const LINUX = process.platform === 'linux' ? false : 'abstract sockets need Linux';

describe('a unix socket', () => {
  it('is shared by all slots', async () => {
    const path = socketPath();
    const bound = listeners();
    await bound.bind([unix(path)], 2);
    assert.deepEqual(
      [0, 1].map((slot) => bound.of(slot).map((l) => l.key)),
      [['0/shared'], ['0/shared']],
    );
    assert.deepEqual(bound.urls, [`unix:${path}`]);
    accept(bound.get('0/shared'), 'hello');
    assert.equal(await connect({ path }), 'hello');
  });

  it('is one a slot where its path says so', async () => {
    const directory = join(temporary, 'slots');
    mkdirSync(directory);
    const bound = listeners(false);
    await bound.bind([unix(join(directory, '{slot}-{slot}.sock'))], 2);
    await bound.ensureSlots(3);
    for (const slot of [0, 1, 2]) accept(bound.acceptedBy({ slot: -1 }, slot)[0], `slot ${slot}`);
    for (const slot of [0, 1, 2]) {
      assert.equal(await connect({ path: join(directory, `${slot}-${slot}.sock`) }), `slot ${slot}`);
    }
    bound.release();
    for (const slot of [0, 1, 2]) assert.equal(existsSync(join(directory, `${slot}-${slot}.sock`)), false);
  });

  it('has no file where it is abstract, and one a slot where its name says so', { skip: LINUX }, async () => {
    const name = `\0tsunicorn-${process.pid}-`;
    const bound = listeners(false);
    await bound.bind([unix(`${name}shared`), unix(`${name}{slot}`)], 2);
    assert.deepEqual(bound.urls, [`unix:@${name.slice(1)}shared`, ...[0, 1].map((s) => `unix:@${name.slice(1)}${s}`)]);
    accept(bound.get('0/shared'), 'shared');
    for (const slot of [0, 1]) accept(bound.acceptedBy({ slot: 2 }, slot)[0], `slot ${slot}`);
    assert.equal(await connect({ path: `${name}shared` }), 'shared');
    for (const slot of [0, 1]) assert.equal(await connect({ path: `${name}${slot}` }), `slot ${slot}`);
    await assert.rejects(listeners().bind([unix(`${name}shared`)], 1), /cannot bind unix:@.*-shared: .*EADDRINUSE/);
  });

  it('has the mode that was asked for, whatever the umask, and leaves the umask as it was', async () => {
    const umask = process.umask();
    undo.push(() => process.umask(umask));
    for (const mask of [0o022, 0o077, 0]) {
      for (const mode of [0o666, 0o600, 0o660, 0o777, 0]) {
        process.umask(mask);
        const path = socketPath();
        await listeners(true, mode).bind([unix(path)], 1);
        assert.equal(statSync(path).mode & 0o777, mode);
        assert.equal(process.umask(), mask);
      }
    }
  });

  it('leaves the umask as it was also where it is refused', async () => {
    const umask = process.umask();
    await refuses([unix(join(temporary, 'no/such/directory.sock'))], /ENOENT/);
    assert.equal(process.umask(), umask);
  });

  it('takes the place of a stale one', async () => {
    const path = socketPath();
    const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
    spawnSync(process.execPath, ['-e', script]);
    assert.ok(lstatSync(path).isSocket(), 'it was left behind');
    const bound = listeners();
    await bound.bind([unix(path)], 1);
    accept(bound.get('0/shared'), 'new');
    assert.equal(await connect({ path }), 'new');
  });

  it('is refused where another server listens, which goes on', async () => {
    const path = socketPath();
    await listening(answering('still here'), path);
    await refuses([unix(path)], /^cannot bind unix:.*in use by another process \(EADDRINUSE\)/);
    assert.equal(await connect({ path }), 'still here');
  });

  it('is refused where a slot of another server listens', async () => {
    const path = socketPath();
    await listening(net.createServer(), path.replace('.sock', '1.sock'));
    await refuses([unix(path.replace('.sock', '{slot}.sock'))], /EADDRINUSE/);
    assert.equal(existsSync(path.replace('.sock', '0.sock')), true);
  });

  it('is refused where a file, a directory or a link is in the way, which is left alone', async () => {
    const [file, directory, link, dangling] = [socketPath(), socketPath(), socketPath(), socketPath()];
    writeFileSync(file, 'precious');
    mkdirSync(directory);
    symlinkSync(file, link);
    symlinkSync(join(temporary, 'nowhere'), dangling);
    for (const path of [file, directory, link, dangling]) {
      await refuses([unix(path)], /a file that is not a socket is in the way; it was left alone/);
      assert.ok(lstatSync(path));
    }
    assert.equal(readFileSync(file, 'utf8'), 'precious');
  });

  it('is refused where there is no directory', async () => {
    await refuses([unix(join(temporary, 'none/a.sock'))], /directory of the socket does not exist \(ENOENT\)/);
    writeFileSync(join(temporary, 'plain'), '');
    await refuses([unix(join(temporary, 'plain/a.sock'))], /is not a directory \(ENOTDIR\)/);
  });

  it('is removed at the release, but not the file that another server put there since', async () => {
    const [own, taken, gone] = [socketPath(), socketPath(), socketPath()];
    const bound = listeners();
    await bound.bind([unix(own), unix(taken), unix(gone)], 1);
    rmSync(taken);
    await listening(answering('another'), taken);
    rmSync(gone);
    bound.release();
    assert.equal(existsSync(own), false);
    assert.equal(await connect({ path: taken }), 'another');
  });
});
