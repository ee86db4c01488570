/** Where values come from, and what is said when they do not fit. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Environment, loadSettings, loadTable } from '../../src/config/load.ts';
import { integer, string } from '../../src/config/parsers.ts';
import { BadValue, type Table } from '../../src/config/table.ts';
import { ConfigError } from '../../src/errors.ts';

const FILES: Readonly<Record<string, string>> = {
  '/run/four': '4\n',
  '/run/crlf': '4\r\n',
  '/run/two-lines': '4\n\n',
  '/run/quoted': '"4"\n',
  '/run/bom': '\uFEFF4\r\n',
  '/run/empty': '\n',
  '/run/wrong': 'hunter2\n',
  '/srv/app/near': '6',
};

function readFile(path: string): string {
  const content = FILES[path];
  if (content === undefined) throw new Error(`ENOENT: no such file or directory, open '${path}'`);
  return content;
}

function environment(env: Environment['env']): Environment {
  return { env, cwd: '/srv/app', isTerminal: false, readFile };
}

const load = (env: Environment['env']) => loadSettings(environment(env));

function lines(run: () => unknown): string[] {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    assert.equal(error.status, 78);
    return error.message.split('\n');
  }
  return [];
}

const refused = (env: Environment['env']) => lines(() => load(env));

const WORKERS = 'auto or a whole number of at least 1';

test('origins of TSUNICORN_WORKERS', () => {
  const cases: [Record<string, string | undefined>, 'auto' | number, object][] = [
    [{}, 'auto', { kind: 'default' }],
    [{ TSUNICORN_WORKERS: undefined }, 'auto', { kind: 'default' }],
    [{ TSUNICORN_WORKERS: '', WEB_CONCURRENCY: '', TSUNICORN_WORKERS_FILE: '' }, 'auto', { kind: 'default' }],
    [{ TSUNICORN_WORKERS: 'auto' }, 'auto', { kind: 'env', variable: 'TSUNICORN_WORKERS' }],
    [{ TSUNICORN_WORKERS: '2' }, 2, { kind: 'env', variable: 'TSUNICORN_WORKERS' }],
    [{ WEB_CONCURRENCY: '3' }, 3, { kind: 'env', variable: 'WEB_CONCURRENCY' }],
    [{ TSUNICORN_WORKERS: '2', WEB_CONCURRENCY: '3' }, 2, { kind: 'env', variable: 'TSUNICORN_WORKERS' }],
    [{ TSUNICORN_WORKERS: '', WEB_CONCURRENCY: '3' }, 3, { kind: 'env', variable: 'WEB_CONCURRENCY' }],
    [{ TSUNICORN_WORKERS_FILE: '/run/four' }, 4, { kind: 'file', variable: 'TSUNICORN_WORKERS_FILE' }],
    [{ TSUNICORN_WORKERS_FILE: '/run/crlf' }, 4, { kind: 'file', variable: 'TSUNICORN_WORKERS_FILE' }],
    [{ TSUNICORN_WORKERS_FILE: 'near' }, 6, { kind: 'file', variable: 'TSUNICORN_WORKERS_FILE' }],
    [{ WEB_CONCURRENCY_FILE: '/run/four' }, 4, { kind: 'file', variable: 'WEB_CONCURRENCY_FILE' }],
    [
      { TSUNICORN_WORKERS: '', TSUNICORN_WORKERS_FILE: '/run/four' },
      4,
      { kind: 'file', variable: 'TSUNICORN_WORKERS_FILE' },
    ],
    [
      { TSUNICORN_WORKERS_FILE: '/run/four', WEB_CONCURRENCY: '3' },
      4,
      { kind: 'file', variable: 'TSUNICORN_WORKERS_FILE' },
    ],
  ];
  for (const [env, workers, origin] of cases) {
    const loaded = load(env);
    assert.deepEqual([loaded.settings.workers, loaded.origins.workers], [workers, origin], JSON.stringify(env));
  }
});

test('"auto" that loading resolved says so, and which variable asked for it', () => {
  const variable = 'TSUNICORN_DRAIN_DELAY';
  assert.deepEqual(load({}).origins.drainDelay, { kind: 'auto' });
  assert.deepEqual(load({ [variable]: 'AUTO' }).origins.drainDelay, { kind: 'auto', variable });
  assert.deepEqual(load({ [variable]: '0' }).origins.drainDelay, { kind: 'env', variable });
});

test('a file of the real file system', () => {
  const folder = mkdtempSync(join(tmpdir(), 'config-'));
  try {
    writeFileSync(join(folder, 'workers'), '7\n');
    const env = { TSUNICORN_WORKERS_FILE: 'workers' };
    assert.equal(loadSettings({ env, cwd: folder, isTerminal: false }).settings.workers, 7);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('files and values that cannot be used', () => {
  const cases: [Record<string, string>, string[]][] = [
    [
      { TSUNICORN_WORKERS_FILE: '/run/none' },
      [
        "TSUNICORN_WORKERS_FILE=/run/none: the file cannot be read: ENOENT: no such file or directory, open '/run/none'",
      ],
    ],
    [
      { TSUNICORN_WORKERS_FILE: '/a\nb' },
      [
        "TSUNICORN_WORKERS_FILE=/a\\u000ab: the file cannot be read: ENOENT: no such file or directory, open '/a\\u000ab'",
      ],
    ],
    [{ TSUNICORN_WORKERS_FILE: '/run/empty' }, ['TSUNICORN_WORKERS_FILE=/run/empty: the file is empty']],
    [{ TSUNICORN_WORKERS_FILE: '/run/wrong' }, [`TSUNICORN_WORKERS_FILE=/run/wrong: its content must be ${WORKERS}`]],
    [
      { TSUNICORN_WORKERS_FILE: '/run/two-lines' },
      [`TSUNICORN_WORKERS_FILE=/run/two-lines: its content must be ${WORKERS}; remove the line break`],
    ],
    [
      { TSUNICORN_BIND_FILE: '/run/wrong' },
      [
        'TSUNICORN_BIND_FILE=/run/wrong: its content must be a comma-separated list of host:port, [v6]:port, :port, unix:/path, unix:@name and fd://N',
      ],
    ],
    [
      { TSUNICORN_WORKERS: '2', TSUNICORN_WORKERS_FILE: '/run/four' },
      ['TSUNICORN_WORKERS: is set, and so is TSUNICORN_WORKERS_FILE; set only one of them'],
    ],
    [
      { TSUNICORN_WORKERS: '2', WEB_CONCURRENCY: '2', WEB_CONCURRENCY_FILE: '/run/four' },
      ['WEB_CONCURRENCY: is set, and so is WEB_CONCURRENCY_FILE; set only one of them'],
    ],
    [{ WEB_CONCURRENCY: 'x' }, [`WEB_CONCURRENCY=x: must be ${WORKERS}`]],
    // What cannot be read is in no conflict with anything either.
    [
      { TSUNICORN_GRACEFUL_TIMEOUT_FILE: '/run/empty', TSUNICORN_DRAIN_DELAY: '30' },
      ['TSUNICORN_GRACEFUL_TIMEOUT_FILE=/run/empty: the file is empty'],
    ],
    [
      { TSUNICORN_MIN_WORKERS: '3', TSUNICORN_MAX_WORKERS: '0' },
      ['TSUNICORN_MAX_WORKERS=0: must be a whole number of at least 1'],
    ],
    // The address that HOST and PORT make is bad as well, and is not reported again.
    [{ PORT: 'http' }, ['PORT=http: must be a port from 0 to 65535']],
    [{ HOST: 'a b', PORT: '3' }, ['HOST=a b: must be a host name or an IP address']],
  ];
  for (const [env, expected] of cases) assert.deepEqual(refused(env), expected);
});

test('what an env file leaves around a value is named where the value would do without it', () => {
  const KEPT = ' (docker run --env-file takes all that follows the = as the value)';
  const workers: [text: string, shown: string, remove: string | undefined][] = [
    ['4\r', '4\\u000d', 'carriage return'],
    ['"4"', '"4"', 'quotes'],
    ["'4'", "'4'", 'quotes'],
    ['`4`', '`4`', 'quotes'],
    ['"4', '"4', 'quote'],
    ["4'", "4'", 'quote'],
    ['“4”', '“4”', 'typographic quotes'],
    ['‘4’', '‘4’', 'typographic quotes'],
    ['„4“', '„4“', 'typographic quotes'],
    [' 4', ' 4', 'space'],
    ['4 \t', '4 \\u0009', 'space'],
    ['\u00a04', '\\u00a04', 'space'],
    ['4\u200b', '4\\u200b', 'space'],
    ['\uFEFF4', '\\ufeff4', 'byte order mark'],
    ['4\n', '4\\u000a', 'line break'],
    ['4 # four', '4 # four', 'comment'],
    ['4;', '4;', 'semicolon'],
    [' "auto"\r', ' "auto"\\u000d', 'carriage return and the space and the quotes'],
    ['"4" # four', '"4" # four', 'comment and the quotes'],
    ['""', '""', 'quotes'],
    ['"many"', '"many"', undefined],
    ['4 5', '4 5', undefined],
    ['four', 'four', undefined],
  ];
  for (const [text, shown, remove] of workers) {
    const line = `TSUNICORN_WORKERS=${shown}: must be ${WORKERS}`;
    assert.deepEqual(refused({ TSUNICORN_WORKERS: text }), [
      remove === undefined ? line : `${line}; remove the ${remove}${KEPT}`,
    ]);
  }
  const others: [Record<string, string>, string][] = [
    [{ WEB_CONCURRENCY: '4\r' }, 'the carriage return'],
    [{ PORT: "'80'" }, 'the quotes'],
    [{ TSUNICORN_BIND: '":8000"' }, 'the quotes'],
    [{ TSUNICORN_BIND: "'unix:/run/app.sock'" }, 'the quotes'],
    [{ TSUNICORN_LOG_FORMAT: 'json\r' }, 'the carriage return'],
    [{ TSUNICORN_RELOAD: 'off ' }, 'the space'],
    [{ TSUNICORN_DRAIN_DELAY: '"auto"' }, 'the quotes'],
    // What takes any text, but not this: there would be no such file, or a new one.
    [{ TSUNICORN_APP: '"src/app.js"' }, 'the quotes'],
    [{ TSUNICORN_APP: 'src/app.js\r' }, 'the carriage return'],
    [{ TSUNICORN_CHDIR: '/srv/app ' }, 'the space'],
    [{ TSUNICORN_ACCESS_LOG: "'/var/log/a.log'" }, 'the quotes'],
    [{ TSUNICORN_PIDFILE: '“/run/a.pid”' }, 'the typographic quotes'],
    [{ TSUNICORN_NODE_OPTIONS: '"--import ./a.js"' }, 'the quotes'],
    [{ TSUNICORN_WORKERS_FILE: '"/run/four"' }, 'the quotes'],
    [{ TSUNICORN_WORKERS_FILE: '/run/four\r' }, 'the carriage return'],
  ];
  for (const [env, remove] of others) {
    const [line = '', ...more] = refused(env);
    assert.ok(line.endsWith(`; remove ${remove}${KEPT}`), line);
    assert.deepEqual(more, []);
  }
  for (const [path, remove] of [
    ['/run/quoted', 'quotes'],
    ['/run/bom', 'byte order mark'],
  ]) {
    assert.deepEqual(refused({ TSUNICORN_WORKERS_FILE: path }), [
      `TSUNICORN_WORKERS_FILE=${path}: its content must be ${WORKERS}; remove the ${remove}`,
    ]);
  }
});

test('every problem at once, one line each', () => {
  assert.deepEqual(
    refused({
      TSUNICORN_BACKLOG_FILE: '/run/none',
      TSUNICORN_WORKERS: 'a\nb',
      TSUNICORN_TIMEOUT: '-1',
      TSUNICORN_TIMOUT: '30',
      TSUNICORN_MIN_WORKERS: '3',
      TSUNICORN_MAX_WORKERS: '2',
    }),
    [
      "TSUNICORN_BACKLOG_FILE=/run/none: the file cannot be read: ENOENT: no such file or directory, open '/run/none'",
      `TSUNICORN_WORKERS=a\\u000ab: must be ${WORKERS}`,
      'TSUNICORN_TIMEOUT=-1: must be a number of seconds from 0 to 2147483, such as 30 or 0.5',
      'TSUNICORN_TIMOUT: is not a setting; did you mean TSUNICORN_TIMEOUT?',
      'TSUNICORN_MIN_WORKERS=3: must not be greater than TSUNICORN_MAX_WORKERS (2)',
    ],
  );
});

test('settings that cannot hold together', () => {
  const admin = (text: string, bind: string) => [
    `TSUNICORN_ADMIN_BIND=${text}: must not overlap with TSUNICORN_BIND (${bind})`,
  ];
  const drain = (delay: string, graceful: string) => [
    `TSUNICORN_DRAIN_DELAY=${delay}: must be less than TSUNICORN_GRACEFUL_TIMEOUT (${graceful}), which includes it`,
  ];
  const cases: [Record<string, string>, string[]][] = [
    [{ TSUNICORN_MIN_WORKERS: '2', TSUNICORN_MAX_WORKERS: '2' }, []],
    [{ TSUNICORN_MIN_WORKERS: '3' }, []],
    [{ TSUNICORN_DRAIN_DELAY: '25' }, drain('25', '25')],
    [{ TSUNICORN_DRAIN_DELAY: '24.9' }, []],
    [{ TSUNICORN_GRACEFUL_TIMEOUT: '4' }, []],
    [{ TSUNICORN_GRACEFUL_TIMEOUT: '4', KUBERNETES_SERVICE_HOST: 'x' }, drain('5', '4')],
    [
      { TSUNICORN_BODY_TIMEOUT: '5' },
      ['TSUNICORN_HEADER_TIMEOUT=10: must not be greater than TSUNICORN_BODY_TIMEOUT (5), which includes it'],
    ],
    [{ TSUNICORN_BODY_TIMEOUT: '10' }, []],
    [{ TSUNICORN_BODY_TIMEOUT: '0' }, []],
    [{ TSUNICORN_BODY_TIMEOUT: '5', TSUNICORN_HEADER_TIMEOUT: '0' }, []],
    [
      { TSUNICORN_LIMIT_HEADER_SIZE: '4k' },
      [
        'TSUNICORN_LIMIT_REQUEST_LINE=8190: must not be greater than TSUNICORN_LIMIT_HEADER_SIZE (4KiB), which includes it',
      ],
    ],
    [{ TSUNICORN_MAX_EVENT_LOOP_LAG: '0', TSUNICORN_WORKER_CLASS: 'sync' }, []],
    [
      { TSUNICORN_MAX_EVENT_LOOP_LAG: '1', TSUNICORN_WORKER_CLASS: 'sync' },
      [
        'TSUNICORN_MAX_EVENT_LOOP_LAG=1: must be 0 with TSUNICORN_WORKER_CLASS (sync), where a request may keep the event loop busy',
      ],
    ],
    [{ TSUNICORN_ADMIN_BIND: ':8000' }, admin('0.0.0.0:8000', '0.0.0.0:8000')],
    [{ TSUNICORN_ADMIN_BIND: 'localhost:8000' }, admin('localhost:8000', '0.0.0.0:8000')],
    [{ TSUNICORN_ADMIN_BIND: '[::1]:8000' }, []],
    [{ TSUNICORN_ADMIN_BIND: '[::]:8000' }, admin('[::]:8000', '0.0.0.0:8000')],
    [{ TSUNICORN_ADMIN_BIND: '127.0.0.1:8000', TSUNICORN_BIND: '127.0.0.2:8000' }, []],
    [{ TSUNICORN_ADMIN_BIND: 'A:1', TSUNICORN_BIND: 'b:1,a:1' }, admin('a:1', 'b:1,a:1')],
    [{ TSUNICORN_ADMIN_BIND: ':0', TSUNICORN_BIND: ':0' }, []],
    [{ TSUNICORN_ADMIN_BIND: 'unix:/a', TSUNICORN_BIND: 'unix:/a' }, admin('unix:/a', 'unix:/a')],
    [{ TSUNICORN_ADMIN_BIND: 'unix:/a', TSUNICORN_BIND: 'unix:/b,fd://3' }, []],
    [{ TSUNICORN_ADMIN_BIND: 'off', TSUNICORN_BIND: ':10464' }, []],
    [{ PORT: '10464' }, admin('0.0.0.0:10464', '0.0.0.0:10464')],
  ];
  for (const [env, expected] of cases) assert.deepEqual(refused(env), expected, JSON.stringify(env));
});

test('a secret is in no message', () => {
  const talkative = {
    ...integer({ min: 1 }),
    parse(text: string): number {
      throw new BadValue(`${text} is wrong`);
    },
  };
  const table = {
    token: { name: 'TSUNICORN_TOKEN', section: 'Admin', parser: talkative, text: 'A token.', secret: true },
    plain: { name: 'TSUNICORN_PLAIN', section: 'Admin', parser: talkative, text: 'No token.' },
  } as const satisfies Table;
  const problems = (env: Environment['env']) => lines(() => loadTable(table, environment(env)));
  assert.deepEqual(problems({ TSUNICORN_TOKEN: 'hunter2', TSUNICORN_PLAIN: 'seen' }), [
    'TSUNICORN_TOKEN=***: must be a whole number of at least 1',
    'TSUNICORN_PLAIN=seen: must be a whole number of at least 1 (seen is wrong)',
  ]);
  assert.deepEqual(problems({ TSUNICORN_TOKEN_FILE: '/run/wrong', TSUNICORN_PLAIN_FILE: '/run/wrong' }), [
    'TSUNICORN_TOKEN_FILE=/run/wrong: its content must be a whole number of at least 1',
    'TSUNICORN_PLAIN_FILE=/run/wrong: its content must be a whole number of at least 1',
  ]);
});

test('a default that its own parser refuses is a fault of the table, and no silent undefined', () => {
  const table = {
    odd: { name: 'ODD', section: 'Admin', parser: integer(), default: 'x', text: '' },
  } as const satisfies Table;
  assert.throws(() => loadTable(table, environment({})), /integer/);
});

test('without a default the value is undefined', () => {
  const table = { a: { name: 'A', section: 'Admin', parser: string('any text'), text: '' } } as const satisfies Table;
  assert.deepEqual(loadTable(table, environment({})), {
    settings: { a: undefined },
    origins: { a: { kind: 'default' } },
  });
});
