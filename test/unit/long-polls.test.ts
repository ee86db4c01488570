import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pollingRequest } from '../../src/worker/http/long-polls.ts';

const CASES: [method: string, url: string, expected: ReturnType<typeof pollingRequest>][] = [
  ['GET', '/socket.io/?EIO=4&transport=polling&t=abc&sid=x-1', { session: 'x-1', close: '1' }],
  ['GET', '/chat/?sid=x&EIO=3&transport=polling', { session: 'x', close: '1:1' }],
  ['POST', '/socket.io/?EIO=4&transport=polling&sid=x', { session: 'x', close: undefined }],
  ['GET', '/socket.io/?EIO=4&transport=polling', undefined],
  ['GET', '/socket.io/?EIO=4&transport=polling&sid=', undefined],
  ['GET', '/socket.io/?EIO=4&transport=websocket&sid=x', undefined],
  ['GET', '/socket.io/?EIO=5&transport=polling&sid=x', undefined],
  ['GET', '/socket.io/?EIO=3&transport=polling&sid=x&j=0', undefined],
  ['GET', '/?transport=polling&sid=x', undefined],
  ['GET', '/', undefined],
];

for (const [method, url, expected] of CASES) {
  test(`${method} ${url}`, () => assert.deepEqual(pollingRequest(method, url), expected));
}
