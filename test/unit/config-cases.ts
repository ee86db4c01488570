/** Every setting with good and bad values: what they become, and what exactly is wrong. */
import type { Settings } from '../../src/config/settings.ts';
import { ADDRESS_CASES, type Case } from './config-address-cases.ts';

const WHOLE_FROM_1 = 'a whole number of at least 1';
const SECONDS = 'a number of seconds from 0 to 2147483, such as 30 or 0.5';
const SECONDS_ABOVE_0 = 'a number of seconds above 0 and up to 2147483, such as 30 or 0.5';
const SIZE = (min: string) => `a size${min && ` of at least ${min}`}, such as 64MiB, 1G, 512k or plain bytes`;
const BOOLEAN = 'true, false, 1, 0, yes, no, on or off';
const CONTROL = 'it contains a control character';
const WRAPPED = 'it has quotes or spaces around it';

const ATOM_LIST = 'atoms are h l u t r s m U q H B b f a T D M L p, {header}i, {header}o and {variable}e';
const PERCENT = '% begins an atom such as %(s)s; write %% for a percent sign';
const COMMON_PIECES = [
  ...[{ atom: 'h' }, { literal: ' ' }, { atom: 'l' }, { literal: ' ' }, { atom: 'u' }, { literal: ' ' }, { atom: 't' }],
  ...[{ literal: ' "' }, { atom: 'r' }, { literal: '" ' }, { atom: 's' }, { literal: ' ' }, { atom: 'b' }],
];

const MIB = 1024 ** 2;

const seconds: Case = {
  good: { '0': 0, '30': 30, '0.5': 0.5, '.25': 0.25, '2147483': 2147483 },
  bad: { '-1': '', '1e3': '', '0x10': '', '30s': '', ' 30': '', Infinity: '', '2147484': '', '0.0001': '', '.': '' },
  accepts: SECONDS,
};
const secondsAbove0: Case = {
  good: { '1': 1, '0.001': 0.001 },
  bad: { '0': '', '0.000': '', '-1': '', soon: '' },
  accepts: SECONDS_ABOVE_0,
};
const wholeFrom1: Case = {
  good: { '1': 1, '64': 64 },
  bad: { '0': '', '-1': '', '1.5': '', '01': '', '1e2': '', ' 1': '', '9007199254740993': '', two: '' },
  accepts: WHOLE_FROM_1,
};
const wholeFrom0: Case = {
  good: { '0': 0, '1000': 1000 },
  bad: { '-1': '', '1.5': '' },
  accepts: 'a whole number of at least 0',
};
const account: Omit<Case, 'accepts'> = {
  good: { www: 'www', '1000': '1000', 'www-data': 'www-data', _apt: '_apt', samba$: 'samba$' },
  bad: { 'a b': '', 'a:b': '', '-x': '' },
};

