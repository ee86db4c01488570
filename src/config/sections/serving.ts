/** The rows of the settings table about the app, its listeners and its workers. */
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
      text: 'The module to serve, relative to `TSUNICORN_CHDIR`: `.js`, `.mjs`, `.cjs`, `.ts` or `.mts`. When it is not set, it is `main` of `package.json`, else the first that exists of `dist/app`, `dist/server`, `dist/index`, `app`, `server` and `index`, else the built-in welcome app.',
    },
    chdir: {
      name: 'TSUNICORN_CHDIR',
      parser: directory,
      default: ({ cwd }) => cwd,
      defaultMeans: 'the working directory',
      text: 'The directory of the app. Relative paths in other settings start here.',
    },
    reload: {
      name: 'TSUNICORN_RELOAD',
      parser: boolean,
      default: 'false',
      text: 'For development: replaces the workers whenever a source file below `TSUNICORN_CHDIR` changes, except in `node_modules` and hidden directories. Where the new code does not load, the error is logged and the old code goes on serving.',
    },
  }),
  ...section('Listeners', {
    host: {
      name: 'HOST',
      parser: host,
      default: '0.0.0.0',
      text: 'The address to serve on when `TSUNICORN_BIND` is not set. `0.0.0.0` is every IPv4 address of the machine, `::` every address.',
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
      text: 'The addresses to serve on. `:port` is every IPv4 address, `fd://N` a socket that a supervisor hands over. `{slot}` in the path of a unix socket makes one socket for each worker, such as `unix:/run/tsunicorn/app-{slot}.sock`, so that a proxy can balance between the workers itself.',
    },
    backlog: {
      name: 'TSUNICORN_BACKLOG',
      parser: integer({ min: 1, max: 65535 }),
      default: '2048',
      text: 'How many connections may wait on each listening socket to be accepted; Linux lowers it to `net.core.somaxconn`.',
    },
    socketMode: {
      name: 'TSUNICORN_SOCKET_MODE',
      parser: mode,
      default: '0666',
      text: 'The mode of the unix sockets that tsunicorn creates. A proxy needs write permission to connect.',
    },
    reusePort: {
      name: 'TSUNICORN_REUSE_PORT',
      parser: boolean,
      default: 'true',
      text: 'Gives each worker a TCP socket of its own on the same port (`SO_REUSEPORT`), so that the kernel spreads connections evenly. With `false` all workers accept from one shared socket, as they do on unix sockets without `{slot}`.',
    },
  }),
  ...section('Workers', {
    workers: {
      name: 'TSUNICORN_WORKERS',
      alias: 'WEB_CONCURRENCY',
      parser: wordOr(['auto'], integer({ min: 1 })),
      default: 'auto',
      text: 'The number of worker processes. `auto` takes it from the CPU quota and the memory limit of the container.',
    },
    workersPerCpu: {
      name: 'TSUNICORN_WORKERS_PER_CPU',
      parser: factor,
      default: '1',
      text: 'Workers for each CPU, when `TSUNICORN_WORKERS` is `auto`.',
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
      text: 'The memory that `auto` reckons with for each worker. Set it to what a busy worker really uses: too low a value starts more workers than the memory limit holds.',
    },
    workerHeap: {
      name: 'TSUNICORN_WORKER_HEAP',
      parser: wordOr(['auto', 'off'], size({ min: MIB })),
      default: 'auto',
      text: "The limit of each worker's JavaScript heap (V8's old space). `auto` divides the memory limit of the container among the workers; `off` leaves the limit to V8, which does not know that the workers share it.",
    },
    workerClass: {
      name: 'TSUNICORN_WORKER_CLASS',
      parser: oneOf(['async', 'sync']),
      default: 'async',
      text: '`async` serves many requests at once on the event loop. `sync` serves one connection at a time in each worker, without keep-alive, for handlers that keep the CPU busy; `TSUNICORN_TIMEOUT` then covers the request.',
    },
    workerConnections: {
      name: 'TSUNICORN_WORKER_CONNECTIONS',
      parser: integer(),
      default: '0',
      text: 'The most connections that one worker keeps open. At that number it stops accepting, and further connections go to the other workers or wait in the backlog. `0` is no limit.',
    },
    resizeInterval: {
      name: 'TSUNICORN_RESIZE_INTERVAL',
      parser: seconds(),
      default: '5',
      text: 'How often, in seconds, the CPU quota and the memory limit are read again. More workers are started at once, fewer are left after six times as long without a change. `0` keeps to what was read at the start.',
    },
    nodeOptions: {
      name: 'TSUNICORN_NODE_OPTIONS',
      parser: nodeOptions,
      default: '',
      defaultMeans: 'none',
      text: 'Further options of Node.js for the workers alone, such as `--import ./instrumentation.js` or `--enable-source-maps`.',
    },
    maxRequests: {
      name: 'TSUNICORN_MAX_REQUESTS',
      parser: integer(),
      default: '0',
      text: 'Replaces a worker after it has answered so many requests, against memory leaks. The new worker is ready before the old one drains. `0` is off.',
    },
    maxRequestsJitter: {
      name: 'TSUNICORN_MAX_REQUESTS_JITTER',
      parser: integer(),
      default: '0',
      text: 'Each worker adds a random number up to this one to `TSUNICORN_MAX_REQUESTS`, so that they are not all due at the same moment.',
    },
    maxWorkerRss: {
      name: 'TSUNICORN_MAX_WORKER_RSS',
      parser: wordOr(['auto', 'off'], size({ min: MIB })),
      default: 'auto',
      text: "Replaces a worker whose resident memory stays above this size although it has collected its garbage. `auto` is 90 % of the worker's share of the container's memory limit and 48MiB, which are the pages that all processes share, and off where there is no limit. Under a memory limit new requests also wait while that is nearly reached, and the largest worker is replaced at once; `off` turns that off as well.",
    },
    maxWorkerLifetime: {
      name: 'TSUNICORN_MAX_WORKER_LIFETIME',
      parser: wordOr(['off'], seconds({ zero: false })),
      default: 'off',
      text: 'Replaces a worker at this age in seconds, or up to a tenth earlier, so that workers of the same age are not all due at once.',
    },
    crashLimit: {
      name: 'TSUNICORN_CRASH_LIMIT',
      parser: integer({ min: 1 }),
      default: '5',
      text: 'After this many workers in a row have died before they were ready, or five times as many ready ones within a minute, tsunicorn gives up with exit code 3; so it does after five times as many in a row that died within 5 s of being ready and left nobody who serves. A reload is given up after this many of the latter.',
    },
  }),
};
