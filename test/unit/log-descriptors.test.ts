/** pino is loaded with the first line, also where that line comes while the process has no descriptor left. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

const SCRIPT = `
  import { closeSync, openSync } from 'node:fs';
  import { openServerLog } from '${new URL('../../src/observe/log/server-log.ts', import.meta.url)}';
  const log = openServerLog({ logLevel: 'info', logFormat: 'json', errorLog: '-' }, { pid: process.pid });
  const open = [];
  try {
    for (;;) open.push(openSync('/dev/null'));
  } catch (error) {
    console.log(error.code);
  }
  log.logger.info('lost');
  for (const fd of open) closeSync(fd);
  log.logger.info('written');
  await log.destination.close();
`;

test('without a descriptor to load pino with a line is lost, and the next one is not', () => {
  const args = ['-c', 'ulimit -n 64 && exec "$@"', 'sh', process.execPath, '--input-type=module', '-e', SCRIPT];
  const { status, stdout, stderr } = spawnSync('sh', args, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  assert.equal(stdout, 'EMFILE\n');
  const messages = stderr.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line).msg] : []));
  assert.deepEqual(messages, ['written'], stderr);
});
