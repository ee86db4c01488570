/**
 * THE table: each setting once. The type of the settings, validation, `tsunicorn config` and docs/configuration.md derive
 * from it. Workers import types only: the parsers load env-var, which takes 4 MB of resident memory.
 */
import type { ConfigProblem } from '../errors.ts';
import { MIB } from '../platform/bytes.ts';
import { accessLogFormat } from './access-log-format.ts';
import { addresses, adminAddress, fromHostAndPort, host, overlap } from './bind-address.ts';
import {
  account,
  autoOr,
  boolean,
  directory,
  factor,
  integer,
  mode,
  oneOf,
  path,
  pathNotOff,
  port,
  seconds,
  size,
  string,
  trustedPeers,
  variable,
  wordOr,
} from './parsers.ts';
import { nodeOptions } from './shell-words.ts';
import { section, show, type ValuesOf } from './table.ts';

/** How long Kubernetes may still send new connections to a terminating pod. */
const KUBERNETES_DRAIN_SECONDS = 5;

/** The variable follows from the key: `gracefulTimeout` is `TSUNICORN_GRACEFUL_TIMEOUT`. */
export const SETTINGS = {
  ...section('Application', {
    app: {
      parser: string('path, path:export or path:factory()'),
      defaultMeans: 'discovered',
      text: 'The module to serve, relative to `TSUNICORN_CHDIR`: `.js`, `.mjs`, `.cjs`, `.ts`, `.mts` or `.cts`. Not set: `main` of `package.json`, else the first of `dist/app`, `dist/server`, `dist/index`, `app`, `server` and `index` that exists, else the built-in welcome app.',
    },
    chdir: {
      parser: directory,
      default: ({ cwd }) => cwd,
      defaultMeans: 'the working directory',
      text: "The app's directory. Relative paths in other settings start here.",
    },
    reload: {
      parser: boolean,
      default: 'false',
      atStart: true,
      text: 'For development: reloads the workers when a source file below `TSUNICORN_CHDIR` changes, except in `node_modules` and hidden directories. If the new code does not load, the error is logged and the old code keeps serving.',
    },
  }),
  ...section('Listeners', {
    host: {
      name: 'HOST',
      parser: host,
      default: '0.0.0.0',
      atStart: true,
      text: 'The address to serve on when `TSUNICORN_BIND` is not set. `0.0.0.0` is every IPv4 address, `::` every address.',
    },
    port: {
      name: 'PORT',
      parser: port,
      default: '8000',
      atStart: true,
      text: 'The port to serve on when `TSUNICORN_BIND` is not set. `0` takes any free port.',
    },
    bind: {
      parser: addresses,
      default: fromHostAndPort,
      defaultMeans: '`HOST:PORT`',
      atStart: true,
      text: "The addresses to serve on. `:port` is every IPv4 address, `fd://N` a socket passed by a supervisor. `{slot}` in a unix socket's path makes one socket per worker, such as `unix:/run/tsunicorn/app-{slot}.sock`, so that a proxy can balance between workers itself. `unix:@name` is an abstract socket (Linux), which has no file and so no permissions: every process in the network namespace can connect.",
    },
    backlog: {
      parser: integer({ min: 1, max: 65535 }),
      default: '2048',
      atStart: true,
      text: 'How many connections may wait to be accepted on each listening socket; Linux caps it at `net.core.somaxconn`.',
    },
    socketMode: {
      parser: mode,
      default: '0666',
      atStart: true,
      text: 'The mode of unix sockets that tsunicorn creates. A proxy needs write permission to connect.',
    },
    reusePort: {
      parser: boolean,
      default: 'true',
      atStart: true,
      text: 'Gives each worker its own TCP socket on the same port (`SO_REUSEPORT`), so the kernel spreads connections evenly. With `false` all workers accept from one shared socket, as on unix sockets without `{slot}`.',
    },
  }),
  ...section('Workers', {
    workers: {
      alias: 'WEB_CONCURRENCY',
      parser: wordOr(['auto'], integer({ min: 1 })),
      default: 'auto',
      text: "The number of worker processes. `auto` derives it from the container's CPU quota and memory limit.",
    },
    workersPerCpu: {
      parser: factor,
      default: '1',
      text: 'Workers per CPU when `TSUNICORN_WORKERS` is `auto`.',
    },
    minWorkers: {
      parser: integer({ min: 1 }),
      default: '1',
      text: 'The smallest number of workers that `auto` may choose.',
    },
    maxWorkers: {
      parser: integer({ min: 1 }),
      defaultMeans: 'none; 8 where there is no CPU quota',
      text: 'The largest number of workers that `auto` may choose.',
    },
    workerMemory: {
      parser: size({ min: MIB }),
      default: '128MiB',
      text: 'The memory that `auto` expects a worker to need. Set it to what a busy worker uses: a value too low starts more workers than the memory limit can hold.',
    },
    workerHeap: {
      parser: wordOr(['auto', 'off'], size({ min: MIB })),
      default: 'auto',
      text: "The limit of each worker's JavaScript heap (V8's old space). `auto` divides the container's memory limit among the workers; `off` leaves it to V8, which does not know that workers share it.",
    },
    workerClass: {
      parser: oneOf(['async', 'sync']),
      default: 'async',
      atStart: true,
      text: '`async` serves many requests at once on the event loop. `sync` serves one connection at a time per worker, without keep-alive, for handlers that keep the CPU busy; `TSUNICORN_TIMEOUT` then covers the request.',
    },
    workerConnections: {
      parser: integer(),
      default: '0',
      atStart: true,
      text: 'The most connections a worker keeps open. At the limit it stops accepting, and new connections go to other workers or wait in the backlog. `0` is no limit.',
    },
    sticky: {
      parser: oneOf(['off', 'ip']),
      default: 'off',
      atStart: true,
      text: '`ip` sends all connections from one client address to the same worker slot, for as long as the number of slots stays, for Socket.IO with long polling and the like. The kernel chooses, by the whole of an IPv4 address and the first 64 bits of an IPv6 one. Needs a TCP address and the native part, on Linux. Behind a proxy all clients have its address: let the proxy do it (`NGINX_STICKY`), see [several workers](several-workers.md#socketio-and-other-sessions-in-memory).',
    },
    resizeInterval: {
      parser: seconds(),
      default: '5',
      atStart: true,
      text: 'How often, in seconds, the CPU quota and memory limit are read again. Workers are added at once, and removed after six intervals without a change. `0` keeps to what was read at the start.',
    },
    instanceVar: {
      parser: variable,
      text: "Gives each worker its slot, a number from 0 up, under this name too, such as pm2's `NODE_APP_INSTANCE`.",
    },
    nodeOptions: {
      parser: nodeOptions,
      default: '',
      defaultMeans: 'none',
      text: 'Extra Node.js options for workers only, such as `--import ./instrumentation.js` or `--enable-source-maps`.',
    },
    maxRequests: {
      parser: integer(),
      default: '0',
      text: 'Replaces a worker after this many requests, against memory leaks. The new worker is ready before the old one drains. `0` is off.',
    },
    maxRequestsJitter: {
      parser: integer(),
      default: '0',
      text: 'Each worker adds a random number up to this to `TSUNICORN_MAX_REQUESTS`, so that they are not replaced all at once.',
    },
    maxWorkerRss: {
      parser: wordOr(['auto', 'off'], size({ min: MIB })),
      default: 'auto',
      text: "Replaces a worker whose resident memory stays above this after garbage collection. `auto` is 90 % of the worker's share of the container's memory limit plus 48MiB, the pages that all processes share; off where there is no limit. Under a memory limit new requests also wait while memory is nearly full, and the largest worker is replaced at once; `off` turns that off as well.",
    },
    maxWorkerLifetime: {
      parser: wordOr(['off'], seconds({ zero: false })),
      default: 'off',
      text: 'Replaces a worker at this age in seconds, or up to a tenth earlier, so that workers of the same age are not replaced all at once.',
    },
    crashLimit: {
      parser: integer({ min: 1 }),
      default: '5',
      text: 'After this many consecutive worker deaths before readiness, five times as many deaths of ready workers within a minute, or five times as many in a row within 5 s of readiness that leave no worker serving, tsunicorn gives up with exit code 3. A reload is given up after this many of the last kind.',
    },
  }),
  ...section('Timeouts', {
    timeout: {
      parser: seconds(),
      default: '30',
      text: 'A worker whose event loop is silent this long is stalled: it is killed and replaced. A slow response that leaves the event loop free is not affected. `0` is off.',
    },
    bootTimeout: {
      parser: seconds({ zero: false }),
      default: '60',
      text: 'A worker that is not ready this long after its start is killed, which counts towards `TSUNICORN_CRASH_LIMIT`.',
    },
    waitListen: {
      parser: wordOr(['auto'], boolean),
      default: 'auto',
      text: 'Whether a worker whose module exports an app, and may also listen with it later, waits for that: `true` until it listens or has nothing left to do, `false` not at all. `auto` waits while the program has work under way and its own files have a call of `listen()`, for 10 seconds at most. An export that `TSUNICORN_APP` names is served at once.',
    },
    waitReady: {
      parser: boolean,
      default: 'false',
      text: "As pm2's `wait_ready`: a worker is ready once its app has called `process.send('ready')` or `setReady(true)`.",
    },
    requestTimeout: {
      parser: seconds(),
      default: '0',
      text: 'A request whose response has not started after this time gets 503. `0` is off.',
    },
    gracefulTimeout: {
      parser: seconds({ zero: false }),
      default: '25',
      text: "The time from SIGTERM to the exit; what still runs then is killed. Keep it below the orchestrator's own limit before SIGKILL: 30 seconds in Kubernetes, 10 in Docker unless `stop_grace_period` says otherwise.",
    },
    drainDelay: {
      parser: autoOr(({ kubernetes }) => (kubernetes ? KUBERNETES_DRAIN_SECONDS : 0), seconds()),
      default: 'auto',
      text: `How long to keep accepting after SIGTERM, while \`/readyz\` answers 503 and responses close their connection, so that load balancers stop sending first. It is part of \`TSUNICORN_GRACEFUL_TIMEOUT\`. \`auto\` is ${KUBERNETES_DRAIN_SECONDS} under Kubernetes, otherwise 0.`,
    },
    keepalive: {
      parser: seconds(),
      default: '75',
      text: "How long an idle connection stays open for its next request. Keep it longer than the proxy's idle timeout (60 seconds in nginx and most cloud load balancers): otherwise tsunicorn may close a connection just as the proxy sends a request on it, and the client gets a 502. `0` closes each connection after its response.",
    },
    headerTimeout: {
      parser: seconds(),
      default: '10',
      text: "The time to receive a request's header; then 408. `0` is off.",
    },
    bodyTimeout: {
      parser: seconds(),
      default: '300',
      text: 'The time to receive a whole request, header and body; then 408. Slow uploads need more. `0` is off.',
    },
  }),
  ...section('Limits', {
    limitHeaderSize: {
      parser: size({ min: 1024 }),
      default: '16KiB',
      text: 'The size of request line and header together; above it 431.',
    },
    limitRequestFields: {
      parser: integer({ min: 1 }),
      default: '100',
      text: 'The number of header fields in a request; above it 431.',
    },
    limitRequestLine: {
      parser: integer({ min: 1 }),
      default: '8190',
      text: 'The length of a request line in bytes; above it 414.',
    },
    limitBodySize: {
      parser: size(),
      default: '0',
      text: 'The size of a request body; above it 413. `0` is no limit.',
    },
    maxEventLoopLag: {
      parser: seconds(),
      default: '0',
      text: 'The event loop delay, in seconds, above which a worker answers new requests and WebSocket handshakes with 503 and `Retry-After` until it has caught up: it refuses early what would be late anyway. Readiness is not affected. `0` is off.',
    },
  }),
  ...section('Logging', {
    logLevel: {
      parser: oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal'], { warning: 'warn', critical: 'fatal' }),
      default: 'info',
      text: 'The lowest level written to the server log. `warning` is `warn`, `critical` is `fatal`.',
    },
    logFormat: {
      parser: oneOf(['json', 'pretty']),
      default: ({ isTerminal }) => (isTerminal ? 'pretty' : 'json'),
      defaultMeans: '`json`; on a terminal `pretty`',
      atStart: true,
      text: '`json` writes one JSON object per line, for log collectors; `pretty` is for people.',
    },
    errorLog: {
      parser: wordOr(['-'], pathNotOff),
      default: '-',
      atStart: true,
      text: 'Where the server log goes: `-` is stderr. A file is reopened on SIGUSR1.',
    },
    accessLog: {
      parser: wordOr(['-', 'off'], path),
      default: '-',
      text: 'Where the access log goes, one line per request: `-` is stdout. A file is reopened on SIGUSR1.',
    },
    accessLogFormat: {
      parser: accessLogFormat,
      default: 'json',
      text: "The format of the access log: `json`, `common` or `combined` as in other web servers, or your own with Gunicorn's atoms: `%(h)s` client, `%(r)s` request line, `%(s)s` status and so on, see [logs](logs.md).",
    },
  }),
  ...section('Proxy', {
    forwardedAllowIps: {
      alias: 'FORWARDED_ALLOW_IPS',
      parser: trustedPeers,
      default: 'loopback',
      text: 'The proxies whose `X-Forwarded-*` and `Forwarded` headers are trusted; peers on unix sockets always are. With `*` any client can forge its address: use it only where no client can reach tsunicorn directly.',
    },
  }),
  ...section('Admin', {
    adminBind: {
      parser: adminAddress,
      default: '0.0.0.0:10464',
      atStart: true,
      text: 'The address of the admin endpoint with health, metrics, status and the live page. It has no access control: keep it off the public network. With `off`, `tsunicorn healthcheck` cannot work.',
    },
    appMetrics: {
      parser: boolean,
      default: 'true',
      text: "Adds the app's own default `prom-client` registry to `/metrics`, merged over the workers.",
    },
  }),
  ...section('Process', {
    pidfile: {
      parser: path,
      atStart: true,
      text: "A file for the arbiter's process ID.",
    },
    user: {
      parser: account('user'),
      atStart: true,
      text: 'The user that workers run as. Needs tsunicorn to be started as root.',
    },
    group: {
      parser: account('group'),
      atStart: true,
      text: 'The group that workers run as. Needs tsunicorn to be started as root.',
    },
  }),
};

