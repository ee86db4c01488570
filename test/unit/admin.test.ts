/** The admin port when something behind it fails. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type AdminSource, serveAdmin } from '../../src/admin/routes.ts';
import { freePort } from '../support/server.ts';
import { STATUS } from './status-kit.ts';

describe('the admin port', () => {
  let fails = true;
  const source: AdminSource = {
    readiness: () => STATUS.readiness,
    metrics: async () => ({ contentType: 'text/plain', text: '' }),
    status: async () => (fails ? Promise.reject(new Error('out of descriptors')) : STATUS),
  };
  let origin = '';
  let close = async (): Promise<void> => {};
  before(async () => {
    const port = await freePort();
    origin = `http://127.0.0.1:${port}`;
    close = await serveAdmin({ kind: 'tcp', host: '127.0.0.1', port }, 0o666, source);
  });
  after(() => close());

  it('answers 500, and goes on', async () => {
    const failed = await fetch(`${origin}/status`);
    assert.equal(failed.status, 500);
    assert.equal(await failed.text(), 'out of descriptors\n');
    fails = false;
    const answer = await fetch(`${origin}/status?pretty`);
    assert.equal(answer.status, 200);
    assert.deepEqual(await answer.json(), STATUS);
  });
});