export const CASES: Record<keyof Settings, Case> = {
  ...ADDRESS_CASES,
  app: {
    good: { 'src/app.ts:make()': 'src/app.ts:make()' },
    bad: { 'a\nb': CONTROL, "'a.js'": WRAPPED, 'a.js ': WRAPPED },
    accepts: 'path, path:export or path:factory()',
  },
  chdir: {
    good: { '/opt/x/': '/opt/x', sub: '/srv/app/sub', '..': '/srv' },
    bad: { 'a\u0000': CONTROL },
    accepts: 'the path of a directory',
  },
  reload: { good: { on: true, '0': false }, bad: { '2': '', watch: '' }, accepts: BOOLEAN },
  backlog: {
    good: { '1': 1, '65535': 65535 },
    bad: { '0': '', '65536': '', '1.5': '' },
    accepts: 'a whole number from 1 to 65535',
  },
  socketMode: {
    good: { '0666': 0o666, '660': 0o660, '0o600': 0o600, '0000': 0 },
    bad: { '8': '', '0888': '', '1777': '', rw: '', '66': '' },
    accepts: 'an octal mode from 0000 to 0777',
  },
  reusePort: {
    good: { true: true, TRUE: true, '1': true, yes: true, On: true, false: false, '0': false, no: false, OFF: false },
    bad: { '2': '', y: '', constructor: '' },
    accepts: BOOLEAN,
  },
  appMetrics: {
    good: { true: true, TRUE: true, '1': true, yes: true, On: true, false: false, '0': false, no: false, OFF: false },
    bad: { '2': '', y: '', constructor: '' },
    accepts: BOOLEAN,
  },
  workers: {
    good: { auto: 'auto', AUTO: 'auto', '1': 1, '12': 12 },
    bad: { '0': '', '-1': '', '1.5': '', many: '' },
    accepts: `auto or ${WHOLE_FROM_1}`,
  },
  workersPerCpu: {
    good: { '2': 2, '0.5': 0.5 },
    bad: { '0': '', '-1': '', '1e3': '', x: '' },
    accepts: 'a number above 0, such as 1 or 0.5',
  },
  minWorkers: wholeFrom1,
  maxWorkers: wholeFrom1,
  workerMemory: {
    good: {
      '64MiB': 64 * MIB,
      '1G': 1024 * MIB,
      '2048k': 2 * MIB,
      '1.5g': 1536 * MIB,
      '64mb': 64 * MIB,
      '2097152': 2 * MIB,
    },
    bad: {
      '512': '',
      '1023k': '',
      '64 MiB': '',
      '-1G': '',
      '64X': '',
      '1e9': '',
      '1.0001M': '',
      '9999999999999999T': '',
    },
    accepts: SIZE('1MiB'),
  },
  workerHeap: {
    good: { auto: 'auto', Off: 'off', '256MiB': 256 * MIB },
    bad: { '512': '', none: '' },
    accepts: `auto, off or ${SIZE('1MiB')}`,
  },
  sticky: { good: { OFF: 'off', ip: 'ip' }, bad: { cookie: '', on: '' }, accepts: 'off or ip' },
  workerClass: { good: { async: 'async', SYNC: 'sync' }, bad: { gthread: '' }, accepts: 'async or sync' },
  workerConnections: wholeFrom0,
  resizeInterval: seconds,
  nodeOptions: {
    good: {
      '--import ./a.js --enable-source-maps': ['--import', './a.js', '--enable-source-maps'],
      '  --title="a b"\n--x \'$HOME "q"\' ': ['--title=a b', '--x', '$HOME "q"'],
      '--a \\\n --b "c\\\nd"': ['--a', '--b', 'cd'],
      '--a\\ b "c\\"\\d" \'\' "e"f': ['--a b', 'c"\\d', '', 'ef'],
    },
    bad: {
      '--title "a': 'a " is not closed',
      "--title 'a": "a ' is not closed",
      '--a \\': 'it ends in a backslash',
      '--a "b\\': 'it ends in a backslash',
      '--a "b\\"': 'a " is not closed',
      'app.js --x': 'the first word is not an option',
      '--a "\n"': CONTROL,
      '"--import ./a.js"': 'quotes make one option of --import ./a.js',
    },
    accepts: 'Node.js options, quoted as in a shell',
  },
  instanceVar: {
    good: { NODE_APP_INSTANCE: 'NODE_APP_INSTANCE', my_slot0: 'my_slot0', _: '_' },
    bad: {
      'a-b': '',
      '0A': '',
      'A=B': '',
      TSUNICORN_SLOT: 'names that begin with TSUNICORN_ are its own',
    },
    accepts: 'the name of an environment variable, such as NODE_APP_INSTANCE',
  },
  maxRequests: wholeFrom0,
  maxRequestsJitter: wholeFrom0,
  maxWorkerRss: {
    good: { auto: 'auto', OFF: 'off', '300M': 300 * MIB },
    bad: { '300': '', none: '' },
    accepts: `auto, off or ${SIZE('1MiB')}`,
  },
  maxWorkerLifetime: {
    good: { off: 'off', '3600': 3600, '0.5': 0.5 },
    bad: { '0': '', auto: '', '1h': '' },
    accepts: `off or ${SECONDS_ABOVE_0}`,
  },
  crashLimit: wholeFrom1,
  timeout: seconds,
  bootTimeout: secondsAbove0,
  waitListen: {
    good: { AUTO: 'auto', on: true, no: false },
    bad: { '2': '', late: '' },
    accepts: `auto or ${BOOLEAN}`,
  },
  waitReady: { good: { on: true, '0': false }, bad: { '2': '', pm2: '' }, accepts: BOOLEAN },
  requestTimeout: seconds,
  gracefulTimeout: secondsAbove0,
  drainDelay: {
    good: { auto: 0, Auto: 0, '0': 0, '2.5': 2.5 },
    bad: { '-1': '', later: '' },
    accepts: `auto or ${SECONDS}`,
  },
  keepalive: seconds,
  headerTimeout: { ...seconds, good: { '0': 0, '30': 30, '0.5': 0.5 } },
  bodyTimeout: { ...seconds, good: { '0': 0, '30': 30, '600.25': 600.25 } },
  limitHeaderSize: {
    good: { '16KiB': 16384, '8190': 8190, '1M': MIB },
    bad: { '0': '', '1000': '', '16Kib ': '' },
    accepts: SIZE('1KiB'),
  },
  limitRequestFields: wholeFrom1,
  limitRequestLine: { ...wholeFrom1, good: { '1': 1, '16384': 16384 } },
  limitBodySize: {
    good: { '0': 0, '10M': 10 * MIB, '1b': 1 },
    bad: { '0.5': 'not a whole number of bytes', '0.3k': 'not a whole number of bytes', none: '' },
    accepts: SIZE(''),
  },
  maxEventLoopLag: { ...seconds, good: { '0': 0, '0.2': 0.2 } },
  logLevel: {
    good: { trace: 'trace', WARNING: 'warn', critical: 'fatal', Error: 'error' },
    bad: { verbose: '', constructor: '' },
    accepts: 'trace, debug, info, warn, error, fatal, warning or critical',
  },
  logFormat: { good: { json: 'json', Pretty: 'pretty' }, bad: { text: '' }, accepts: 'json or pretty' },
  errorLog: {
    good: { '-': '-', 'log/e.log': '/srv/app/log/e.log' },
    bad: { off: 'it cannot be turned off', 'a\tb': CONTROL },
    accepts: '- or a path',
  },
  accessLog: {
    good: { '-': '-', off: 'off', OFF: 'off', '/var/log/a.log': '/var/log/a.log' },
    bad: { 'a\u007f': CONTROL },
    accepts: '-, off or a path',
  },
  accessLogFormat: {
    good: {
      json: { text: 'json', kind: 'json' },
      JSON: { text: 'json', kind: 'json' },
      '%(s)s': { text: '%(s)s', kind: 'text', pieces: [{ atom: 's' }] },
      '100%% [%(m)s]\t%({X-Id}i)s%({A}e)s': {
        text: '100%% [%(m)s]\t%({X-Id}i)s%({A}e)s',
        kind: 'text',
        pieces: [
          { literal: '100' },
          { literal: '%' },
          { literal: ' [' },
          { atom: 'm' },
          { literal: ']\t' },
          { atom: 'i', name: 'X-Id' },
          { atom: 'e', name: 'A' },
        ],
      },
      common: { text: 'common', kind: 'text', pieces: COMMON_PIECES },
      Combined: {
        text: 'combined',
        kind: 'text',
        pieces: [
          ...COMMON_PIECES,
          { literal: ' "' },
          { atom: 'f' },
          { literal: '" "' },
          { atom: 'a' },
          { literal: '"' },
        ],
      },
    },
    bad: {
      jason: 'it has no atom',
      constructor: 'it has no atom',
      '%%': 'it has no atom',
      '%(z)s': `%(z)s is not an atom; ${ATOM_LIST}`,
      '%(s)s %(status)s': `%(status)s is not an atom; ${ATOM_LIST}`,
      '%({a b}i)s': `%({a b}i)s is not an atom; ${ATOM_LIST}`,
      '%({a}x)s': `%({a}x)s is not an atom; ${ATOM_LIST}`,
      '%()s': `%()s is not an atom; ${ATOM_LIST}`,
      '%(h)s 50%': `%: ${PERCENT}`,
      '%(h)s %(D)d and more': `%(D)d and mo: ${PERCENT}`,
      '%(h': `%(h: ${PERCENT}`,
      '%(h)s\n%(s)s': CONTROL,
    },
    accepts: 'json, common, combined, or a format with atoms such as %(h)s',
  },
  pidfile: { good: { 'run/x.pid': '/srv/app/run/x.pid' }, bad: { 'a\nb': CONTROL }, accepts: 'a path' },
  user: { ...account, accepts: 'the name or the number of a user' },
  group: { ...account, accepts: 'the name or the number of a group' },
};

/** What a case needs beside it so that no other setting is in its way. */
export const ROOM: Partial<Record<keyof Settings, Record<string, string>>> = {
  bind: { TSUNICORN_ADMIN_BIND: 'off' },
  limitRequestLine: { TSUNICORN_LIMIT_HEADER_SIZE: '1M' },
  limitHeaderSize: { TSUNICORN_LIMIT_REQUEST_LINE: '1' },
  gracefulTimeout: { TSUNICORN_DRAIN_DELAY: '0' },
};
