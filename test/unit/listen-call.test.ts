import assert from 'node:assert/strict';
import net from 'node:net';
import { describe, it } from 'node:test';
import { parseListenCall } from '../../src/worker/standalone/listen-call.ts';

const done = (): void => {};
const { signal } = new AbortController();

interface Asked {
  readonly port?: number;
  readonly host?: string;
  readonly path?: string;
  readonly backlog?: number;
  readonly callback?: boolean;
  readonly signal?: AbortSignal;
}

const rows: [what: string, args: unknown[], asked: Asked][] = [
  ['nothing', [], { port: 0 }],
  ['a callback', [done], { port: 0, callback: true }],
  ['null', [null], { port: 0 }],
  ['undefined, as of a variable that is not set', [undefined, done], { port: 0, callback: true }],
  ['a port', [3000], { port: 3000 }],
  ['a port as text', ['3000'], { port: 3000 }],
  ['a port and a callback', [3000, done], { port: 3000, callback: true }],
  ['a port and a host', [3000, 'localhost'], { port: 3000, host: 'localhost' }],
  ['a port and a backlog', [3000, 64, done], { port: 3000, backlog: 64, callback: true }],
  ['all', [3000, '::1', 64, done], { port: 3000, host: '::1', backlog: 64, callback: true }],
  ['a host that is not set', [3000, undefined, done], { port: 3000, callback: true }],
  ['a path', ['/run/app.sock', done], { path: '/run/app.sock', callback: true }],
  ['a path and a backlog', ['/run/app.sock', 64], { path: '/run/app.sock', backlog: 64 }],
  ['options', [{ port: 3000, host: 'localhost', backlog: 64 }], { port: 3000, host: 'localhost', backlog: 64 }],
  ['options with a port as text', [{ port: '3000' }, done], { port: 3000, callback: true }],
  ['options with a port that is not set', [{ port: undefined }], { port: 0 }],
  ['options with a path', [{ path: '/run/app.sock' }], { path: '/run/app.sock' }],
  ['options with a signal', [{ port: 1, signal }], { port: 1, signal }],
  ['a descriptor', [{ fd: 3 }], {}],
];

describe('a call of listen()', () => {
  for (const [what, args, asked] of rows) {
    it(`with ${what}`, () => {
      const call = parseListenCall(args);
      assert.ok(call);
      const { port, options, callback } = call;
      const { host, path, backlog } = options;
      assert.deepEqual(
        { port, host, path, backlog, callback: callback !== undefined, signal: options.signal },
        {
          port: asked.port,
          host: asked.host,
          path: asked.path,
          backlog: asked.backlog,
          callback: asked.callback ?? false,
          signal: asked.signal,
        },
      );
    });
  }

  for (const [what, args] of [
    ['a port that is none', [70_000]],
    ['a negative port', [-1]],
    ['half a port', [30.5]],
    ['options that say nothing', [{}]],
    ['a truth value', [true]],
  ] as const) {
    it(`with ${what} is left to Node.js, which throws`, () => {
      assert.equal(parseListenCall(args), undefined);
      const server = net.createServer();
      assert.throws(() => Reflect.apply(server.listen, server, args));
    });
  }
});
