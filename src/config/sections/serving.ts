/** Settings of the app, its listeners and its workers. */
import { addresses, fromHostAndPort, host } from '../bind-address.ts';
import { boolean, directory, factor, integer, mode, oneOf, port, seconds, size, string, wordOr } from '../parsers.ts';
import { nodeOptions } from '../shell-words.ts';
import { section } from '../table.ts';

const MIB = 1024 ** 2;

export const SERVING = {
  ...section('Application', {
    app: {
      name: 'TSUNICORN_APP',
      parser: string('path, path:export or path:factory()'),
      defaultMeans: 'discovered',
      text: 'The module to serve, relative to `TSUNICORN_CHDIR`: `.js`, `.mjs`, `.cjs`, `.ts` or `.mts`. Not set: `main` of `package.json`, else the first of `dist/app`, `dist/server`, `dist/index`, `app`, `server` and `index` that exists, else the built-in welcome app.',
    },
    chdir: {
      name: 'TSUNICORN_CHDIR',
      parser: directory,
      default: ({ cwd }) => cwd,
      defaultMeans: 'the working directory',
      text: "The app's directory. Relative paths in other settings start here.",
    },
    reload: {
      name: 'TSUNICORN_RELOAD',
      parser: boolean,
      default: 'false',
      text: 'For development: reloads the workers when a source file below `TSUNICORN_CHDIR` changes, except in `node_modules` and hidden directories. If the new code does not load, the error is logged and the old code keeps serving.',
    },
  }),
  ...section('Listeners', {
    host: {
      name: 'HOST',
      parser: host,
      default: '0.0.0.0',
      text: 'The address to serve on when `TSUNICORN_BIND` is not set. `0.0.0.0` is every IPv4 address, `::` every address.',
    },
    port: {
      name: 'PORT',
      parser: port,
      default: '8000',
      text: 'The port to serve on when `TSUNICORN_BIND` is not set. `0` takes any free port.',
    },
    bind: {
      name: 'TSUNICORN_BIND',
      parser: addresses,
      default: fromHostAndPort,
      defaultMeans: '`HOST:PORT`',
      text: "The addresses to serve on. `:port` is every IPv4 address, `fd://N` a socket passed by a supervisor. `{slot}` in a unix socket's path makes one socket per worker, such as `unix:/run/tsunicorn/app-{slot}.sock`, so that a proxy can balance between workers itself.",
    },
    backlog: {
      name: 'TSUNICORN_BACKLOG',
      parser: integer({ min: 1, max: 65535 }),
      default: '2048',
      text: 'How many connections may wait to be accepted on each listening socket; Linux caps it at `net.core.somaxconn`.',
    },
    socketMode: {
      name: 'TSUNICORN_SOCKET_MODE',
      parser: mode,
      default: '0666',
      text: 'The mode of unix sockets that tsunicorn creates. A proxy needs write permission to connect.',
    },
    reusePort: {
      name: 'TSUNICORN_REUSE_PORT',
      parser: boolean,
      default: 'true',
      text: 'Gives each worker its own TCP socket on the same port (`SO_REUSEPORT`), so the kernel spreads connections evenly. With `false` all workers accept from one shared socket, as on unix sockets without `{slot}`.',
    },
  }),
  ...section('Workers', {
    workers: {
      name: 'TSUNICORN_WORKERS',
      alias: 'WEB_CONCURRENCY',
      parser: wordOr(['auto'], integer({ min: 1 })),
      default: 'auto',
      text: "The number of worker processes. `auto` derives it from the container's CPU quota and memory limit.",
    },
    workersPerCpu: {
      name: 'TSUNICORN_WORKERS_PER_CPU',
      parser: factor,
      default: '1',
      text: 'Workers per CPU when `TSUNICORN_WORKERS` is `auto`.',
    },
    minWorkers: {
      name: 'TSUNICORN_MIN_WORKERS',
      parser: integer({ min: 1 }),
      default: '1',
      text: 'The least number of workers that `auto` may choose.',
    },
    maxWorkers: {
      name: 'TSUNICORN_MAX_WORKERS',
      parser: integer({ min: 1 }),
      defaultMeans: 'none; 8 where there is no CPU quota',
      text: 'The greatest number of workers that `auto` may choose.',
    },
    workerMemory: {
      name: 'TSUNICORN_WORKER_MEMORY',
      parser: size({ min: MIB }),
      default: '128MiB',
      text: 'The memory that `auto` expects a worker to need. Set it to what a busy worker uses: a value too low starts more workers than the memory limit can hold.',
    },
    workerHeap: {
      name: 'TSUNICORN_WORKER_HEAP',
      parser: wordOr(['auto', 'off'], size({ min: MIB })),
      default: 'auto',
      text: "The limit of each worker's JavaScript heap (V8's old space). `auto` divides the container's memory limit among the workers; `off` leaves it to V8, which does not know that workers share it.",
    },
    workerClass: {
      name: 'TSUNICORN_WORKER_CLASS',
      parser: oneOf(['async', 'sync']),
      default: 'async',
      text: '`async` serves many requests at once on the event loop. `sync` serves one connection at a time per worker, without keep-alive, for handlers that keep the CPU busy; `TSUNICORN_TIMEOUT` then covers the request.',
    },
    workerConnections: {
      name: 'TSUNICORN_WORKER_CONNECTIONS',
      parser: integer(),
      default: '0',
      text: 'The most connections a worker keeps open. At the limit it stops accepting, and new connections go to other workers or wait in the backlog. `0` is no limit.',
    },
    resizeInterval: {
      name: 'TSUNICORN_RESIZE_INTERVAL',
      parser: seconds(),
      default: '5',
      text: 'How often, in seconds, the CPU quota and memory limit are read again. Workers are added at once, and removed after six intervals without a change. `0` keeps to what was read at the start.',
    },
    nodeOptions: {
      name: 'TSUNICORN_NODE_OPTIONS',
      parser: nodeOptions,
      default: '',
      defaultMeans: 'none',
      text: 'Extra Node.js options for workers only, such as `--import ./instrumentation.js` or `--enable-source-maps`.',
    },
    maxRequests: {
      name: 'TSUNICORN_MAX_REQUESTS',
      parser: integer(),
      default: '0',
      text: 'Replaces a worker after this many requests, against memory leaks. The new worker is ready before the old one drains. `0` is off.',
    },
    maxRequestsJitter: {
      name: 'TSUNICORN_MAX_REQUESTS_JITTER',
      parser: integer(),
      default: '0',
      text: 'Each worker adds a random number up to this to `TSUNICORN_MAX_REQUESTS`, so that they are not replaced all at once.',
    },
    maxWorkerRss: {
      name: 'TSUNICORN_MAX_WORKER_RSS',
      parser: wordOr(['auto', 'off'], size({ min: MIB })),
      default: 'auto',
      text: "Replaces a worker whose resident memory stays above this after garbage collection. `auto` is 90 % of the worker's share of the container's memory limit plus 48MiB, the pages that all processes share; off where there is no limit. Under a memory limit new requests also wait while memory is nearly full, and the largest worker is replaced at once; `off` turns that off as well.",
    },
    maxWorkerLifetime: {
      name: 'TSUNICORN_MAX_WORKER_LIFETIME',
      parser: wordOr(['off'], seconds({ zero: false })),
      default: 'off',
      text: 'Replaces a worker at this age in seconds, or up to a tenth earlier, so that workers of the same age are not replaced all at once.',
    },
    crashLimit: {
      name: 'TSUNICORN_CRASH_LIMIT',
      parser: integer({ min: 1 }),
      default: '5',
      text: 'After this many consecutive worker deaths before readiness, five times as many deaths of ready workers within a minute, or five times as many in a row within 5 s of readiness that leave no worker serving, tsunicorn gives up with exit code 3. A reload is given up after this many of the last kind.',
    },
  }),
};
