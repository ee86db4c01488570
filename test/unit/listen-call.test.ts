import assert from 'node:assert/strict';
import net from 'node:net';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
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
});

/** What a server of Node.js' own does with the same arguments, up to the system call. */
interface Bound {
  readonly port: number | undefined;
  readonly path: string | undefined;
  readonly fd: number | undefined;
  readonly backlog: number | undefined;
}

/** Node.js binds through this method, after it has made sense of the arguments and looked up the host. */
type Binds = net.Server & {
  _listen2: (address: string | null, port: number | null, type: number, backlog: number, fd?: number) => void;
};

/** The code of the error that Node.js throws, or what it binds. */
async function inNode(args: unknown[]): Promise<string | Bound> {
  const server = net.createServer() as Binds;
  const { promise, resolve } = Promise.withResolvers<Bound>();
  server._listen2 = (address, port, _type, backlog, fd) => {
    const isPath = fd === undefined && port === -1;
    resolve({
      port: fd === undefined && !isPath ? (port ?? undefined) : undefined,
      path: isPath ? (address ?? undefined) : undefined,
      fd,
      backlog: Number(backlog) || undefined,
    });
  };
  try {
    Reflect.apply(server.listen, server, args);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
  return await promise;
}

/** Of the same kind as {@link inNode}; undefined where Node.js is left to throw. */
function parsed(args: unknown[]): Bound | undefined {
  const call = parseListenCall(args);
  if (!call) return undefined;
  const { port, options } = call;
  return { port, path: options.path, fd: options.fd, backlog: Number(options.backlog) || undefined };
}

const PATH = '/run/app.sock';
const local = '127.0.0.1';

/** Each compared with what Node.js does. */
const asInNode: unknown[][] = [
  // adapter-node of SvelteKit
  [{ path: false, host: local, port: 3000 }],
  [{ path: null, host: local, port: '3000' }, done],
  [{ path: undefined, host: local, port: 3000 }],
  [{ path: '', port: 3000 }],
  [{ path: PATH, port: 3000 }],
  [{ path: PATH, port: undefined }],
  [{ path: PATH, port: null }],
  [{ path: PATH, port: false }],
  [{ path: PATH, host: local, backlog: 5 }],
  [{ path: PATH }, 7],
  [{ path: '3000' }],
  [{ path: 3000 }],
  [{ path: false }],
  [{ path: '' }],
  [{ port: false }],
  [{ port: true }],
  [{ port: '' }],
  [{ port: ' ' }],
  [{ port: Number.NaN }],
  [{ port: Number.POSITIVE_INFINITY }],
  [{ port: -1 }],
  [{ port: '-1' }],
  [{ port: 65_535 }],
  [{ port: 65_536 }],
  [{ port: 3000.5 }],
  [{ port: [3000] }],
  [{ port: '08' }],
  [{ port: '0x1F90' }],
  [{ port: ' 3000 ' }],
  [{ port: 3000, host: '' }],
  [{ port: 3000, host: false }],
  [{ port: 3000, host: 5 }],
  [{ port: 3000, host: local, ipv6Only: true, exclusive: true }],
  [{ port: 3000, backlog: 64 }],
  [{ port: 3000, backlog: '64' }],
  [{ port: 3000 }, 64],
  [{ port: 3000 }, undefined, 64, done],
  [{ port: 3000, signal }],
  [{ port: 3000, signal: {} }],
  [{ port: 3000, signal: null }],
  [{ fd: 3 }],
  [{ fd: 3, port: 3000 }],
  [{ fd: 3, path: PATH }, 9],
  [{ fd: -1 }],
  [{ fd: -1, port: 3000 }],
  [{ fd: '3' }],
  [{ handle: { port: 3000 } }],
  [{ host: local }],
  [{}],
  [[]],
  [],
  [done],
  [null],
  [null, done],
  [undefined],
  [undefined, local],
  [3000, local, 64],
  [3000, null, 64],
  [3000, 64, done],
  [3000, '64'],
  [3000, -5],
  ['3000', local],
  ['08'],
  ['-1'],
  ['1e3'],
  [''],
  [' '],
  ['app.sock', done],
  ['@abstract'],
  [PATH, 64],
  [-1],
  [70_000],
  [30.5],
  [Number.NaN],
  [true],
  [false],
  [3000n],
];

describe('a call of listen() does what Node.js does', () => {
  for (const args of asInNode) {
    it(inspect(args, { breakLength: Number.POSITIVE_INFINITY }), async () => {
      const ours = parsed(args);
      const node = await inNode(args); // afterwards, since it writes into its options
      if (typeof node === 'string') assert.equal(ours, undefined, `Node.js throws ${node}`);
      else assert.deepEqual(ours, node);
    });
  }
});
