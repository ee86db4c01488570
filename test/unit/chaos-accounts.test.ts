import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { unexplained } from '../chaos/accounts.ts';
import type { Failure } from '../chaos/clients.ts';

const DEATHS = [{ pid: 7, at: 10_000 }];
const BURSTS = [{ from: 50_000, to: 53_000 }];

describe('a failure of the chaos test', () => {
  for (const [what, failure, explained] of [
    ['with the worker that was killed', { pid: 7, from: 9_900, at: 10_001 }, true],
    ['with it, sent before the client had heard of it', { pid: 7, from: 10_001, at: 10_002 }, true],
    ['with another worker', { pid: 8, from: 9_900, at: 10_001 }, false],
    ['with it, long before', { pid: 7, from: 5_000, at: 5_001 }, false],
    ['on a new connection as it was killed', { pid: undefined, from: 9_900, at: 10_001 }, true],
    ['on a new connection after that', { pid: undefined, from: 10_001, at: 10_002 }, false],
    ['on a new connection without descriptors', { pid: undefined, from: 51_000, at: 51_001 }, true],
    ['on an old connection without descriptors', { pid: 8, from: 51_000, at: 51_001 }, false],
    ['that nobody answered in time', { pid: 7, from: 9_900, at: 10_001, cause: 'no answer in time' }, false],
    ['to connect', { pid: undefined, from: 9_900, at: 10_001, cause: 'connect ECONNREFUSED' }, false],
  ] as const) {
    it(`${what} is ${explained ? 'accounted for' : 'lost'}`, () => {
      const one: Failure = { client: 'short', cause: 'ended', ...failure };
      assert.deepEqual(unexplained([one], DEATHS, BURSTS), explained ? [] : [one]);
    });
  }
});