/** Times are seconds, sizes bytes, paths absolute. */
export type Settings = ValuesOf<typeof SETTINGS>;

/** Settings that are valid each by itself but not together. `values` lacks those that could not be read. */
export function conflicts(values: Partial<Settings>): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const shown = (key: keyof Settings) => show(SETTINGS[key], values[key]) ?? '';
  const report = (key: keyof Settings, must: string, other: keyof Settings, why = ''): void => {
    const message = `must ${must} ${SETTINGS[other].name} (${shown(other)})${why}`;
    problems.push({ name: SETTINGS[key].name, value: shown(key), message });
  };
  // NaN for what is missing: no comparison is true.
  const { minWorkers = Number.NaN, maxWorkers = Number.NaN } = values;
  if (minWorkers > maxWorkers) report('minWorkers', 'not be greater than', 'maxWorkers');
  const { drainDelay = Number.NaN, gracefulTimeout = Number.NaN } = values;
  if (drainDelay >= gracefulTimeout) report('drainDelay', 'be less than', 'gracefulTimeout', ', which includes it');
  // http.createServer() refuses a headersTimeout above its requestTimeout; 0 turns either off.
  const { headerTimeout = Number.NaN, bodyTimeout = Number.NaN } = values;
  if (bodyTimeout !== 0 && headerTimeout > bodyTimeout) {
    report('headerTimeout', 'not be greater than', 'bodyTimeout', ', which includes it');
  }
  const { limitRequestLine = Number.NaN, limitHeaderSize = Number.NaN } = values;
  if (limitRequestLine > limitHeaderSize) {
    report('limitRequestLine', 'not be greater than', 'limitHeaderSize', ', which includes it');
  }
  const { workerClass, maxEventLoopLag = 0, bind, adminBind, sticky, workerConnections = 0 } = values;
  if (workerClass === 'sync' && maxEventLoopLag > 0) {
    report('maxEventLoopLag', 'be 0 with', 'workerClass', ', where a request may keep the event loop busy');
  }
  if (sticky === 'ip') {
    const oneSocket = ', which makes all workers share one socket';
    if (values.reusePort === false) report('sticky', 'be off with', 'reusePort', oneSocket);
    if (workerClass === 'sync') report('sticky', 'be off with', 'workerClass', oneSocket);
    if (workerConnections > 0) report('sticky', 'be off with', 'workerConnections', oneSocket);
    if (bind?.every(({ kind }) => kind !== 'tcp')) {
      report(
        'sticky',
        'be off with',
        'bind',
        ', which has no TCP address: let the proxy in front choose (NGINX_STICKY)',
      );
    }
  }
  if (adminBind !== undefined && bind?.some((address) => overlap(address, adminBind))) {
    report('adminBind', 'not overlap with', 'bind');
  }
  return problems;
}
