import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { AccessLog } from '../../src/observe/log/access-log.ts';
import { Blocks, exchange, json } from './access-log-kit.ts';

describe('blocks', () => {
  it('hold whole lines, no more than the destination takes in one piece', async () => {
    const out = new Blocks(1000);
    const log = new AccessLog(out, json());
    for (let i = 0; i < 50; i++) log.request(exchange({ url: `/${i}${'x'.repeat(i * 5)}` }), 200, 0);
    await log.close();
    assert.ok(out.blocks.every((b) => b.length <= 1000 && b.endsWith('}\n')));
    assert.ok(out.blocks.length < 40, 'several lines a block');
    const paths = out.blocks
      .join('')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).path);
    assert.deepEqual(
      paths.map((p) => Number.parseInt(p.slice(1), 10)),
      Array.from({ length: 50 }, (_, i) => i),
    );
  });

  it('are one line alone where that is longer', async () => {
    const out = new Blocks(1000);
    const log = new AccessLog(out, json());
    log.request(exchange({ url: '/a' }), 200, 0);
    log.request(exchange({ url: `/${'é'.repeat(1000)}` }), 200, 0);
    log.request(exchange({ url: '/b' }), 200, 0);
    await log.close();
    assert.deepEqual(
      out.blocks.map((b) => b.split('\n').length - 1),
      [1, 1, 1],
    );
  });

  it('are measured in bytes', async () => {
    const out = new Blocks(2000);
    const log = new AccessLog(out, json());
    for (let i = 0; i < 40; i++) log.request(exchange({ url: `/${'ü€\u{1f984}'.repeat(10)}` }), 200, 0);
    await log.close();
    assert.ok(out.blocks.every((b) => Buffer.byteLength(b) <= 2000));
  });

  it('are written within a moment, and once', async () => {
    const out = new Blocks();
    const log = new AccessLog(out, json());
    log.request(exchange(), 200, 0);
    log.request(exchange(), 200, 0);
    assert.equal(out.blocks.length, 0);
    await sleep(250);
    assert.deepEqual(
      out.blocks.map((b) => b.split('\n').length - 1),
      [2],
    );
    await log.close();
    assert.deepEqual(out.calls, ['write', 'close']);
    log.request(exchange(), 200, 0);
    await sleep(250);
    assert.deepEqual(out.calls, ['write', 'close', 'write']);
  });

  it('are written to the old file before the new one is opened', () => {
    const out = new Blocks();
    const log = new AccessLog(out, json());
    log.request(exchange(), 200, 0);
    log.reopen();
    log.reopen();
    assert.deepEqual(out.calls, ['write', 'reopen', 'reopen']);
  });

  it('tell what the destination dropped', () => {
    assert.equal(new AccessLog(new Blocks(), json()).takeDropped(), 3);
  });
});
